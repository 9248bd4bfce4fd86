"""Graphs of two kinds of nodes: the network of columns and rows that learns to branch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.control.data.branchings import COLUMN, ROW, DecisionBatch


class PreNorm(nn.Module):
    """Numbers less their mean, over their deviation; both are found once, in the first pass after :meth:`wait`.

    Args:
        width: columns that are measured apart; 1 for all together.
        shift: whether the mean is taken off.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int = 1, *, shift: bool = True) -> None:
        super().__init__()
        self.shift, self.waiting = shift, False
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def wait(self) -> None:
        self.waiting = True

    def forward(self, x: Tensor) -> Tensor:
        if self.waiting:
            seen = x.detach().reshape(-1, len(self.mean))
            found = seen.std(0, correction=0)
            self.mean.copy_(seen.mean(0) * self.shift)
            self.deviation.copy_(torch.where(found > 1e-8, found, 1.0))
            self.waiting = False
        return (x - self.mean) / self.deviation


class HalfConvolution(nn.Module):
    """Nodes of one kind hear those of the other along weighted edges."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.told, self.edge = nn.Linear(width, width), nn.Linear(1, width, bias=False)
        self.own = nn.Linear(width, width, bias=False)
        self.message = nn.Sequential(PreNorm(shift=False), nn.ReLU(), nn.Linear(width, width))
        self.heard = PreNorm(shift=False)
        self.out = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, told: Tensor, own: Tensor, start: Tensor, end: Tensor, weights: Tensor) -> Tensor:
        joint = self.told(told)[start] + self.edge(weights) + self.own(own)[end]
        heard = torch.zeros_like(own).index_add(0, end, self.message(joint))
        return self.out(torch.cat([self.heard(heard), own], 1))


def embedding(width: int, out: int) -> nn.Sequential:
    """What nodes begin with."""
    return nn.Sequential(PreNorm(width), nn.Linear(width, out), nn.ReLU(), nn.Linear(out, out), nn.ReLU())


class BranchingNetwork(nn.Module):
    """The graph network of Gasse et al. (2019, arXiv 1906.01629): columns tell rows, and rows tell columns.

    Norms are fixed by a first pass over data in the order of the network, before training.

    Args:
        width: of all layers.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.columns, self.rows = embedding(len(COLUMN), width), embedding(len(ROW), width)
        self.edges = PreNorm()
        self.down, self.up = HalfConvolution(width), HalfConvolution(width)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.orthogonal_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def fix_norms(self, batch: DecisionBatch) -> None:
        """Take means and deviations from a batch."""
        for layer in self.modules():
            if isinstance(layer, PreNorm):
                layer.wait()
        with torch.no_grad():
            self(batch)

    def forward(self, batch: DecisionBatch) -> tuple[Tensor, Tensor]:
        """(N, width) of columns and (M, width) of rows. What is missing counts as 0."""
        columns, rows = self.columns(batch.columns.nan_to_num()), self.rows(batch.rows)
        weights, (of_column, of_row) = self.edges(batch.weights[:, None]), batch.edges
        rows = self.down(columns, rows, of_column, of_row, weights)
        return self.up(rows, columns, of_row, of_column, weights), rows


def pooled(x: Tensor, of: Tensor, count: int) -> Tensor:
    """(B, 2 D) the greatest and the mean of each part's rows (N, D)."""
    most = x.new_full((count, x.shape[1]), -torch.inf)
    most = most.scatter_reduce(0, of[:, None].expand_as(x), x, "amax", include_self=False)
    size = torch.bincount(of, minlength=count).clamp_min(1)[:, None]
    return torch.cat([most.nan_to_num(neginf=0.0), torch.zeros_like(most).index_add(0, of, x) / size], 1)
