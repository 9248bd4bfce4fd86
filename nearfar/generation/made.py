"""What was made: pictures, and whatever else can be written to a file and shown as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from PIL import Image

__all__ = ["Made", "Picture", "Thing"]


@runtime_checkable
class Thing(Protocol):
    """Something that can be kept and shown: a picture, a sound, ink.

    Attributes:
        suffix: of its file, with the dot.
    """

    suffix: ClassVar[str]

    def save(self, file: IO[bytes]) -> None:
        """Write it in the format of its suffix."""

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8: how it looks on a page."""


@dataclass(frozen=True)
class Picture:
    """Pixels (H, W, 3) uint8, kept as PNG."""

    pixels: np.ndarray
    suffix: ClassVar[str] = ".png"

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"a picture is (H, W, 3) uint8, got {self.pixels.shape} {self.pixels.dtype}")

    def save(self, file: IO[bytes]) -> None:
        Image.fromarray(self.pixels).save(file, "PNG")

    def picture(self) -> np.ndarray:
        return self.pixels


@dataclass(frozen=True)
class Made:
    """What was made of one example.

    Attributes:
        row: its place in the collection.
        things: what was made, by name; a thing alone is called ``""``.
        given: what it was made from, to be shown beside it; ``None`` for nothing that can be shown.
        reference: what it should look like, where that is known.
        said: words and numbers about it, such as its caption.
    """

    row: int
    things: Mapping[str, Thing]
    given: Thing | None = None
    reference: Thing | None = None
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def thing(self) -> Thing:
        """The first of them."""
        return next(iter(self.things.values()))

    def file_names(self) -> dict[str, str]:
        """Of each thing its file, by the thing's name."""
        return {
            name: f"{self.row:06d}{'-' + name.replace('/', '-') if name else ''}{thing.suffix}"
            for name, thing in self.things.items()
        }
