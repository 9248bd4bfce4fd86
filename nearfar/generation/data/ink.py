"""Handwriting as the path of a pen: collections of inks with what they say and who wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import LINES, read_table, suffix_of
from nearfar.training import Data

MOST = 4000
"""Points of an ink, and letters of a text."""
PIXELS = 32
"""Height in pixels at which an ink is shown."""


class InkBatch(NamedTuple):
    """Inks: N tensors (points, 3) float32 of x, y (downwards, 0 on the line that is written on) and whether the pen
    rises after the point; N texts; numbers of the writers (N,) int64, -1 where unknown; places (N,) int64."""

    points: list[Tensor]
    texts: list[str]
    writers: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Ink:
    """Points (P, 3) as in :class:`InkBatch`, kept as SVG."""

    points: np.ndarray
    suffix: ClassVar[str] = ".svg"

    def strokes(self) -> list[np.ndarray]:
        """(points, 2) of each stroke."""
        ends = np.flatnonzero(self.points[:-1, 2] > 0.5) + 1
        return np.split(self.points[:, :2], ends)

    def _placed(self, scale: float, margin: float) -> tuple[list[np.ndarray], int, int]:
        low, high = self.points[:, :2].min(0), self.points[:, :2].max(0)
        width, height = (np.ceil((high - low) * scale + 2 * margin)).astype(int)
        return [(each - low) * scale + margin for each in self.strokes()], int(width), int(height)

    def save(self, file: IO[bytes]) -> None:
        strokes, width, height = self._placed(100, 10)
        lines = [" ".join(f"{x:.1f},{y:.1f}" for x, y in each) for each in strokes]
        drawn = "".join(f'<polyline points="{each}"/>' for each in lines)
        style = 'fill="none" stroke="black" stroke-width="5" stroke-linecap="round" stroke-linejoin="round"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
        file.write(f"{head}<g {style}>{drawn}</g></svg>\n".encode())

    def picture(self) -> np.ndarray:
        tall = max(float(np.ptp(self.points[:, 1])), 0.5)
        strokes, width, height = self._placed(min(PIXELS / tall, 8 * PIXELS), 4)
        found = np.full((height, min(width, 64 * PIXELS), 3), 255, np.uint8)
        for each in strokes:
            cv2.polylines(found, [np.round(each * 8).astype(np.int32)], False, (0, 0, 0), 1, cv2.LINE_AA, 3)
        return found


class Inks(Data):
    """Inks of one size.

    Args:
        points: of each, (P, 3) x, y and whether the pen rises after it, in any unit. Each writer's are divided by the
            median height of that writer's inks (of all, where the writer is unknown), and moved to begin at 0 and to
            stand on the line 0.
        texts: what each says, or what is to be written in its style.
        writers: who wrote it, by any name; "" for unknown. ``None`` where none is known.
        splits: held-out sets by name.

    Attributes:
        labels: the writers, where they are known.
    """

    gives = InkBatch

    def __init__(
        self,
        points: Sequence[np.ndarray],
        texts: Sequence[str],
        writers: Sequence[str] | None = None,
        *,
        name: str = "inks",
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        names = np.array(["" if w is None else str(w) for w in writers or [""] * len(points)])
        if not len(points) == len(texts) == len(names):
            raise ValueError(f"{len(points)} inks, {len(texts)} texts and {len(names)} writers do not belong together")
        self.name, self.texts = name, list(texts)
        self.points = normalised([np.asarray(each, np.float32) for each in points], names)
        known = np.unique(names[names != ""])
        self.writers = np.where(names == "", -1, np.searchsorted(known, names)).astype(np.int64)
        self.labels = names if len(known) and (names != "").all() else None
        self._splits = dict(splits or {})
        self.skipped: Skipped | None = None

    def __len__(self) -> int:
        return len(self.points)

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        return {"inks": digest_of(self.points), "said": digest_of(self.texts, self.writers.tolist())}

    def batch(self, indices: np.ndarray) -> InkBatch:
        rows = np.asarray(indices, np.int64)
        points = [torch.from_numpy(self.points[i]) for i in rows]
        writers = torch.from_numpy(self.writers[rows])
        return InkBatch(points, [self.texts[i] for i in rows], writers, torch.from_numpy(rows))


def normalised(points: Sequence[np.ndarray], names: np.ndarray) -> list[np.ndarray]:
    """Inks in the median height of their writer's inks; they begin at 0 and stand on 0."""
    heights = np.array([np.ptp(each[:, 1]) for each in points])
    found = []
    for each, name in zip(points, names, strict=True):
        unit = max(float(np.median(heights[names == name])), 1e-6)
        feet = [stroke[:, 1].max() for stroke in Ink(each).strokes()]
        moved = each[:, :2] - np.array([each[:, 0].min(), np.median(feet)], np.float32)
        found.append(np.concatenate([moved / unit, each[:, 2:]], 1).astype(np.float32))
    return found


def holds_ink(path: Path) -> bool:
    """Whether a file is lines of JSON of which the first has ``strokes``."""
    if not path.is_file() or suffix_of(path) not in LINES or path.suffix == ".gz":
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        return '"strokes"' in file.readline(1 << 20)


def read_inks(path: Path, *, strict: bool = False, max_bad: float = 0.1) -> Inks:
    """Lines of JSON: ``{"text": "...", "strokes": [[[x, y], ...], ...], "writer": "..."}``; the writer may be missing.

    Raises:
        BadDataError: lines that hold no ink, more than ``max_bad`` of them.
        ValueError: none that holds one.
    """
    table = read_table(path)
    strokes, texts = (table.columns.get(name, [None] * len(table.places)) for name in ("strokes", "text"))
    points = [points_of(each) for each in strokes]

    def why(row: int) -> str:
        text = texts[row]
        if not isinstance(text, str) or not text.strip() or len(text) > MOST:
            return f"it has no text of 1 to {MOST} letters"
        return "" if points[row] is not None else f"its strokes are no lists of [x, y] of 2 to {MOST} points in all"

    skipped = Skipped(len(table.places) + len(table.bad), strict=strict, max_bad=max_bad, kind="inks")
    bad = [(table.places[row], why(row)) for row in range(len(points)) if why(row)]
    skipped.set_aside([*table.bad, *bad], str(path))
    good = [row for row in range(len(points)) if not why(row)]
    if not good:
        raise ValueError(f"{path} holds no inks")
    writers = table.columns.get("writer", [""] * len(points))
    kept = [each for each in points if each is not None]
    pairs = [(texts[row], str(writers[row] or "")) for row in good]
    chosen = [points[row] for row in good] if len(kept) != len(good) else kept
    found = Inks([each for each in chosen if each is not None], *map(list, zip(*pairs, strict=True)), name=path.name)
    found.skipped = skipped
    return found


def points_of(strokes: Any) -> np.ndarray | None:
    """(P, 3) of nested lists [[[x, y], ...], ...]; nothing where they are none."""
    try:
        found = [np.asarray(each, np.float32)[:, :2] for each in strokes]
    except (TypeError, ValueError, IndexError):
        return None
    if not found or any(each.shape[1:] != (2,) or not len(each) for each in found):
        return None
    whole = np.concatenate([np.c_[each, np.arange(len(each)) == len(each) - 1] for each in found]).astype(np.float32)
    return whole if 2 <= len(whole) <= MOST and np.isfinite(whole).all() else None
