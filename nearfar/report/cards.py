"""What an example looks like in small: a picture, a line of text, or both, for any field's data."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from nearfar.sources.data import Data, Subset

SIDE = 48
"""Pixels of a thumbnail's side."""
LONGEST = 160
"""Characters of an example's text."""

INKS = ((47, 95, 208), (217, 115, 26), (46, 139, 87))
"""Of the channels of a sketch."""

PICTURES = ("images", "pixels", "videos", "clips", "frames")
CURVES = ("series", "waves", "wave", "values", "x")
TEXTS = ("sentences", "captions", "texts", "smiles", "documents", "prompts")


class Cards(NamedTuple):
    """Small likenesses of examples.

    Attributes:
        pictures: (N, side, side, 3) uint8, or ``None`` where the examples are none.
        texts: N lines, empty where there are no words.
    """

    pictures: np.ndarray | None
    texts: list[str]


def cards(data: Data, rows: np.ndarray, side: int = SIDE) -> Cards:
    """The examples at ``rows`` as people know them; what cannot be shown is left out, and never an error."""
    return Cards(_pictures(data, rows, side), _texts(data, rows))


def _pictures(data: Data, rows: np.ndarray, side: int) -> np.ndarray | None:
    found = []
    for start in range(0, len(rows), 128):
        part = rows[start : start + 128]
        batch = data.batch(part)
        drawn = _drawn(batch, len(part), side)
        if drawn is None:
            return None
        found.append(drawn)
    return np.concatenate(found) if found else None


def _drawn(batch: Any, count: int, side: int = SIDE) -> np.ndarray | None:
    for name in PICTURES:
        values = getattr(batch, name, None)
        if isinstance(values, torch.Tensor) and len(values) == count and values.dtype == torch.uint8:
            while values.ndim > 4:  # one of several views, the middle of several frames
                values = values[:, values.shape[1] // 2]
            if values.ndim == 4 and values.shape[1] in (1, 3):
                return np.stack([_thumbnail(image.permute(1, 2, 0).numpy(), side) for image in values])
    for name in CURVES:
        values = getattr(batch, name, None)
        if not isinstance(values, torch.Tensor) or values.ndim not in (2, 3) or len(values) != count:
            continue
        if values.is_floating_point() and max(values.shape[1:]) >= 32:
            return np.stack([_sketch(each.numpy(), side) for each in values])
    return None


def _thumbnail(pixels: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 1 or 3) in the middle of a square, enlarged by whole numbers or made smaller."""
    image = Image.fromarray(np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels)
    larger = max(image.size)
    if larger * 2 <= side:
        image = image.resize(
            (image.width * (side // larger), image.height * (side // larger)), Image.Resampling.NEAREST
        )
    else:
        image.thumbnail((side, side))
    square = Image.new("RGB", (side, side), (128, 128, 128))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(square)


def _sketch(values: np.ndarray, side: int) -> np.ndarray:
    """The course of a series (T,) or (T, C), its first three channels, each in its own range."""
    tracks = values[:, None] if values.ndim == 1 else values if values.shape[0] >= values.shape[1] else values.T
    square = np.full((side, side, 3), 245, np.uint8)
    for channel, colour in zip(
        range(min(tracks.shape[1], 3)), ((47, 95, 208), (217, 115, 26), (46, 139, 87)), strict=False
    ):
        track = np.nan_to_num(tracks[:, channel].astype(np.float64))
        low, high = track.min(), track.max()
        ends = np.linspace(0, len(track), side + 1).astype(int)
        for column in range(side):
            part = track[ends[column] : max(ends[column + 1], ends[column] + 1)]
            top, bottom = ((side - 3) * (1 - (v - low) / max(high - low, 1e-12)) + 1 for v in (part.max(), part.min()))
            square[int(top) : int(bottom) + 2, column] = colour
    return square


def _texts(data: Data, rows: np.ndarray) -> list[str]:
    while isinstance(data, Subset):
        rows, data = data.indices[rows], data.data
    for name in TEXTS:
        values = getattr(data, name, None)
        if isinstance(values, list | tuple | np.ndarray) and len(values) == len(data):
            return [_line(values[row]) for row in rows]
    columns = getattr(data, "columns", None)
    if isinstance(columns, dict) and columns:
        few = [*columns.items()][:8]
        return [_line(", ".join(f"{name} {_short(values[row])}" for name, values in few)) for row in rows]
    return [""] * len(rows)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def _line(value: Any) -> str:
    text = (
        value
        if isinstance(value, str)
        else " / ".join(map(str, value))
        if isinstance(value, list | tuple)
        else str(value)
    )
    text = " ".join(text[: 4 * LONGEST].split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
