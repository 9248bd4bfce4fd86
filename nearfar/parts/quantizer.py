"""Residual quantisation: a vector as a sum of codes, one of each level."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualQuantizer(nn.Module):
    r"""Codes :math:`c_l = \arg\min_k \|r_l - e^l_k\|`, residuals :math:`r_{l+1} = r_l - e^l_{c_l}`, and their sum.

    The sum reaches what follows straight through: gradients skip the choice. The loss pulls codes to residuals and,
    ``beta`` times as strongly, residuals to codes (VQ-VAE, arXiv 1711.00937; RQ-VAE, arXiv 2203.01941).

    Args:
        levels: of codes, at least 1.
        codes: of each level, at least 2.
        dim: width of a code.
        beta: weight of the commitment, at least 0.

    Shape: (N, dim) to ((N, dim), (N, levels) int64, scalar).
    """

    def __init__(self, levels: int, codes: int, dim: int, *, beta: float = 0.25) -> None:
        super().__init__()
        if levels < 1 or codes < 2 or beta < 0:
            raise ValueError(
                f"levels from 1, codes from 2 and beta from 0 are needed, got {levels}, {codes} and {beta}"
            )
        self.books = nn.Parameter(torch.randn(levels, codes, dim) / dim**0.5)
        self.beta = beta

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        residual, total, ids, loss = x, torch.zeros_like(x), [], x.new_zeros(())
        for book in self.books:
            chosen = torch.cdist(residual.detach(), book.detach()).argmin(1)
            code = book[chosen]
            pull, commit = F.mse_loss(code, residual.detach()), F.mse_loss(residual, code.detach())
            loss = loss + (pull + self.beta * commit) * x.shape[1]
            ids.append(chosen)
            total = total + code
            residual = residual - code.detach()
        return x + (total - x).detach(), torch.stack(ids, 1), loss

    @torch.no_grad()
    def vectors(self, ids: Tensor) -> Tensor:
        """The sums of the codes (N, levels)."""
        return torch.stack([book[column] for book, column in zip(self.books, ids.T, strict=True)]).sum(0)

    @torch.no_grad()
    def settle(self, x: Tensor, rng: np.random.Generator, *, only_dead: bool = False) -> None:
        """Set the codes of each level to k-means centres of the residuals of ``x``; or, ``only_dead``, move those that
        nothing chooses to residuals drawn at random."""
        from sklearn.cluster import KMeans

        residual = x
        for book in self.books:
            if only_dead:
                used = torch.cdist(residual, book).argmin(1).unique()
                dead = torch.ones(len(book), dtype=torch.bool, device=book.device).index_fill_(0, used, False)
                drawn = torch.from_numpy(rng.integers(len(residual), size=int(dead.sum())))
                book[dead] = residual[drawn.to(residual.device)]
            else:
                groups = min(len(book), len(residual))
                found = KMeans(groups, n_init=1, random_state=int(rng.integers(1 << 31))).fit(residual.cpu().numpy())
                book[:groups] = torch.from_numpy(found.cluster_centers_).to(book)
            residual = residual - book[torch.cdist(residual, book).argmin(1)]
