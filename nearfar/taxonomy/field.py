"""Reviews of the subject, as a field: questions that several systems answer, on pictures of drawn shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nearfar.system import Field, Scores
from nearfar.training import Data
from nearfar.vision.data import load as load_images


def load(data: str | Path | Data | None = None, *, size: int | None = None) -> Data:
    """Pictures, as vision reads them; drawn shapes of known factors when nothing is given.

    Args:
        data: what vision reads.
        size: side in pixels.
    """
    return load_images("shapes" if data is None else data, size=size)


def protocol(method: Any, data: Data, *, seed: int = 0) -> Scores:
    """Reviews are measured by their reproductions alone."""
    raise ValueError("a review has no system to measure; `nearfar reproduce survey-contrastive-ssl` asks its question")


FIELD = Field(name="taxonomy", load=load, protocol=protocol, embedded={"shapes": "drawn shapes of known factors"})
