"""The page of what generating systems make shows each of them, as the commands beside it made it."""

from __future__ import annotations

import wave

import numpy as np
import pytest
from PIL import Image

from nearfar.catalogue import ENTRIES
from tests.tools import tool

made = tool("made")


def test_every_generating_system_is_shown() -> None:
    assert set(made.STEPS) == {e.slug for e in ENTRIES if e.field == "generation" and e.kind != "data set"}
    assert (made.DOCS / "made.md").read_text() == made.page()


@pytest.mark.parametrize("slug", made.STEPS)
def test_a_picture_is_small_and_shows_something(slug: str) -> None:
    path = made.FOLDER / f"{slug}.png"
    assert path.stat().st_size <= made.LARGEST
    with Image.open(path) as image:
        assert image.info["caption"]
        assert np.asarray(image.convert("L")).std() > 5


def test_speech_can_be_heard() -> None:
    with wave.open(str(made.FOLDER / "ctap-diffusion-tts.wav")) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
        assert len(samples) > 0.1 * sound.getframerate()
    assert samples.astype(float).std() > 50
