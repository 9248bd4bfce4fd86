"""Embeddings: what is written comes back, whole or not at all, and nothing in a file is executed."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from nearfar.evaluation import Embeddings
from nearfar.evaluation.embeddings.table import appearing

ORIGIN = {"method": "simclr", "run": "runs/a", "data": "digits", "version": "0.1", "created": "2024-01-01"}


def example(labels=None, ids=None):
    array = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    return Embeddings(array, np.arange(5) if ids is None else ids, labels, dict(ORIGIN))


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
@pytest.mark.parametrize(
    "labels", [None, np.array([1, 0, 2, 1, 0]), np.array(list("abcab")), np.arange(5) / 7, np.arange(5) > 2]
)
@pytest.mark.parametrize("ids", [np.arange(5) * 10, np.array(["x", "yy", "z/1.png", "ü", ""])])
def test_round_trip(tmp_path, suffix, labels, ids):
    before = example(labels, ids)
    after = Embeddings.load(before.save(tmp_path / f"vectors{suffix}"))
    assert np.array_equal(after.array, before.array)
    assert after.array.dtype == np.float32
    assert np.array_equal(after.ids, before.ids)
    assert (after.labels is None) == (labels is None)
    assert labels is None or (np.array_equal(after.labels, labels) and after.labels.dtype == labels.dtype)
    assert after.provenance == ORIGIN
    assert [p.name for p in tmp_path.iterdir()] == [f"vectors{suffix}"]


def test_never_overwrites_unless_asked(tmp_path):
    path = example().save(tmp_path / "v.npz")
    content = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        example(labels=np.ones(5)).save(path)
    assert path.read_bytes() == content
    example(labels=np.ones(5)).save(path, overwrite=True)
    assert Embeddings.load(path).labels is not None


def test_file_that_appears_while_writing_is_kept(tmp_path, monkeypatch):
    path, flush = tmp_path / "v.npz", os.fsync

    def flush_late(descriptor):
        path.write_text("somebody else's")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", flush_late)
    with pytest.raises(FileExistsError):
        example().save(path)
    assert path.read_text() == "somebody else's"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, suffix):
    path = example().save(tmp_path / f"v{suffix}")
    content = path.read_bytes()

    def full_disk(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        example(labels=np.ones(5)).save(path, overwrite=True)
    assert path.read_bytes() == content
    assert len(list(tmp_path.iterdir())) == 1


def test_reads_parquet_of_others(tmp_path):
    rows = [[1.0, 2.0], [3.0, 4.0]]
    pq.write_table(pa.table({"embedding": pa.array(rows, pa.list_(pa.float64()))}), tmp_path / "v.parquet")
    found = Embeddings.load(tmp_path / "v.parquet")
    assert np.array_equal(found.array, np.array(rows, np.float32))
    assert found.ids.tolist() == [0, 1]
    assert found.provenance == {}
    pq.write_table(pa.table({"embedding": [[1.0], [2.0, 3.0]]}), tmp_path / "ragged.parquet")
    with pytest.raises(ValueError, match="one length"):
        Embeddings.load(tmp_path / "ragged.parquet")
    pq.write_table(pa.table({"vector": rows}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="'embedding' column"):
        Embeddings.load(tmp_path / "other.parquet")


def test_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "v.npz", embedding=np.ones((2, 2)), id=np.array([{"a": 1}, {}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        Embeddings.load(tmp_path / "v.npz")


def test_tensors_lists_and_missing_values_are_taken(tmp_path):
    array = torch.tensor([[1.0, float("nan")], [2.0, 3.0]], dtype=torch.bfloat16, requires_grad=True)
    found = Embeddings(array, ["a", "b"], torch.tensor([1, 2]))
    assert found.array.dtype == np.float32
    assert np.isnan(Embeddings.load(found.save(tmp_path / "v.npz")).array[0, 1])
    assert Embeddings(np.ones((2, 2)), np.array(["a", "b"], dtype=object)).ids.tolist() == ["a", "b"]


def test_normalized_and_select():
    all_rows = Embeddings([[3.0, 4.0], [0.0, 0.0], [1e-30, 0.0]], ["a", "b", "c"], [0, 1, 2], {"run": "r"})
    np.testing.assert_allclose(all_rows.normalized().array, [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6)
    picked = all_rows.select([2, 0])
    assert len(picked) == 2
    assert (picked.ids.tolist(), picked.labels.tolist()) == (["c", "a"], [2, 0])
    assert picked.provenance == {"run": "r"}
    assert all_rows.select(np.array([False, True, False])).ids.tolist() == ["b"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((np.ones(3), [0, 1, 2]), "array"),
        ((np.ones((0, 3)), []), "array"),
        ((np.ones((2, 3)), [0]), "ids"),
        ((np.ones((2, 3)), [0.5, 1]), "ids"),
        ((np.ones((2, 3)), [0, 1], [0]), "labels"),
        ((np.array([["a", "b"]]), [0]), "array"),
    ],
)
def test_what_is_no_embedding(arguments, named):
    with pytest.raises(ValueError, match=named):
        Embeddings(*arguments)


def test_unknown_or_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"\.parquet, \.npz, \.npy, \.csv or \.faiss"):
        example().save(tmp_path / "v.txt")
    with pytest.raises(FileNotFoundError, match="no embeddings at"):
        Embeddings.load(tmp_path / "v.npz")


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(tmp_path):
    (tmp_path / ".v.npz.abc.part").write_bytes(b"left")
    (tmp_path / ".other.npz.abc.part").write_bytes(b"not ours")
    with appearing(tmp_path / "v.npz", overwrite=True) as file:
        file.write(b"half")
        example().save(tmp_path / "v.npz")  # another process, meanwhile
        assert len(list(tmp_path.glob(".v.npz.*.part"))) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [".other.npz.abc.part", "v.npz"]
    assert (tmp_path / "v.npz").read_bytes() == b"half"
