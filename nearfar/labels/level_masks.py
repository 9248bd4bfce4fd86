"""Which dimensions each level of a hierarchy works in."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


class LevelMasks(nn.Module):
    """Which dimensions each level works in, (H, D) bool, by a Gaussian mixture over what dimensions tell of levels.

    Until the memory is full every level works in all of them.

    Args:
        levels: their number H.
        dim: number of dimensions D.
        memory: embeddings that are remembered.
        refit: updates between fits.
    """

    chosen: Tensor
    past: Tensor
    classes: Tensor
    updates: Tensor

    def __init__(self, levels: int, dim: int, memory: int, refit: int) -> None:
        super().__init__()
        self.refit = refit
        self.register_buffer("chosen", torch.ones(levels, dim, dtype=torch.bool))
        self.register_buffer("past", torch.zeros(memory, dim))
        self.register_buffer("classes", torch.full((memory, levels), -1))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def update(self, z: Tensor, levels: Tensor) -> None:
        """Remember embeddings (N, D) of classes (N, H); fit again when it is time."""
        z, levels = z[-len(self.past) :], levels[-len(self.past) :]
        self.past.copy_(torch.cat([self.past[len(z) :], z.to(self.past)]))
        self.classes.copy_(torch.cat([self.classes[len(z) :], levels]))
        self.updates += 1
        full = bool((self.classes[0] >= 0).all())
        if full and int(self.updates) % self.refit == 0 and len(self.chosen) > 1:
            found = dimensions_of_levels(self.past.cpu().numpy(), self.classes.cpu().numpy())
            self.chosen.copy_(torch.from_numpy(found))


def dimensions_of_levels(z: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(H, D) bool: the dimensions of each level, every dimension in one of them.

    Dimension d is described by the logarithm of between-class over within-class variance at each level. A mixture of H
    Gaussians is fitted to the D descriptions, components are matched to levels by their means, and a dimension goes to
    the likelier level; a level with fewer than D / 4H gets those that fit it best.

    Args:
        z: (N, D) embeddings.
        levels: (N, H) class numbers.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.mixture import GaussianMixture

    count = levels.shape[1]
    described = np.stack([_told(z, y) for y in levels.T], axis=1)
    # What a level tells beyond the others: fine classes always tell something of coarse ones.
    described = described - described.mean(1, keepdims=True)
    described = (described - described.mean(0)) / np.maximum(described.std(0), 1e-9)
    mixture = GaussianMixture(count, covariance_type="diag", random_state=0, reg_covar=1e-3).fit(described)
    components, matched = linear_sum_assignment(mixture.means_, maximize=True)
    likely = np.empty((len(described), count))
    likely[:, matched] = mixture.predict_proba(described)[:, components]
    level = likely.argmax(1)
    for number in range(count):
        lacking = len(level) // (4 * count) - int((level == number).sum())
        if lacking > 0:
            others = np.flatnonzero(level != number)
            level[others[np.argsort(-described[others, number])[:lacking]]] = number
    return level == np.arange(count)[:, None]


def _told(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(D,) log ratio of the variance between classes and inside them."""
    _, group, counts = np.unique(y, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), z.shape[1]))
    np.add.at(means, group, z)
    means /= counts[:, None]
    between = (counts[:, None] * (means - z.mean(0)) ** 2).sum(0)
    within = ((z - means[group]) ** 2).sum(0)
    return np.log((between + 1e-9) / (within + 1e-9))
