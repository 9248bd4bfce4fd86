"""CLAN: normal rows attract each other, rows with changed features are pushed away."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.losses import clan
from nearfar.sources.data import in_order
from nearfar.tabular.method import AnomalyMethod
from nearfar.tabular.schema import TableBatch, TableSchema
from nearfar.training import Optimization

# Share of the centre that a step keeps of the steps before.
MEMORY = 0.9


class ResidualMLP(nn.Module):
    """Blocks ReLU(Wx) + skip, the skip linear where widths differ, then a linear map."""

    centre: Tensor

    def __init__(self, features: int, hidden: int, layers: int, out_features: int) -> None:
        super().__init__()
        widths = [features, *[hidden] * layers]
        self.blocks = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.skips = nn.ModuleList(
            nn.Identity() if a == b else nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.last = nn.Linear(hidden, out_features)
        self.register_buffer("centre", torch.zeros(out_features))

    def forward(self, x: Tensor) -> Tensor:
        for block, skip in zip(self.blocks, self.skips, strict=True):
            x = block(x).relu() + skip(x)
        return self.last(x)


def uniform_resample(x: Tensor, p: float, high: float, generator: torch.Generator | None = None) -> Tensor:
    """Rows (B, F) of which each feature is drawn anew, uniform in [-high, high], with probability ``p``."""
    device = x.device
    changed = torch.rand(x.shape, generator=generator, device=device) < p
    return torch.where(changed, (2 * torch.rand(x.shape, generator=generator, device=device) - 1) * high, x)


class CLAN(AnomalyMethod):
    """Wilkie et al., 2025, IEEE CSR, DOI 10.1109/CSR64739.2025.11129979; jackwilkie/CLAN.

    Contrast with its roles turned: augmented rows are the negatives. All normal rows are positives of each other, and
    rows with one feature in ten drawn anew are negatives of all of them (:func:`nearfar.losses.clan`), so that normal
    rows become one narrow cone. A row scores minus its cosine with the cone's centre: one product, where nearest
    neighbours need all rows of training.

    The release takes the centre as the mean of the embeddings of all rows after training; here it is their running
    mean over the last steps, in which the rate is near zero, so that a run has it when it ends.

    Args:
        schema: the columns of the table; taken from the data.
        hidden: width of the residual blocks.
        layers: number of blocks.
        out_features: width of the embedding.
        margin: distance asked between a changed row and a normal one, in [0, 1]; 0.5 is orthogonal.
        alpha: share of the attraction, in [0, 1].
        squared: square distances and hinges.
        resample: share of features drawn anew, in [0, 1].
        span: they are uniform in [-span, span] of the standardised features.
        reasons: columns named for each row that is scored, as the strongest reasons; 0 is faster.
        optimization: AdamW without decay, a tenth of warm-up, a cosine to a hundredth.
    """

    verbs = ("embeds", "scores")
    scaling = "standard"
    encoder: ResidualMLP

    def __init__(
        self,
        schema: TableSchema | None = None,
        *,
        hidden: int = 1024,
        layers: int = 4,
        out_features: int = 64,
        margin: float = 0.5,
        alpha: float = 0.5,
        squared: bool = False,
        resample: float = 0.1,
        span: float = 1.7,
        reasons: int = 3,
        optimization: Optimization = Optimization("adamw", lr=1e-4, weight_decay=0.0, warmup=0.1, floor=0.01),
    ) -> None:
        super().__init__(schema, reasons, optimization)
        if not 0 <= resample <= 1:
            raise ValueError(f"resample must lie in [0, 1], got {resample}")
        self.encoder = ResidualMLP(self.schema.features, hidden, layers, out_features)
        self.margin, self.alpha, self.squared = margin, alpha, squared
        self.resample, self.span = resample, span
        self._mean: Tensor | None = None

    def begin(self, data: Any) -> None:
        """The centre that the untrained network gives, from which the running mean starts."""
        with torch.no_grad():
            found = [self.encode(batch).sum(0) for _, batch in in_order(data, 4096)]
        self.encoder.centre.copy_(torch.stack(found).sum(0) / len(data))

    def views(self, batch: TableBatch) -> tuple[Tensor, Tensor]:
        x = self.features(batch)
        return x, uniform_resample(x, self.resample, self.span, self.generator)

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        z, changed = self.gather(*self.encoder(torch.cat(views)).chunk(2))
        self._mean = z.detach().mean(0)
        return clan(z, changed, margin=self.margin, alpha=self.alpha, squared=self.squared)

    def after_step(self) -> None:
        if self._mean is not None:
            self.encoder.centre.lerp_(self._mean, 1 - MEMORY)

    def encode(self, batch: TableBatch) -> Tensor:
        return self.encoder(self.features(batch))

    def rate(self, x: Tensor) -> Tensor:
        return -F.cosine_similarity(self.encoder(x), self.encoder.centre, dim=1)
