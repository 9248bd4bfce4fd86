"""Sounds in archives: those of a folder, in place."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from nearfar.audio.data import load
from nearfar.audio.data.shards import SoundShards
from tests.vision.test_shards import tar

soundfile = pytest.importorskip("soundfile")


def sound(pitch: float, seconds: float = 0.3, form: str = "WAV") -> bytes:
    made = io.BytesIO()
    time = np.arange(int(8000 * seconds)) / 8000
    soundfile.write(made, 0.3 * np.sin(2 * np.pi * pitch * time), 8000, format=form)
    return made.getvalue()


def test_archives_hold_what_a_folder_holds(tmp_path: Path) -> None:
    files = {f"{kind}/{i}.flac": sound(200 * (i + 1), form="FLAC") for kind in ("high", "low") for i in range(3)}
    for name, content in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    folder = load(tmp_path / "folder", resample=8000)
    found = load(tar(tmp_path / "a.tar", files), resample=8000)
    assert isinstance(found, SoundShards)
    assert found.labels.tolist() == folder.labels.tolist()
    rows = np.array([4, 0, 2])
    again = pickle.loads(pickle.dumps(found))
    for ours, theirs in zip(again.batch(rows), folder.batch(rows), strict=True):
        assert torch.equal(ours, theirs) if torch.is_tensor(theirs) else ours == theirs
    assert found.ids[0] == "a.tar/high/0.flac"
    assert found.contents().keys() == {"a.tar"}


def test_parts_labels_sections_and_what_is_no_sound(tmp_path: Path) -> None:
    for part, count in (("train-0", 4), ("train-1", 3), ("test-0", 2)):
        members: dict[str, bytes] = {}
        for i in range(count):
            members |= {f"{i}.wav": sound(300 + 50 * i, 1.0), f"{i}.json": b'{"label": "hum"}'}
        tar(tmp_path / "set" / f"{part}.tar", members)
    tar(tmp_path / "set" / "train-2.tar", {"x.wav": b"RIFF and nothing", "notes.txt": b"of the day"})
    with pytest.warns(UserWarning, match="1 of 8 sounds"):
        data = load(tmp_path / "set", resample=8000, longest=0.4, max_bad=0.5)
    assert (len(data), len(data.splits()["test"]), set(data.labels)) == (7, 2, {"hum"})
    assert data.epoch_size == 14  # two sections of each
    assert [*data.skipped] == ["train-2.tar/x.wav"]
    with pytest.raises(ValueError, match="holds no readable sound"):
        load(tar(tmp_path / "b.tar", {"a.txt": b"x"}))


def test_sounds_at_a_url(tmp_path: Path) -> None:
    with fsspec.open("memory://sounds/a.tar", "wb") as file:
        file.write(tar(tmp_path / "a.tar", {f"{i}.wav": sound(300 + i) for i in range(3)}).read_bytes())
    assert load("memory://sounds", resample=8000).ids.tolist() == ["a.tar/0.wav", "a.tar/1.wav", "a.tar/2.wav"]
    fsspec.filesystem("memory").rm("/sounds", recursive=True)
