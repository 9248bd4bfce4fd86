"""Networks on videos of points: what surrounds chosen points in space and time, and what will."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["PointTubes", "Predictor", "farthest_points"]


def farthest_points(points: Tensor, count: int) -> Tensor:
    """(B, count) int64: points (B, P, 3) each of which is the farthest from those before it, from the outermost on."""
    b, total, _ = points.shape
    if not 1 <= count <= total:
        raise ValueError(f"count must be from 1 to the {total} points, got {count}")
    every = torch.arange(b, device=points.device)
    chosen = (points - points.mean(1, keepdim=True)).square().sum(2).argmax(1)
    found, away = [chosen], torch.full((b, total), torch.inf, dtype=points.dtype, device=points.device)
    for _ in range(count - 1):
        away = torch.minimum(away, (points - points[every, chosen, None]).square().sum(2))
        chosen = away.argmax(1)
        found.append(chosen)
    return torch.stack(found, 1)


class _Around(nn.Module):
    """Points of one cloud as centres of another see them: a layer on each neighbour, the largest value of all."""

    def __init__(self, inside: int, outside: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.place = nn.Linear(4, outside)
        self.feature = nn.Linear(inside, outside) if inside else None
        self.norm = nn.BatchNorm1d(outside)
        self.after = nn.Linear(outside, outside)

    def forward(self, centres: Tensor, points: Tensor, times: Tensor, features: Tensor | None = None) -> Tensor:
        """(M, R, C) of centres (M, R, 3) among points (M, P, 3), ``times`` (M,) later, with features (M, P, D)."""
        near = torch.cdist(centres, points).topk(min(self.neighbours, points.shape[1]), dim=2, largest=False).indices
        rows = torch.arange(len(points), device=points.device)[:, None, None]
        away = points[rows, near] - centres[:, :, None]
        found = self.place(torch.cat([away, times[:, None, None, None].expand(*near.shape, 1)], 3))
        if self.feature is not None and features is not None:
            found = found + self.feature(features)[rows, near]
        found = torch.relu(self.norm(found.flatten(0, 2))).unflatten(0, found.shape[:3])
        return torch.relu(self.after(found)).amax(2)


class PointTubes(nn.Module):
    """Superpoints of a video of points: each segment's chosen points, and what surrounds them in its space and time.

    Point 4D convolution as in P4Transformer (Fan, Yang and Kankanhalli, CVPR 2021), twice: the nearest points of each
    time of a segment by their displacement in space and time, the largest value over them and the sum over times;
    then the nearest superpoints in the same way. Batch normalisation lies between the layers of each. No superpoint
    sees another segment. Neighbours are the nearest points here, where the paper takes those within a radius.

    Args:
        width: channels C, at least 1.
        superpoints: of each segment, R, at least 1; chosen farthest from one another at its middle time.
        length: times of a segment, L, at least 1.
        neighbours: points of each time around a superpoint, at least 1.

    Shape: ``(B, T, P, 3) -> (B, S, R, C), (B, S, R, 4)`` with S = T // L; what is left of the times is not seen. The
    second has the place and the time of every superpoint, times from 0 to 1.
    """

    by_example = ("forward",)

    def __init__(self, width: int = 256, superpoints: int = 64, length: int = 4, neighbours: int = 16) -> None:
        super().__init__()
        if min(width, superpoints, length, neighbours) < 1:
            raise ValueError(
                f"width, superpoints, length and neighbours must be at least 1, got {width}, {superpoints}, {length} "
                f"and {neighbours}"
            )
        self.features, self.superpoints, self.length = width, superpoints, length
        self.points = _Around(0, width // 2 or 1, neighbours)
        self.wider = _Around(width // 2 or 1, width, min(neighbours, 8))
        self.norm = nn.LayerNorm(width)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        if points.ndim != 4 or points.shape[3] != 3 or points.shape[1] < self.length:
            raise ValueError(
                f"expected videos of points (B, T, P, 3) with at least the {self.length} times of a segment, got "
                f"{tuple(points.shape)}"
            )
        b, times, total, _ = points.shape
        segments = times // self.length
        cut = points[:, : segments * self.length].reshape(b * segments, self.length, total, 3)
        middle = cut[:, self.length // 2]
        chosen = farthest_points(middle, self.superpoints)
        centres = middle.gather(1, chosen[:, :, None].expand(-1, -1, 3))
        later = torch.arange(self.length, device=points.device, dtype=points.dtype) - self.length // 2
        found = self.points(
            centres.repeat_interleave(self.length, 0), cut.flatten(0, 1), (later / self.length).repeat(len(cut))
        )
        found = found.unflatten(0, (len(cut), self.length)).sum(1)
        found = self.norm(self.wider(centres, centres, centres.new_zeros(len(cut)), found))
        when = torch.linspace(0, 1, segments, device=points.device, dtype=points.dtype).repeat(b)
        places = torch.cat([centres, when[:, None, None].expand(-1, self.superpoints, 1)], 2)
        return found.unflatten(0, (b, segments)), places.unflatten(0, (b, segments))


class Predictor(nn.Module):
    """What will be at given places, from superpoints before: a transformer that is asked with places alone.

    Args:
        width: of a superpoint, C; a multiple of ``heads``.
        depth: layers, at least 1.
        heads: of the attention.

    Shape: features (B, S, R, C), their places (B, S, R, 4), places to predict (B, Q, 4) ``-> (B, Q, C)``.
    """

    by_example = ("forward",)

    def __init__(self, width: int, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        if depth < 1 or width % heads:
            raise ValueError(
                f"depth must be at least 1 and width a multiple of heads, got depth={depth}, width={width}, "
                f"heads={heads}"
            )
        self.place = nn.Linear(4, width)
        self.question = nn.Parameter(0.02 * torch.randn(width))
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)

    def forward(self, features: Tensor, places: Tensor, asked: Tensor) -> Tensor:
        known = features.flatten(1, 2) + self.place(places.flatten(1, 2))
        found = self.layers(torch.cat([known, self.question + self.place(asked)], 1))
        return found[:, known.shape[1] :]
