"""Graph convolution over the joints of a skeleton and over time: ST-GCN."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.video.data.layouts import Layout

__all__ = ["STGCN", "partitions"]

KERNEL = 9


def partitions(layout: Layout) -> np.ndarray:
    """(3, V, V): a joint with itself and with those as far from the centre, with nearer ones, with farther ones.

    Entry (k, j, i) is what joint i takes of joint j, one over the neighbours of i (Yan et al., 2018, arXiv 1801.07455,
    section 3.3). Released code measures the way to the centre up to one bone only, so that most pairs fall into
    its first part; here it is measured in full.
    """
    hops = layout.hops()
    near = (hops <= 1).astype(np.float32)
    near /= near.sum(0, keepdims=True)
    way = hops[layout.centre]
    from_farther, from_nearer = way[:, None] > way[None, :], way[:, None] < way[None, :]
    equal = ~from_farther & ~from_nearer
    return np.stack([near * equal, near * from_nearer, near * from_farther])


class Block(nn.Module):
    """A convolution over the graph, then one over nine frames, around which the input goes too."""

    def __init__(
        self, inside: int, outside: int, parts: int, *, stride: int = 1, dropout: float = 0.0, around: bool = True
    ) -> None:
        super().__init__()
        self.parts = parts
        self.spread = nn.Conv2d(inside, outside * parts, 1)
        self.time = nn.Sequential(
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
            nn.Conv2d(outside, outside, (KERNEL, 1), (stride, 1), (KERNEL // 2, 0)),
            nn.BatchNorm2d(outside),
            nn.Dropout(dropout),
        )
        self.around: nn.Module | None = None
        if around:
            same = inside == outside and stride == 1
            self.around = (
                nn.Identity()
                if same
                else nn.Sequential(nn.Conv2d(inside, outside, 1, (stride, 1)), nn.BatchNorm2d(outside))
            )

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        spread = self.spread(x).unflatten(1, (self.parts, -1))
        found = self.time(torch.einsum("nkctv,kvw->nctw", spread, graph))
        return torch.relu(found if self.around is None else found + self.around(x))


class STGCN(nn.Module):
    """Ten blocks of graph convolution and convolution over time; the mean over joints, times and persons.

    Yan et al., 2018, arXiv 1801.07455, with the widths of JHang2020/HiCLR (``net/st_gcn.py``): ``hidden``, twice and
    four times that, halving time where the width grows, and ``out_features`` at the end. Every block has its own
    weight for every edge. A person who is not there counts as zeros, as released.

    Args:
        layout: of the joints.
        coordinates: of a joint, C.
        hidden: width of the first blocks, at least 1.
        out_features: width of the representation, at least 1.
        depth: blocks of each of the three widths, 4, 3 and 3 in the paper.
        dropout: in all blocks but the first, in [0, 1).

    Shape: ``(N, C, T, V, M) -> (N, out_features)``.
    """

    graph: Tensor
    by_example = ("forward",)

    def __init__(
        self,
        layout: Layout,
        coordinates: int = 3,
        *,
        hidden: int = 16,
        out_features: int = 256,
        depth: tuple[int, int, int] = (4, 3, 3),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if min(coordinates, hidden, out_features, *depth) < 1:
            raise ValueError(
                f"coordinates, hidden, out_features and each depth must be at least 1, got {coordinates}, {hidden}, "
                f"{out_features} and {depth}"
            )
        self.layout, self.out_features = layout, out_features
        self.register_buffer("graph", torch.from_numpy(partitions(layout)))
        widths = [hidden * 2**stage for stage, blocks in enumerate(depth) for _ in range(blocks)]
        widths[-1] = out_features
        firsts = {sum(depth[:stage]) for stage in (1, 2)}
        self.norm = nn.BatchNorm1d(coordinates * layout.joints)
        self.blocks = nn.ModuleList()
        for place, (inside, outside) in enumerate(zip([coordinates, *widths], widths, strict=False)):
            self.blocks.append(
                Block(
                    inside,
                    outside,
                    len(self.graph),
                    stride=2 if place in firsts else 1,
                    dropout=dropout if place else 0.0,
                    around=place > 0,
                )
            )
        self.edges = nn.ParameterList([nn.Parameter(torch.ones_like(self.graph)) for _ in widths])

    def forward(self, joints: Tensor) -> Tensor:
        if joints.ndim != 5 or joints.shape[1] * joints.shape[3] != self.norm.num_features:
            raise ValueError(
                f"expected skeletons (N, C, T, V, M) of {self.norm.num_features // self.layout.joints} coordinates and "
                f"{self.layout.joints} joints ({self.layout.name}), got {tuple(joints.shape)}"
            )
        n, c, t, v, m = joints.shape
        x = joints.permute(0, 4, 3, 1, 2).reshape(n * m, v * c, t)
        x = self.norm(x).view(n * m, v, c, t).permute(0, 2, 3, 1)
        for block, edges in zip(self.blocks, self.edges, strict=True):
            x = block(x, self.graph * edges)
        return x.mean((2, 3)).view(n, m, -1).mean(1)
