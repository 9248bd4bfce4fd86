"""Which joint of a skeleton is which, by the number of its joints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.spelling import one_of

__all__ = ["LAYOUTS", "Layout", "layout"]


@dataclass(frozen=True)
class Layout:
    """An order of joints.

    Attributes:
        name: what it is called.
        joints: their number, V.
        bones: pairs of joints; the second is nearer to the centre.
        centre: the joint that the others are grouped around.
        pairs: joints of the left and of the right side that correspond.
    """

    name: str
    joints: int
    bones: tuple[tuple[int, int], ...]
    centre: int
    pairs: tuple[tuple[int, int], ...]

    @property
    def mirrored(self) -> list[int]:
        """(V,), for every joint the one on the other side, itself in the middle."""
        order = [*range(self.joints)]
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return order

    def hops(self) -> np.ndarray:
        """(V, V) bones between any two joints."""
        found = np.full((self.joints, self.joints), self.joints, dtype=np.int64)
        np.fill_diagonal(found, 0)
        for a, b in self.bones:
            found[a, b] = found[b, a] = 1
        for middle in range(self.joints):
            found = np.minimum(found, found[:, middle, None] + found[None, middle])
        return found


def _of(name: str, joints: int, centre: int, bones: str, pairs: str) -> Layout:
    def read(text: str) -> tuple[tuple[int, int], ...]:
        return tuple((int(a), int(b)) for a, b in (word.split("-") for word in text.split()))

    return Layout(name, joints, read(bones), centre, read(pairs))


LAYOUTS: dict[str, Layout] = {
    each.name: each
    for each in (
        _of(
            "ntu25",
            25,
            20,
            "0-1 1-20 2-20 3-2 4-20 5-4 6-5 7-6 8-20 9-8 10-9 11-10 12-0 13-12 14-13 15-14 16-0 17-16 18-17 19-18 "
            "21-22 22-7 23-24 24-11",
            "4-8 5-9 6-10 7-11 12-16 13-17 14-18 15-19 21-23 22-24",
        ),
        _of(
            "kinect20",
            20,
            2,
            "0-1 1-2 3-2 4-2 5-4 6-5 7-6 8-2 9-8 10-9 11-10 12-0 13-12 14-13 15-14 16-0 17-16 18-17 19-18",
            "4-8 5-9 6-10 7-11 12-16 13-17 14-18 15-19",
        ),
        _of(
            "openpose18",
            18,
            1,
            "0-1 2-1 3-2 4-3 5-1 6-5 7-6 8-2 9-8 10-9 11-5 12-11 13-12 14-0 15-0 16-14 17-15",
            "2-5 3-6 4-7 8-11 9-12 10-13 14-15 16-17",
        ),
        _of(
            "coco17",
            17,
            0,
            "1-0 2-0 3-1 4-2 5-0 6-0 7-5 8-6 9-7 10-8 11-5 12-6 13-11 14-12 15-13 16-14",
            "1-2 3-4 5-6 7-8 9-10 11-12 13-14 15-16",
        ),
        _of(
            "jhmdb15",
            15,
            0,
            "1-0 2-0 3-0 4-0 5-1 6-1 7-3 8-4 9-5 10-6 11-7 12-8 13-9 14-10",
            "3-4 5-6 7-8 9-10 11-12 13-14",
        ),
    )
}
"""NTU RGB+D's 25 joints, Kinect v1's 20 (NW-UCLA), OpenPose's 18, COCO's 17, JHMDB's 15."""


def layout(name: str) -> Layout:
    """A layout by its name.

    Raises:
        ValueError: none of that name.
    """
    if name not in LAYOUTS:
        raise ValueError(f"there is no layout {name!r} of joints{one_of(name, LAYOUTS)}")
    return LAYOUTS[name]
