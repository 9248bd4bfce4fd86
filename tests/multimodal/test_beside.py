"""Pictures with a text file beside each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearfar.multimodal.data import CaptionedImages, load


def save(folder: Path, name: str, shade: int, text: str | bytes | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(folder / f"{name}.png")
    if text is not None:
        (folder / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_every_line_beside_a_picture_is_a_caption(tmp_path: Path) -> None:
    save(tmp_path / "train", "a", 10, "a dark thing\n\nnearly black\n")
    save(tmp_path / "train/more", "b", 200, "a bright thing")
    save(tmp_path / "test", "c", 90, "a grey thing")
    found = load(tmp_path, size=8)
    assert isinstance(found, CaptionedImages)
    assert found.captions == ["a dark thing", "nearly black", "a bright thing"]
    assert found.images[:, 0, 0, 0].tolist() == [10, 10, 200]
    test = found.splits()["test"]
    assert isinstance(test, CaptionedImages)
    assert test.captions == ["a grey thing"]


def test_what_cannot_be_used_is_listed(tmp_path: Path) -> None:
    for row in range(8):
        save(tmp_path, f"good{row}", 20 * row, f"thing {row}")
    save(tmp_path, "alone", 0, None)
    save(tmp_path, "empty", 0, "\n")
    save(tmp_path, "latin", 0, b"caf\xe9")
    (tmp_path / "torn.png").write_bytes(b"no picture")
    (tmp_path / "torn.txt").write_text("a torn one")
    with pytest.warns(UserWarning, match="4 of 12 pairs"):
        found = load(tmp_path, size=8, max_bad=0.5)
    assert isinstance(found, CaptionedImages)
    assert len(found) == 8
    assert found.skipped is not None
    assert found.skipped["alone.png"] == "there is no alone.txt beside it"
    assert found.skipped["empty.png"] == "empty.txt holds no caption"
    assert "is not UTF-8" in found.skipped["latin.png, line 1 of latin.txt"]
    assert found.skipped["torn.png, line 1 of torn.txt"].startswith("torn.png: ")


def test_a_folder_without_texts_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "a", 0, None)
    with pytest.raises(ValueError, match="none of its 1 pictures has captions in a file of its name"):
        load(tmp_path)
