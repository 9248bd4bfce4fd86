"""One prototype per class: the moving average of the class's vectors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ClassPrototypes(nn.Module):
    r"""A moving average :math:`p_c \leftarrow m p_c + (1 - m) \bar z_c` of the mean vector of each class.

    Means are those of the vectors as they are, not of unit length; comparisons are by cosine. A class that was never
    seen is the zero vector, whose cosine with everything is 0, and takes the first mean it meets as it is.

    Args:
        classes: their number K, at least 1.
        dim: width of a vector.
        momentum: m in [0, 1].
    """

    means: Tensor

    def __init__(self, classes: int, dim: int, momentum: float = 0.99) -> None:
        super().__init__()
        if classes < 1 or dim < 1:
            raise ValueError(f"classes and dim must be at least 1, got classes={classes}, dim={dim}")
        if not 0.0 <= momentum <= 1.0:
            raise ValueError(f"momentum must be in [0, 1], got {momentum}")
        self.momentum = momentum
        self.register_buffer("means", torch.zeros(classes, dim))

    def cosines(self, feature_map: Tensor) -> Tensor:
        """Cosine with every prototype (N, K, h, w) of each position of a map (N, D, h, w)."""
        unit = F.normalize(feature_map.to(self.means.dtype), dim=1)
        return torch.einsum("ndhw,kd->nkhw", unit, F.normalize(self.means, dim=1))

    @torch.no_grad()
    def sums(self, vectors: Tensor, labels: Tensor) -> Tensor:
        """(K, D + 1): of every class the sum of its vectors (P, D) and, last, their number. Labels outside of the
        classes do not count. Sums of several batches or ranks may be added."""
        classes, dim = self.means.shape
        known = (labels >= 0) & (labels < classes)
        extended = F.pad(vectors.detach().to(self.means.dtype), (0, 1), value=1.0)[known]
        return self.means.new_zeros(classes, dim + 1).index_add_(0, labels[known], extended)

    @torch.no_grad()
    def moved(self, sums: Tensor) -> Tensor:
        """The prototypes after an update with :meth:`sums`; what is stored stays as it is."""
        number = sums[:, -1:]
        mean = sums[:, :-1] / number.clamp_min(1)
        seen = (self.means != 0).any(1, keepdim=True)
        average = torch.where(seen, torch.lerp(mean, self.means, self.momentum), mean)
        return torch.where(number > 0, average, self.means)

    @torch.no_grad()
    def store(self, means: Tensor) -> None:
        """Keep what :meth:`moved` gave."""
        self.means.copy_(means)
