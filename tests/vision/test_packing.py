"""Pictures packed into shards: all of them once, small, labelled, and never over anything that is there."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearfar.cli import main
from nearfar.sources.shards import writing
from nearfar.sources.shards.index import index_of
from nearfar.sources.shards.samples import split_name
from nearfar.vision.data import load
from nearfar.vision.data.decode import decode
from nearfar.vision.packing import pack, shrunk

RNG = np.random.default_rng(0)


def picture(path: Path, height: int, width: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path, quality=95)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in train and test, one picture smaller than what is packed to."""
    root = tmp_path_factory.mktemp("photos")
    for kind in ("cats", "dogs"):
        for i in range(4):
            picture(root / "train" / kind / f"{i}.jpg", 60 + i, 90)
        picture(root / "test" / kind / "0.png", 70, 64)
    picture(root / "train" / "dogs" / "small.png", 20, 30)
    return root


def told_of(data, row: int) -> str:

    index = index_of(data.members.shards[data.members.shard[row]])
    return index.texts[index.names.index(f"{split_name(data.members.name(row))[0]}.json")]


def test_packed_pictures_are_the_folder_s(photos: Path, tmp_path: Path) -> None:
    before = load(photos, size=32)
    found = pack(before, tmp_path / "out", size=40, per_shard=4)
    assert (found.pictures, found.shards, found.skipped) == (11, 4, 0)
    assert found.bytes == sum(f.stat().st_size for f in (tmp_path / "out").glob("t*"))
    data = load(tmp_path / "out", size=32)
    assert (len(data), len(data.splits()["test"])) == (9, 2)
    origin = [json.loads(told_of(data, row))["file"] for row in range(9)]
    assert sorted(origin) == sorted(before.ids)
    assert origin != sorted(origin)
    rows = [before.ids.tolist().index(name) for name in origin]
    assert data.labels.tolist() == before.labels[rows].tolist()
    ours, theirs = data.batch(np.arange(9)).images.float(), before.batch(np.array(rows)).images.float()
    assert (ours - theirs).abs().mean() < 4  # of 255; what JPEG and another size leave
    shorter = [min(decode(data.encoded(row)).shape[:2]) for row in range(9)]
    assert sorted(shorter) == [20] + [40] * 8


def test_small_files_stay_to_the_byte_and_large_ones_are_averaged(photos: Path) -> None:
    small = photos / "train" / "dogs" / "small.png"
    assert shrunk(str(small), 40, 90) == ("png", small.read_bytes())
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255  # finer than what is left: without averaging they would be a pattern
    made = io.BytesIO()
    Image.fromarray(stripes).save(made, "PNG")
    ending, content = shrunk(made.getvalue(), 50, 95)
    assert ending == "jpg"
    assert np.abs(decode(content).astype(int) - 127).max() < 6


def test_an_interrupted_pack_goes_on_to_the_same_bytes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load(photos / "train", size=32)
    pack(data, tmp_path / "whole", size=24, per_shard=3)
    calls: list[Path] = []

    def stop(path: Path, examples) -> int:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return writing.write_shard(path, examples)

    monkeypatch.setattr("nearfar.vision.packing.write_shard", stop)
    with pytest.raises(KeyboardInterrupt):
        pack(data, tmp_path / "cut", size=24, per_shard=3)
    monkeypatch.undo()
    first = (tmp_path / "cut" / "00000.tar").stat().st_mtime_ns
    pack(data, tmp_path / "cut", size=24, per_shard=3)
    assert (tmp_path / "cut" / "00000.tar").stat().st_mtime_ns == first
    for name in ("00000.tar", "00001.tar", "00002.tar"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_nothing_is_overwritten_and_room_is_asked_for(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load(photos / "train", size=32)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds other things"):
        pack(data, tmp_path / "full")
    pack(data, tmp_path / "out", size=24)
    with pytest.raises(FileExistsError, match="another size"):
        pack(data, tmp_path / "out", size=32)
    with pytest.raises(ValueError, match="quality must be from 1 to 100, got 0"):
        pack(data, tmp_path / "x", quality=0)
    with pytest.raises(ValueError, match="not made of picture files"):
        pack(load("digits"), tmp_path / "x")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(OSError, match=r"room for 0\.0 GB, and the shards need"):
        pack(data, tmp_path / "x")


def test_a_folder_of_pictures_is_checked_as_pictures(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "check", str(photos)])
    assert "examples" in capsys.readouterr().out
    assert not photos.joinpath("rgb").exists()
    photos.joinpath("rgb").mkdir()  # which folders of scenes have
    try:
        assert main(["data", "check", str(photos)]) == 2
        assert "rgb/{appearance}/{scene}.png" in capsys.readouterr().err
    finally:
        photos.joinpath("rgb").rmdir()


def test_packing_and_checking_by_command(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "shards"
    assert main(["data", "pack", str(photos), "-o", str(out), "--size", "24"]) == 0
    said = capsys.readouterr().err
    assert "11 pictures of" in said
    assert "11 pictures in 2 shards take" in said
    assert main(["data", "check", str(out)]) == 0
    assert "9 examples" in capsys.readouterr().out
    content = bytearray((out / "train-00000.tar").read_bytes())
    content[100] ^= 1  # in the first header
    (out / "train-00000.tar").write_bytes(content)
    (out / "train-00000.tar.index").unlink()
    code, said = main(["data", "check", str(out)]), capsys.readouterr().out
    assert (code, "left out" in said) == (1, True)
