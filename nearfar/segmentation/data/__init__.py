"""Where labelled scenes come from: the embedded street, rendered in several appearances."""

from __future__ import annotations

from nearfar.segmentation.data.scenes import RenderedScenes
from nearfar.segmentation.street import HELD_OUT_APPEARANCES, TRAINING_APPEARANCES
from nearfar.training import Data

__all__ = ["EMBEDDED", "RenderedScenes", "load"]

EMBEDDED = {"street": "a procedural street in four appearances, and two more that are held out"}


def load(data: str | Data | None = None, *, size: int | None = None, scenes: int = 160) -> Data:
    """Scenes from wherever they are.

    Args:
        data: an embedded name; ``street`` when nothing is given.
        size: height in pixels; the width is twice that. 64 for embedded scenes.
        scenes: number of embedded scenes for training; 40 others are held out, in the four appearances and in
            the two that training never shows.
    """
    if isinstance(data, Data):
        return data
    if data not in (None, *EMBEDDED):
        raise FileNotFoundError(f"there is no embedded data called {data!r}; embedded are {', '.join(EMBEDDED)}")
    height = size or 64
    shape = (height, 2 * height)
    held_out = range(100_000, 100_040)
    splits = {
        "seen appearances": RenderedScenes(held_out, TRAINING_APPEARANCES, shape, name="seen appearances"),
        "unseen appearances": RenderedScenes(held_out, HELD_OUT_APPEARANCES, shape, name="unseen appearances"),
    }
    return RenderedScenes(range(scenes), TRAINING_APPEARANCES, shape, name="street", splits=splits)
