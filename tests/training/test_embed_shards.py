"""Embedding into a folder, file by file."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from nearfar.cli import main
from nearfar.evaluation import Embeddings
from nearfar.evaluation.embeddings.index import written_index
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


def test_shares_make_every_row_once_whichever_of_them_is_stopped(tmp_path) -> None:
    folder, method = tmp_path / "vectors", build()
    stopped = Counting(100)
    stopped.limit = 20
    embed_to(method, Counting(100), folder, batch_size=10, per_file=10, share=(3, 3))
    with pytest.raises(KeyboardInterrupt):
        embed_to(method, stopped, folder, batch_size=10, per_file=10, share=(1, 3))
    embed_to(method, Counting(100), folder, batch_size=10, per_file=10, share=(2, 3))
    with pytest.raises(ValueError, match="holds 8 of 10 files"):
        Embeddings.load(folder)
    again = Counting(100)
    embed_to(method, again, folder, batch_size=10, per_file=10, share=(1, 3))
    assert again.given == 20
    found = Embeddings.load(folder)
    assert found.ids.tolist() == list(range(100))
    assert np.allclose(found.array, embed(method, Vectors(100)).array, atol=1e-6)
    with pytest.raises(FileExistsError, match="is complete in what share 2 of 3 makes"):
        embed_to(method, Counting(100), folder, per_file=10, share=(2, 3))
    assert embed_to(method, Counting(100), folder, per_file=10, share=(12, 12)) == (100, 16)  # of 10 files
    for wrong in ((0, 3), (4, 3)):
        with pytest.raises(ValueError, match="a share is 1 of 1"):
            embed_to(method, Counting(100), tmp_path / "x", share=wrong)
    with pytest.raises(ValueError, match="give a folder"):
        embed_to(method, Counting(100), tmp_path / "x.npz", share=(1, 2))


@pytest.mark.long
def test_a_killed_process_of_two_is_called_again(tmp_path) -> None:
    """By command, on files, with SIGKILL while it writes."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "set.npz", images=rng.integers(0, 256, (3000, 16, 16, 3), dtype=np.uint8))
    run, out = tmp_path / "run", tmp_path / "vectors"
    words = ["--data", str(tmp_path / "set.npz"), "--encoder", "small-conv", "--steps", "1", "--batch-size", "8"]
    assert main(["train", "simclr", *words, "--out", str(run)]) == 0

    def start(share: str) -> subprocess.Popen[bytes]:
        command = ["embed", str(run), "-o", str(out), "--share", share, "--per-file", "10"]
        return subprocess.Popen([sys.executable, "-m", "nearfar", *command], stderr=subprocess.DEVNULL)

    first, second = start("1/2"), start("2/2")
    deadline = time.monotonic() + 250
    while not (out / "part-000010.parquet").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    first.kill()
    first.wait()
    assert second.wait(200) == 0
    with pytest.raises(ValueError, match="of 300 files"):
        Embeddings.load(out)
    assert start("1/2").wait(200) == 0
    assert Embeddings.load(out).ids.tolist() == list(range(3000))


def test_half_of_the_bytes(tmp_path) -> None:
    method, data = build(), Vectors(40)
    whole = embed(method, data)
    for name in ("half", "half.parquet", "half.npz"):
        embed_to(method, data, tmp_path / name, half=True)
        found = Embeddings.load(tmp_path / name)
        assert np.abs(found.array - whole.array).max() < 2e-3 * np.abs(whole.array).max()
        assert np.array_equal(found.ids, whole.ids)
    embed_to(method, data, tmp_path / "half.npy", half=True)
    assert np.load(tmp_path / "half.npy").dtype == np.float16
    with pytest.raises(FileExistsError, match="other embeddings"):
        embed_to(method, data, tmp_path / "half")
    with pytest.raises(ValueError, match="half is for"):
        whole.save(tmp_path / "half.csv", half=True)
    with pytest.raises(ValueError, match="float16 holds up to 65,504"):
        Embeddings(whole.array + 1e6, whole.ids).save(tmp_path / "large.npy", half=True)


def test_an_index_that_faiss_searches(tmp_path) -> None:
    faiss = pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 16))
    array = (centres[rng.integers(60, size=3000)] + 0.3 * rng.normal(size=(3000, 16))).astype(np.float32)
    Embeddings(array, np.arange(3000)).save(tmp_path / "exact.faiss")
    unit = array / np.linalg.norm(array, axis=1, keepdims=True)
    cosines = unit[:100] @ unit.T
    _, rows = faiss.read_index(str(tmp_path / "exact.faiss")).search(unit[:100], 5)
    best = np.argsort(-cosines, axis=1)[:, :5]
    assert np.allclose(np.take_along_axis(cosines, rows, 1), np.take_along_axis(cosines, best, 1), atol=1e-5)
    lists = faiss.deserialize_index(np.frombuffer(written_index(array, exact=1000), np.uint8))
    assert (lists.ntotal, lists.nlist, lists.nprobe) == (3000, 216, 32)
    _, found = lists.search(unit[:100], 5)
    recall = np.mean([len({*a} & {*b}) / 5 for a, b in zip(found, best, strict=True)])
    assert recall > 0.9
    with pytest.raises(ValueError, match="NaN or infinite"):
        written_index(np.full((3, 2), np.nan, np.float32))


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
