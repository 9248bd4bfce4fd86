"""Vectors in files, searched exactly part by part and through inverted lists on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nearfar.cli import main
from nearfar.evaluation import Embeddings
from nearfar.evaluation.embeddings import on_disk
from nearfar.evaluation.embeddings.on_disk import Inverted, Vectors, exact, recall

COUNT, WIDTH = 3000, 16


@pytest.fixture(scope="module")
def array() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((60, WIDTH)) * 2
    return (centres[rng.integers(60, size=COUNT)] + rng.standard_normal((COUNT, WIDTH))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(array: np.ndarray, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("searched") / "vectors"
    place.mkdir()
    ids = np.array([f"id {row}" for row in range(COUNT)])
    for number, start in enumerate((0, 1000, 1700)):
        part = slice(start, (1000, 1700, COUNT)[number])
        Embeddings(array[part], ids[part]).save(place / f"part-{number:06d}.parquet")
    return place


@pytest.fixture(scope="module")
def queries(array: np.ndarray) -> np.ndarray:
    return array[::60] + np.random.default_rng(1).standard_normal((50, WIDTH)).astype(np.float32) * 0.1


def true_rows(array: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    x, q = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (array.astype(float), queries.astype(float)))
    return np.argsort(-(q @ x.T), axis=1, kind="stable")[:, :k]


def test_exact_search_reads_parts_and_finds_all(folder, array, queries, monkeypatch) -> None:
    monkeypatch.setattr(on_disk, "AT_ONCE", 333)
    values, rows = exact(Vectors(folder), queries, 7)
    assert recall(rows, true_rows(array, queries, 7)) == 1.0
    assert (np.diff(values, axis=1) <= 0).all()
    assert Vectors(folder).ids(rows[:2, :2]).tolist() == [[f"id {r}" for r in line] for line in rows[:2, :2]]


def test_more_lists_find_more_and_all_lists_find_all(folder, array, queries, tmp_path, monkeypatch) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr(on_disk, "AT_ONCE", 500)
    place = Inverted.build(Vectors(folder), tmp_path / "index", lists=40)
    assert sorted(path.name for path in place.iterdir()) == ["index.faiss", "index.json", "lists.ivfdata"]
    moved = place.rename(tmp_path / "moved")  # the lists are found beside the index, wherever that is
    true = true_rows(array, queries, 10)
    found = [recall(Inverted(moved, probe).nearest(queries, 10)[1], true) for probe in (1, 4, 40)]
    assert found[0] < 1.0
    assert found == sorted(found)
    assert found[-1] == 1.0
    with pytest.raises(FileExistsError, match="exists"):
        Inverted.build(Vectors(folder), moved)
    with pytest.raises(ValueError, match="lists must be from 1 to the 3000 vectors"):
        Inverted.build(Vectors(folder), tmp_path / "other", lists=4000)
    assert not (tmp_path / "other").exists()


def test_the_command_measures_recall_and_refuses_an_index_of_others(folder, queries, tmp_path, capsys) -> None:
    pytest.importorskip("faiss")
    asked = Embeddings(queries, np.arange(len(queries))).save(tmp_path / "queries.parquet")
    words = ["neighbours", str(folder), str(asked), "-k", "5"]
    assert main([*words, "-o", str(tmp_path / "exact.parquet")]) == 0
    for name in ("ivf", "again"):
        lists = ["--index", "ivf", "--lists", "20", "--probe", "20", "-o", str(tmp_path / f"{name}.parquet")]
        assert main([*words, *lists]) == 0
    said = capsys.readouterr().err
    assert said.count("recall@5 1.0000 of exact, on 50 queries") == 2
    assert said.count("index of 3,000 vectors") == 1
    tables = [pq.read_table(tmp_path / f"{name}.parquet").to_pydict() for name in ("exact", "ivf")]
    assert tables[0]["neighbour"] == tables[1]["neighbour"]
    assert tables[0]["query"][:6] == ["0"] * 5 + ["1"]
    note = folder.with_name("vectors.ivf") / "index.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "files": []}))
    assert main([*words, *lists, "--overwrite"]) != 0
    assert "is an index of other vectors" in capsys.readouterr().err


def test_what_is_no_folder_of_vectors_is_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no parquet files of vectors"):
        Vectors(tmp_path)
    with pytest.raises(FileNotFoundError, match="no index of vectors"):
        Inverted(tmp_path)
