"""Embedding into a folder, file by file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.evaluation import Embeddings
from nearfar.training.embed import embed, embed_to
from tests.toy import Toy, Vectors


def build() -> Toy:
    torch.manual_seed(0)
    return Toy()


def test_a_folder_holds_what_memory_would(tmp_path) -> None:
    data, method = Vectors(100), build()
    whole = embed(method, data, batch_size=7)
    written = embed_to(method, data, tmp_path / "vectors", batch_size=7, per_file=30, provenance={"run": "r"})
    assert written == (100, 16)
    names = sorted(path.name for path in (tmp_path / "vectors").iterdir())
    assert names == ["embeddings.json", *(f"part-{n:06d}.parquet" for n in range(4))]
    found = Embeddings.load(tmp_path / "vectors")
    assert np.allclose(found.array, whole.array, atol=1e-6)
    assert np.array_equal(found.ids, whole.ids)
    assert np.array_equal(found.labels, whole.labels)
    assert found.provenance["run"] == "r"
    assert len(Embeddings.load(tmp_path / "vectors" / "part-000003.parquet")) == 10


class Counting(Vectors):
    """Ends like an interrupted job after some batches, and counts the examples it gave."""

    given, limit = 0, 10**9

    def contents(self) -> dict[str, str]:
        return {"examples": str(len(self))}

    def batch(self, indices: np.ndarray):
        if self.given >= self.limit:
            raise KeyboardInterrupt
        self.given += len(indices)
        return super().batch(indices)


def test_an_interrupted_folder_is_continued_after_its_last_file(tmp_path) -> None:
    folder, method = tmp_path / "vectors", build()
    cut = Counting(100)
    cut.limit = 50
    with pytest.raises(KeyboardInterrupt):
        embed_to(method, cut, folder, batch_size=10, per_file=20)
    with pytest.raises(ValueError, match="holds 2 of 5 files"):
        Embeddings.load(folder)
    assert not [*folder.glob(".*")]
    rest = Counting(100)
    embed_to(method, rest, folder, batch_size=10, per_file=20)
    assert rest.given == 60
    assert np.allclose(Embeddings.load(folder).array, embed(method, Vectors(100)).array, atol=1e-6)


def test_a_folder_is_never_mixed_or_replaced_unasked(tmp_path) -> None:
    folder, method = tmp_path / "vectors", build()
    embed_to(method, Vectors(40), folder, per_file=20)
    with pytest.raises(FileExistsError, match="is complete"):
        embed_to(method, Vectors(40), folder, per_file=20)
    with pytest.raises(FileExistsError, match="other embeddings"):
        embed_to(method, Vectors(60), folder, per_file=20)
    torch.manual_seed(1)
    other = Toy()
    with pytest.raises(FileExistsError, match="other embeddings"):
        embed_to(other, Vectors(40), folder, per_file=20)
    embed_to(other, Vectors(40), folder, per_file=30, overwrite=True)
    assert np.allclose(Embeddings.load(folder).array, embed(other, Vectors(40)).array, atol=1e-6)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not a folder of embeddings"):
        embed_to(method, Vectors(40), tmp_path / "mine", overwrite=True)
    with pytest.raises(ValueError, match=r"no embeddings\.json"):
        Embeddings.load(tmp_path / "mine")


class Unreadable(Vectors):
    """Every seventh example turns out to be unreadable."""

    def readable(self, rows: np.ndarray) -> np.ndarray:
        return rows % 7 != 0


def test_unreadable_examples_have_no_row(tmp_path) -> None:
    data, method = Unreadable(40), build()
    whole = embed(method, data, batch_size=9)
    assert len(whole) == 34
    assert (whole.ids % 7 != 0).all()
    assert embed_to(method, data, tmp_path / "vectors", batch_size=9, per_file=15).rows == 34
    found = Embeddings.load(tmp_path / "vectors")
    assert np.array_equal(found.ids, whole.ids)
    assert np.array_equal(found.labels, data.labels[whole.ids])
