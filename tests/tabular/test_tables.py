"""Tables from files, their schema, what a new table lacks, and how rows are judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from nearfar.cli import main
from nearfar.runs.configure import revive
from nearfar.runs.hub import plain
from nearfar.tabular.data import Rows, divide, load
from nearfar.tabular.evaluation import separation
from nearfar.tabular.reasons import reasons
from nearfar.tabular.schema import TableSchema, describe

TEXT = "id,age,job,pay,label\n" + "".join(
    f"r{i},{20 + i},{'abc'[i % 3]},{'' if i == 3 else i * 1.5},{'normal' if i < 18 else 'fraud'}\n" for i in range(24)
)


def read(path: Path, text: str = TEXT, **options: object) -> Rows:
    path.write_text(text)
    found = load(path, **options)  # type: ignore[arg-type]
    assert isinstance(found, Rows)
    return found


def test_a_table_is_divided_by_its_labels(tmp_path: Path) -> None:
    rows = read(tmp_path / "t.csv")
    assert len(rows) == 9
    assert not rows.anomalous.any()
    test = rows.splits()["test"]
    assert len(test) == 15
    assert test.anomalous.sum() == 6
    assert not set(rows.ids) & set(test.ids)
    other = read(tmp_path / "t.csv", division=1)
    assert set(other.ids) != set(rows.ids)
    assert len(read(tmp_path / "t.csv", normal="fraud")) == 3


def test_a_file_of_test_rows_takes_the_place_of_the_division(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text(TEXT)
    rows = read(tmp_path / "t.csv", test=str(tmp_path / "test.csv"))
    assert (len(rows), len(rows.splits()["test"])) == (18, 24)


def test_numbers_gaps_and_words_become_features(tmp_path: Path) -> None:
    rows = read(tmp_path / "t.csv", label_column="id")
    schema = rows.schema
    assert schema.numbers == ("age", "pay")
    assert schema.gaps == ("pay",)
    assert schema.words == ("job", "label")
    x = schema.encode(rows.batch(np.array([3, 4])).columns, "none")
    median = np.median([i * 1.5 for i in range(24) if i != 3])
    assert x[0].tolist() == [23, median, 1, 1, 0, 0, 0, 1]
    assert x[1].tolist() == [24, 6, 0, 0, 1, 0, 0, 1]
    assert [schema.columns[o] for o in schema.owners] == ["age", "pay", "pay", *["job"] * 3, *["label"] * 2]
    ranged = schema.encode(rows.columns, "range")
    assert ranged.min() == 0
    assert ranged.max() == 1
    standard = schema.encode(rows.columns, "standard")
    torch.testing.assert_close(standard.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    assert revive(plain(schema), TableSchema) == schema  # as config.yaml keeps it


def test_new_words_are_none_of_the_known_and_missing_columns_are_named(tmp_path: Path) -> None:
    rows = read(tmp_path / "t.csv")
    new = {name: values[:1] for name, values in rows.columns.items()}
    x = rows.schema.encode({**new, "job": np.array(["z"])}, "none")
    assert x[0, 2:5].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="no column 'job', which this system learned from; it has age, pay"):
        rows.schema.encode({n: v for n, v in new.items() if n != "job"}, "none")
    with pytest.raises(ValueError, match="'age' held numbers in training, and holds words like 'old' now"):
        rows.schema.encode({**new, "age": np.array(["old"])}, "none")


def test_parquet_arrays_and_archives(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2, None], "b": ["x", "y", "x"]}), tmp_path / "t.parquet")
    assert len(load(tmp_path / "t.parquet")) == 3
    assert len(load(np.zeros((4, 2)))) == 4
    np.savez(tmp_path / "t.npz", X=np.arange(24.0).reshape(12, 2), y=np.arange(12) > 9)
    found = load(tmp_path / "t.npz", normal="false")
    assert len(found) == 5
    assert len(found.splits()["test"]) == 7


def test_words_that_hardly_recur_are_left_out_with_a_warning(tmp_path: Path) -> None:
    text = "name,x,empty\n" + "".join(f"person {i},{i},\n" for i in range(150))
    with pytest.warns(UserWarning, match="columns name, empty of .* are not learned from"):
        rows = read(tmp_path / "t.csv", text)
    assert rows.schema.columns == ("x",)
    with pytest.raises(ValueError, match="no column can be learned from"):
        describe({"empty": np.full(3, np.nan)})


def test_one_kind_of_label_is_no_division() -> None:
    rows = Rows({"a": np.arange(6.0)}, np.zeros(6, int))
    assert divide(rows) is rows


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda p: load(p / "none.csv"), "no file .*embedded are flows"),
        (
            lambda p: load(read(p / "t.csv") and p / "t.csv", label_column="kind"),
            "has no column 'kind'; it has id, age",
        ),
        (lambda p: load(np.full((3, 2), np.inf)), "infinite values; write gaps as NaN"),
        (lambda p: load(np.zeros(3)), r"expected numbers \(N, F\)"),
        (lambda p: Rows({"a": np.zeros(3), "b": np.zeros(2)}), r"columns of \[2, 3\] rows"),
        (lambda p: read(p / "t.toml"), "no table that this reads"),
        (lambda p: read(p / "i.csv", "a,b\n1,2\ninf,3\n", strict=True), "line 3 cannot be used: it holds an infinite"),
    ],
)
def test_wrong_tables_get_one_sentence(call, expected: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=expected):
        call(tmp_path)


def test_separation_by_hand() -> None:
    found = separation(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    assert found["auroc"] == pytest.approx(0.75)
    assert found["f1"] == pytest.approx(0.5)
    assert found.better["fpr95"] == "lower"


def test_reasons_name_the_column_that_raises_the_score() -> None:
    schema = describe({"a": np.arange(5.0), "b": np.arange(5.0), "c": np.array(["x", "y", "x", "y", "x"])})[0]
    usual = torch.zeros(4)
    x = torch.tensor([[0.0, 3.0, 0.0, 0.0], [2.0, 1.0, 0.0, 5.0], [0.0, 0.0, 0.0, 0.0]])
    assert reasons(lambda rows: rows.square().sum(1), x, usual, schema, 2) == ["b", "c, a", ""]


def test_new_rows_are_rated_without_the_column_of_labels(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(40, 3))
    lines = [",".join(map(str, row)) for row in rows]
    labelled = [f"{line},{int(n % 5 == 0)}" for n, line in enumerate(lines)]
    Path("old.csv").write_text("\n".join(["a,b,c,kind", *labelled]))
    Path("new.csv").write_text("\n".join(["a,b,c", *lines[:7]]))
    words = ["--label-column", "kind", "--preset", "tiny", "--steps", "1", "--out", "run"]
    assert main(["train", "slad", "--data", "old.csv", *words]) == 0
    assert main(["score", "run", "new.csv", "-o", "rated.csv"]) == 0
    assert len(Path("rated.csv").read_text().splitlines()) == 8
    assert main(["score", "run", "new.csv", "--label-column", "kind", "-o", "again.csv"]) == 2
    assert "kind" in capsys.readouterr().err.splitlines()[-1]
