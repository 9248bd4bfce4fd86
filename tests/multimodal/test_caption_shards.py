"""Captioned pictures in shards and in parquet, one caption of a picture in a batch."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from nearfar.cli import main
from nearfar.multimodal.data import CaptionedImages, CaptionedShards, load
from nearfar.multimodal.evaluation import retrieve
from nearfar.multimodal.methods.zerovl import ZeroVL
from tests.vision.test_shards import jpeg as noisy
from tests.vision.test_shards import tar


def jpeg(shade: int) -> bytes:
    made = io.BytesIO()
    Image.fromarray(np.full((12, 16, 3), shade, np.uint8)).save(made, "JPEG")
    return made.getvalue()


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """As img2dataset writes them: three shards of four pictures, some with several captions, one without."""
    for shard in range(3):
        members: dict[str, bytes] = {}
        for i in range(4):
            number = 4 * shard + i
            lines = "\n".join(f"shade {number}, said {line}" for line in range(1 + i % 3))
            told = {"caption": lines, "url": "http://x", "key": f"{number:09}", "status": "success"}
            members |= {f"{number:09}.jpg": jpeg(20 * number), f"{number:09}.json": json.dumps(told).encode()}
            if i != 3:
                members[f"{number:09}.txt"] = lines.encode()
        tar(tmp_path / "set" / f"{shard:05}.tar", members)
    return tmp_path / "set"


def test_captions_beside_pictures_in_shards(shards: Path) -> None:
    data = load(shards, size=8)
    assert isinstance(data, CaptionedShards)
    assert len(data) == 3 * (1 + 2 + 3 + 1)
    batch = data.batch(np.array([3, 7, 3]))
    assert batch.captions == ["shade 2, said 0", "shade 4, said 0", "shade 2, said 0"]
    assert (batch.images.float().mean((1, 2, 3)) - torch.tensor([40.0, 80.0, 40.0])).abs().max() < 2
    assert data.ids[2] == "00000.tar/000000001.jpg#1"
    assert load(shards, size=8, caption_column="key").captions[:2] == ["000000000", "000000001"]


def test_two_captions_of_a_picture_never_meet(shards: Path) -> None:
    data = load(shards, size=8)
    for mix in (0, 1):
        data.pictures.mix = mix
        seen: set[int] = set()
        for rows in data.sampler(12, 40, seed=1):  # all pictures in one batch
            assert len(set(data.picture[rows])) == len(rows) == 12
            seen |= set(rows.tolist())
        assert seen == set(range(len(data)))  # in time every caption is drawn
    first, second = (data.order(np.random.default_rng(seed)) for seed in (5, 5))
    assert first.tolist() == second.tolist()


def test_nor_do_they_in_tables_folders_and_steps_of_one_source(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(40 * number))
    lines = [{"image": f"{n % 4}.jpg", "caption": f"c{n}", "source": "ab"[n % 4 // 2]} for n in range(12)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    table = load(tmp_path / "train.jsonl", size=8)
    assert isinstance(table, CaptionedImages)
    assert [len({n % 4 for n in rows}) for rows in table.sampler(4, 9, seed=0)] == [4] * 9
    method: Any = SimpleNamespace(debiased=True, examples_per_step=2)
    order = ZeroVL.order(method, table, np.random.default_rng(0)).reshape(2, 2) % 4
    assert all(set(step) in ({0, 1}, {2, 3}) for step in order.tolist())
    (tmp_path / "train.jsonl").unlink()
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text(f"one {number}\ntwo {number}\n")
    beside = load(tmp_path, size=8)
    assert [len({n // 2 for n in rows}) for rows in beside.sampler(4, 9, seed=0)] == [4] * 9


def test_hugging_face_files_with_lists_of_captions(tmp_path: Path) -> None:
    def write(name: str, numbers: range) -> None:
        images = [{"bytes": jpeg(20 * n), "path": f"{n}.jpg"} for n in numbers]
        columns = {"picture": images, "caption": [[f"a {n}", f"b {n}"][: n % 3] for n in numbers]}
        pq.write_table(pa.table(columns), tmp_path / name)

    write("train-00000-of-00002.parquet", range(4))
    write("train-00001-of-00002.parquet", range(4, 8))
    write("test-00000-of-00001.parquet", range(1, 3))
    with pytest.warns(UserWarning, match="it has no caption"):
        data = load(tmp_path, size=8, image_column="picture", max_bad=0.5)
    assert isinstance(data, CaptionedImages)
    assert data.captions[:4] == ["a 1", "a 2", "b 2", "a 4"]  # of both files
    assert data.shows is not None
    assert data.shows[:4].tolist() == [0, 1, 1, 2]
    assert len(data.splits()["test"]) == 3
    with pytest.raises(ValueError, match=r"no column of 'words': its columns are picture, caption"):
        load(tmp_path / "test-00000-of-00001.parquet", caption_column="words")


def test_pictures_without_captions_and_damaged_ones(shards: Path) -> None:
    noise = noisy(40)
    torn = noise[:200] + (b"\xff\xd8" * len(noise))[: len(noise) - 202] + noise[-2:]  # its end is that of a whole one
    members = {"000000004.jpg": jpeg(80), "000000005.jpg": torn, "000000006.jpg": jpeg(120)}
    texts = {f"00000000{n}.txt": f"shade {n}\n{n} again".encode() for n in (4, 5, 6)}
    tar(shards / "00001.tar", members | texts)
    tar(shards / "00003.tar", {"a.jpg": jpeg(9), "b.jpg": jpeg(9), "b.txt": b"\xff\xfe"})
    with pytest.warns(UserWarning, match="left out"):
        data = load(shards, size=8, max_bad=0.5)
    assert data.skipped["00003.tar/a.jpg"].startswith("it has no caption")
    pairs = np.array([data.captions.index("shade 5"), data.captions.index("5 again")])
    assert data.batch(pairs[1:]).captions == ["shade 6"]  # with its own caption another picture stands in
    assert data.readable(np.arange(len(data))).sum() == len(data) - len(pairs)
    alone = tar(shards.parent / "alone.tar", {"a.jpg": jpeg(9)})
    with pytest.raises(ValueError, match="no picture with a caption"):
        load(alone, max_bad=1.0)


def test_retrieval_and_training_by_command(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fs = fsspec.filesystem("memory")
    fs.put(f"{shards}/", "/pairs/", recursive=True)
    words = ["--data", "memory://pairs", "--preset", "laptop", "--size", "16", "--steps", "1", "--batch-size", "6"]
    assert main(["train", "clip", *words, "--out", str(tmp_path / "run"), "--json"]) == 0
    assert np.isfinite(json.loads(capsys.readouterr().out)["train/loss"])
    from nearfar import workflow

    _, method, _ = workflow.load_run(tmp_path / "run")
    assert set(retrieve(method, load(shards, size=16))) == {"R@1 image to text", "R@1 text to image"}
    fs.rm("/pairs", recursive=True)
