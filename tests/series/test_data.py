"""Series from every kind of file, and what is wrong with some of them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from nearfar import workflow
from nearfar.reproductions.arms import build
from nearfar.series.data import SeriesBatch, SeriesSet, Windows, load
from nearfar.series.data.columns import calendar
from nearfar.series.evaluation import evaluate
from nearfar.training import Training, fit


def read(path: Path, text: str, **options: object) -> SeriesSet:
    path.write_text(text)
    found = load(path, **options)  # type: ignore[arg-type]
    assert isinstance(found, SeriesSet)
    return found


def test_ucr_files_with_their_test_part(tmp_path: Path) -> None:
    (tmp_path / "Toy_TEST.tsv").write_text("2\t4\t5\t6\n")
    found = read(tmp_path / "Toy_TRAIN.tsv", "1\t0.5\t1\tNaN\n2\t-1\tNaN\t3\n")
    assert [len(s) for s in found.series] == [2, 3]  # gaps at the end are no steps
    assert np.isnan(found.series[1][1, 0])
    assert found.labels.tolist() == [1, 2]
    assert found.splits()["test"].labels.tolist() == [2]


def test_ts_files_have_channels_and_labels(tmp_path: Path) -> None:
    head = "@problemName toy\n@timeStamps false\n@univariate false\n@classLabel true a b\n@data\n"
    found = read(tmp_path / "toy.ts", head + "1,2,3:4,5,6:a\n7,?:8,9:b\n")
    assert found.series[0].shape == (3, 2)
    assert found.series[1].shape == (2, 2)
    assert found.labels.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("attributes", "rows"),
    [
        ("@attribute t0 numeric\n@attribute t1 numeric\n@attribute target {1,2}\n", "0.5,1.5,1\n?,2,2\n"),
        (
            "@attribute x relational\n@attribute t0 numeric\n@end x\n@attribute target {1,2}\n",
            "'0.5,1.5\\n7,8',1\n'1,2\\n3,4',2\n",
        ),
    ],
)
def test_arff_files_of_one_and_of_many_channels(attributes: str, rows: str, tmp_path: Path) -> None:
    found = read(tmp_path / "toy.arff", f"@relation toy\n{attributes}@data\n{rows}")
    assert found.labels.tolist() == [1, 2]
    assert found.series[0][:, 0].tolist() == [0.5, 1.5]
    assert found.series[0].shape[1] == 1 + ("relational" in attributes)


def test_a_table_with_a_row_per_step(tmp_path: Path) -> None:
    text = "date,patient,trial,a,b\n2020-01-01,p,1,1,2\n2020-01-02,p,1,3,\n2020-01-01,q,1,5,6\n2020-01-02,q,1,7,8\n"
    found = read(tmp_path / "t.csv", text)
    assert found.ids.tolist() == ["p/1", "q/1"]
    assert found.channels == ("a", "b")
    assert np.isnan(found.series[0][1, 1])
    assert found.groups.tolist() == [[0, 0], [1, 1]]
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert len(load(packed)) == 2


def test_steps_out_of_order_are_sorted_and_twice_the_same_time_is_left_out(tmp_path: Path) -> None:
    text = "time,x\n3,30\n1,10\n2,20\n2,21\nsoon,40\n" + "".join(f"{t},{t}\n" for t in range(4, 30))
    with pytest.warns(UserWarning, match="of") as warned:
        found = read(tmp_path / "t.csv", text)
    assert found.series[0][:4, 0].tolist() == [10, 20, 30, 4]
    assert any("not in the order of time" in str(w.message) for w in warned)
    assert dict(found.skipped)["line 5"] == "series t has another row of the same time"
    assert "'soon' is neither a number nor a date" in dict(found.skipped)["line 6"]


def test_a_table_with_a_row_per_series(tmp_path: Path) -> None:
    rows = "".join(f"s{i},{i},{i + 1},{i + 2},a\n" for i in range(20))
    with pytest.warns(UserWarning, match="1 of 22 rows"):
        found = read(tmp_path / "t.csv", f"id,t0,t1,t2,label\n{rows}s20,1,,3,b\ns21,x,1,2,b\n")
    assert found.ids[-1] == "s20"
    assert np.isnan(found.series[-1][1, 0])
    assert "'x', which is no number" in dict(found.skipped)["line 23"]


def test_arrays_and_archives(tmp_path: Path) -> None:
    assert len(load(np.zeros((5, 7)))) == 5
    np.save(tmp_path / "a.npy", np.zeros((4, 7, 2)))
    assert load(tmp_path / "a.npy").facts["in_channels"] == 2
    np.savez(tmp_path / "a.npz", train_x=np.zeros((4, 7)), train_y=np.arange(4), test_x=np.ones((2, 7)))
    assert load(tmp_path / "a.npz").splits()["test"].labels is None


def test_windows_are_cut_by_time_and_look_back(tmp_path: Path) -> None:
    values = np.arange(100.0)
    windows = load(values, past=4, ahead=2)
    assert isinstance(windows, Windows)
    assert len(windows) == 60 - 6 + 1
    test = windows.splits()["test"]
    first = test.batch(np.array([0]))
    assert first.past[0, :, 0].tolist() == [76, 77, 78, 79]
    assert first.future[0, :, 0].tolist() == [80, 81]
    assert windows.facts["centre"] == (29.5,)
    with pytest.raises(ValueError, match="fewer than the 50 \\+ 2 of one window"):
        load(values[:40], past=50, ahead=2)
    with pytest.raises(ValueError, match="has gaps"):
        load(np.where(values == 3, np.nan, values), past=4, ahead=2)
    dates = np.arange("2020-01-01", "2020-01-05", dtype="datetime64[h]")
    clock = calendar(dates)
    assert clock is not None
    assert clock.shape == (96, 4)
    assert clock[0, 0] == -0.5


def test_sections_of_long_series_are_the_examples_of_training() -> None:
    data = SeriesSet([np.arange(50.0), np.arange(7.0)], section=20)
    assert [stop - start for _, start, stop in data.sections] == [25, 25, 7]
    batch = data.training_batch(np.array([1, 2]))
    assert batch.values[0, 0, 0] == 25
    assert batch.inside[1].sum() == 7
    assert data.batch(np.array([0])).values.shape == (1, 50, 1)
    assert sorted(np.concatenate([*data.sampler(2, 2, seed=0)])) != []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "name,kind\na,b\n", "no row holds numbers alone; line 2: column name holds 'a'"),
        ("a.ts", "@timeStamps true\n@data\n1:a\n", "use a csv with a column time"),
        ("a.txt", "1 2 x\n", "line 1: could not convert string to float: 'x'; expected numbers"),
        ("a.wav", "x", "no file of series that this reads"),
        ("a.txt", "", "holds no series"),
    ],
)
def test_wrong_files_get_one_sentence(name: str, text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=expected):
        load(tmp_path / name)


def test_wrong_arrays() -> None:
    with pytest.raises(ValueError, match="infinite values"):
        SeriesSet([np.array([1.0, np.inf])])
    with pytest.raises(ValueError, match=r"\[1, 2\] channels"):
        SeriesSet([np.zeros(3), np.zeros((3, 2))])
    with pytest.raises(ValueError, match="2 labels for 1 series"):
        SeriesSet([np.zeros(3)], np.zeros(2))
    with pytest.raises(FileNotFoundError, match="embedded are rhythms"):
        load("no such file.csv")


def test_an_epoch_has_all_sections_in_its_order_and_in_its_length() -> None:
    rng = np.random.default_rng(0)
    data = SeriesSet([rng.normal(size=64), rng.normal(size=16)], section=16)
    assert (len(data), data.epoch_size) == (2, 5)
    seen: list[int] = []

    class Watched(SeriesSet):
        def training_batch(self, indices: np.ndarray) -> SeriesBatch:
            seen.extend(indices.tolist())
            return super().training_batch(indices)

    watched = Watched(data.series, section=16)
    method = build("ts2vec", watched, 0, hidden=4, out_features=4, depth=2)
    fit(method, watched, Training(epochs=2, batch_size=1, monitor_every=-1), progress=False)
    assert len(seen) == 10
    assert sorted(seen[:5]) == sorted(seen[5:]) == [0, 1, 2, 3, 4]


def test_series_without_a_value_are_left_out_and_empty_channels_named(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("id,time,a,b\n" + "".join(f"{s},{t},{'' if s == 'y' else t},\n" for s in "xyz" for t in range(9)))
    with pytest.warns(UserWarning, match="channels b of log hold no value"):
        found = load(path, max_bad=0.5)
    assert [*found.ids] == ["x", "z"]
    assert found.skipped["line 11"] == "every value of series y is missing"
    path.write_text("time,a\n1,\n2,\n")
    with pytest.raises(ValueError, match="log holds no value: every step of every series is a gap"):
        load(path)
    np.save(tmp_path / "objects.npy", np.array([1, "a"], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"objects\.npy holds Python objects, which could run any code"):
        load(tmp_path / "objects.npy")
    (tmp_path / "text.npy").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.npy holds "):
        load(tmp_path / "text.npy")


def test_one_step_alone_is_nothing_to_learn_from() -> None:
    with pytest.raises(ValueError, match="one example, and there is nothing to tell it from"):
        workflow.train("ts2vec", collection=SeriesSet([np.ones(1)]), progress=False)


def test_minus_one_is_a_class_and_an_empty_name_is_none() -> None:
    rng = np.random.default_rng(0)
    series = [rng.normal(size=20) * (1 + 9 * (i % 2)) for i in range(12)]
    y = np.array([-1, 1] * 6)
    method = build("ts2vec", SeriesSet(series, y), 0, hidden=4, out_features=4, depth=2).eval()
    assert evaluate(method, SeriesSet(series, y))["svm"] > 0.8
    names = np.array(["calm", "wild"] * 6)
    whole = evaluate(method, SeriesSet(series, names))["svm"]
    names[:2] = ""
    assert 0.5 < evaluate(method, SeriesSet(series, names))["svm"] <= 1
    assert whole > 0.8
    with pytest.warns(UserWarning, match="they name one class only"):
        assert "svm" not in evaluate(method, SeriesSet(series, np.full(12, "calm")))
