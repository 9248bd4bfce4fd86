"""Pictures of one place in two conditions, beside labelled scenes to start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.segmentation.classes import ClassSet
from nearfar.segmentation.data.scenes import RenderedScenes
from nearfar.segmentation.method import SceneBatch
from nearfar.training import Data


class PairBatch(NamedTuple):
    """Pairs of unlabelled pictures of one place, and as many labelled scenes.

    Attributes:
        images: (N, A, 3, H, W) uint8, labelled scenes in the normal condition; of no pairs in particular.
        labels: (N, H, W) int64 of those, 255 is ignored.
        rows: (N,) int64, positions of the pairs.
        adverse: (N, 3, h, w) uint8.
        normal: (N, 3, h, w) uint8, the same place in the normal condition, from nearly the same spot.
        flow: (N, 2, h, w) float32, where in ``normal`` each pixel of ``adverse`` is found: displacements to the
            right and down in pixels.
        log_variance: (N, 1, h, w) float32, of the flow's error in pixels.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    adverse: Tensor
    normal: Tensor
    flow: Tensor
    log_variance: Tensor


class PairedScenes(Data):
    """Pairs of pictures in an adverse and in the normal condition, and labelled scenes in the latter.

    Args:
        source: labelled scenes in the normal condition.
        adverse: (M, h, w, 3) uint8.
        normal: (M, h, w, 3) uint8.
        flow: (M, 2) one displacement for each pair, or (M, 2, h, w); 0 when not given (a method with an alignment
            network of its own needs none).
        log_variance: of the flow's error: a number, or (M, 1, h, w).
        splits: held-out sets by name.

    Raises:
        ValueError: numbers or sizes that do not agree.
    """

    gives = PairBatch

    def __init__(
        self,
        source: Data,
        adverse: np.ndarray,
        normal: np.ndarray,
        flow: np.ndarray | None = None,
        log_variance: float | np.ndarray = -4.0,
        *,
        name: str = "pairs",
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        if adverse.shape != normal.shape or adverse.ndim != 4 or not len(adverse) or not len(source):
            raise ValueError(
                "adverse and normal must be pictures (M, h, w, 3) of one shape, at least one, and source must hold "
                f"scenes; got {adverse.shape}, {normal.shape} and {len(source)} scenes"
            )
        self.source, self.adverse, self.normal, self.name = source, adverse, normal, name
        self.flow = np.zeros((len(adverse), 2), np.float32) if flow is None else np.asarray(flow, np.float32)
        if len(self.flow) != len(adverse) or self.flow.shape[2:] not in ((), adverse.shape[1:3]):
            raise ValueError(f"flow must be (M, 2) or (M, 2, h, w) for {adverse.shape}, got {self.flow.shape}")
        self.log_variance = log_variance
        self.classes: ClassSet | None = getattr(source, "classes", None)
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.adverse)

    def batch(self, indices: np.ndarray) -> PairBatch:
        indices = np.asarray(indices, np.int64)
        scenes = self.source.batch(indices % len(self.source))
        assert isinstance(scenes, SceneBatch)
        size = self.adverse.shape[1:3]
        flow = torch.from_numpy(self.flow[indices])
        if isinstance(self.log_variance, np.ndarray):
            spread = torch.from_numpy(self.log_variance[indices]).float()
        else:
            spread = torch.full((len(indices), 1, *size), float(self.log_variance))
        return PairBatch(
            scenes.images,
            scenes.labels,
            torch.as_tensor(indices),
            torch.from_numpy(self.adverse[indices]).permute(0, 3, 1, 2),
            torch.from_numpy(self.normal[indices]).permute(0, 3, 1, 2),
            flow if flow.ndim == 4 else flow.view(-1, 2, 1, 1).expand(-1, -1, *size).contiguous(),
            spread,
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.source.facts

    def splits(self) -> Mapping[str, Data]:
        return self._splits


def street_pairs(
    size: int | None = None,
    scenes: int | None = None,
    *,
    adverse: str = "rain",
    normal: str = "noon",
    held_out: Sequence[int] = range(100_000, 100_040),
) -> PairedScenes:
    """Labelled streets at noon and as many pairs of other streets, in rain and at noon, 160 when not given.

    The two pictures of a pair are windows of one larger picture, up to an eighth of its height apart each way. 40
    other streets are held out, in both conditions, with labels. Of the renderer's other appearances rain is the one in
    which a small segmenter that knows noon alone still sees something; at night it has nothing to start from.
    """
    height = size or 64
    shape = (height, 2 * height)
    count = scenes or 160
    room = max(height // 8, 1)
    larger = RenderedScenes(range(50_000, 50_000 + count), (adverse, normal), (height + room, 2 * height + room))
    rng = np.random.default_rng(7)
    corners = rng.integers(0, room + 1, size=(2, count, 2))
    windows = [
        np.stack([picture[y : y + shape[0], x : x + shape[1]] for picture, (y, x) in zip(seen, at, strict=True)])
        for seen, at in zip(larger.images.swapaxes(0, 1), corners, strict=True)
    ]
    shift = (corners[0] - corners[1])[:, ::-1]  # rows and columns become right and down
    splits = {name: RenderedScenes(held_out, (name,), shape, name=name) for name in (adverse, normal)}
    source = RenderedScenes(range(count), (normal,), shape, name=normal)
    return PairedScenes(source, windows[0], windows[1], shift.copy(), name="street-pairs", splits=splits)


class PairViews(NamedTuple):
    """Pairs of pictures (N, 3, h, w), what the source model makes of the adverse ones (N, h, w), and their flow and
    its log-variance; see :class:`nearfar.segmentation.data.pairs.PairBatch`."""

    adverse: Tensor
    labels: Tensor
    normal: Tensor
    flow: Tensor
    log_variance: Tensor


def mirrored(views: PairViews, which: Tensor) -> PairViews:
    """The pairs that ``which`` (N,) names left to right, with their flow."""
    turned = PairViews(*(x.flip(-1) for x in views))
    turned.flow[:, 0].neg_()
    return PairViews(
        *(torch.where(which.view(-1, *[1] * (x.ndim - 1)), t, x) for x, t in zip(views, turned, strict=True))
    )
