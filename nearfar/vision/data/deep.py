"""Numbers as colours: scans of 12 bits, Hounsfield units, elevations, satellite pictures of many bands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["AS_THEY_ARE", "BandsError", "Shown", "Watched", "to_bytes"]


class BandsError(ValueError):
    """A picture has bands of which nothing says which are to be seen, or not those that were asked for."""


@dataclass(frozen=True)
class Shown:
    """How pictures that are not three colours of 8 bits are shown.

    Args:
        window: the values that become black and white, low and high, for all pictures of more than 8 bits, below 0 or
            with fractions; what lies outside is cut off. ``None`` for each file's own: a DICOM file's first window,
            or else the rule of :func:`to_bytes`.
        bands: which bands are red, green and blue, or the one that is grey, counted from 1; ``None`` for those of
            files with one band (grey), three (colours), and two or four of which the last is transparency. Other
            numbers of bands are then refused.

    Raises:
        ValueError: a window that is empty or endless; bands that are not one or three numbers from 1.
    """

    window: tuple[float, float] | None = None
    bands: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.window is not None:
            low, high = self.window
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(
                    f"window is the value that becomes black and a larger one that becomes white; got {low} {high}"
                )
        if self.bands is not None and (len(self.bands) not in (1, 3) or min(self.bands) < 1):
            raise ValueError(
                f"bands are three numbers (red, green, blue) or one (grey), counted from 1; got {list(self.bands)}"
            )

    def bytes_of(self, values: np.ndarray, *, whole: bool, window: tuple[float, float] | None = None) -> np.ndarray:
        """Values as uint8 in [0, 255]: by the window, else by the file's own, else by the rule of :func:`to_bytes`."""
        window = self.window or window
        if window is None:
            return to_bytes(values, whole=whole)
        low, high = window
        values = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=low, posinf=high, neginf=low)
        return np.clip((values - low) / (high - low) * 255.0, 0, 255).astype(np.uint8)

    def colours(self, values: np.ndarray, *, alpha: bool = False) -> np.ndarray:
        """Any number of bands (H, W, B) as (H, W, 3) uint8, by :attr:`bands` and :attr:`window`.

        8 bits without a sign stay as they are; ``alpha`` says that the last band is transparency, which becomes white.

        Raises:
            BandsError: nothing says which bands are to be seen.
        """
        chosen, over = self._chosen(values.shape[2], alpha=alpha), None
        if alpha and self.bands is None:
            top = np.iinfo(values.dtype).max if values.dtype.kind in "ui" else 1.0
            over = np.clip(values[..., -1:] / top, 0, 1)
        seen = values[..., chosen]
        pixels = seen if seen.dtype == np.uint8 else self.bytes_of(seen, whole=seen.dtype.kind in "uib")
        if over is not None:
            pixels = np.round(pixels * over + 255.0 * (1 - over)).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))

    def _chosen(self, count: int, *, alpha: bool) -> list[int]:
        if self.bands is not None:
            if max(self.bands) > count:
                raise BandsError(f"it has {count} bands, and band {max(self.bands)} was asked for")
            return [band - 1 for band in self.bands]
        colours = count - 1 if alpha else count
        if colours not in (1, 3):
            raise BandsError(
                f"it has {count} bands, and nothing says which are to be seen; name three, or one: bands [3, 2, 1]"
            )
        return list(range(colours))


AS_THEY_ARE = Shown()


class Watched(Shown):
    """Shown as ever, remembering what was given: whether it was cut to a window, the smallest and the largest value."""

    def __init__(self, shown: Shown) -> None:
        super().__init__(shown.window, shown.bands)
        self.__dict__["met"] = []

    def bytes_of(self, values: np.ndarray, *, whole: bool, window: tuple[float, float] | None = None) -> np.ndarray:
        fine = np.asarray(values)[np.isfinite(values)]
        if fine.size:
            self.__dict__["met"].append((window is not None, float(fine.min()), float(fine.max()), whole))
        return super().bytes_of(values, whole=whole, window=window)

    def notes(self, looked_at: int) -> list[str]:
        """What was met in the pictures looked at, and the rule by which it is shown."""
        met = self.__dict__["met"]
        if not met:
            return []
        low, high = min(m[1] for m in met), max(m[2] for m in met)
        found = f"values from {low:,.6g} to {high:,.6g} in {len(met)} of {looked_at} pictures looked at"
        if self.window is not None:
            return [f"{found}; {self.window[0]:,.6g} is black and {self.window[1]:,.6g} white (window)"]
        own = sum(m[0] for m in met)
        rules = [f"shown by the file's own window in {own}"] if own else []
        below = sum(not m[0] and m[1] < 0 for m in met)
        rules += [f"from each one's smallest to its largest in {below}, which have values below 0"] if below else []
        rest = [m for m in met if not m[0] and m[1] >= 0]
        tops = sorted({_top(m[2], m[3]) for m in rest})
        rules += [f"divided by {', '.join(f'{top:,.6g}' for top in tops[:4])} in {len(rest)}"] if rest else []
        return [f"{found}: {'; '.join(rules)}. window [low, high] sets one for all"]


def _top(high: float, whole: bool) -> float:
    """What values from 0 to ``high`` are divided by."""
    return next((step for step in ((4095.0, 65535.0) if whole else (1.0,)) if high <= step), high)


def to_bytes(values: np.ndarray, *, whole: bool) -> np.ndarray:
    """Values of more than 8 bits as uint8 in [0, 255], by a rule that looks at one file's largest value.

    Whole numbers from 0 are divided by 4,095 where none is larger (scans and cameras of 12 bits in files of 16), by
    65,535 where none is larger than that, and by the largest else; those of 8 bits with a sign by 127. Fractions from
    0 are divided by 1, or by the largest where that is more. Where a value is below 0 (Hounsfield units, elevations),
    the file's own range from the smallest to the largest becomes 0 to 255. What is no number counts as 0.
    """
    steps = (127.0,) if values.dtype == np.int8 else (4095.0, 65535.0) if whole else (1.0,)
    values = np.nan_to_num(np.asarray(values, dtype=np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if low < 0:
        return np.clip((values - low) / max(high - low, 1e-300) * 255.0, 0, 255).astype(np.uint8)
    top = next((step for step in steps if high <= step), high)
    return np.clip(values / top * 255.0, 0, 255).astype(np.uint8)
