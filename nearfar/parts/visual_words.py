"""Bags of visual words from the maps of a teacher, with a vocabulary that follows it (OBoW)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.share import for_examples

Pool = Literal["max", "avg"]
Update = Literal["local_average", "no_averaging", "global_average"]
DECAY = 0.99


class VisualWords(nn.Module):
    r"""A queue of local features as vocabulary, and the bag of words of a map.

    The code of position u is :math:`q_{uk} = \operatorname{softmax}_k(-\delta \|f_u - v_k\|^2 / \mu)`, with
    :math:`\mu` a running mean (decay 0.99, from 0.5) of the distance to the nearest word. A bag pools the codes over
    positions and is scaled to sum 1. As in the released code of OBoW (``builder_obow.py``) the outermost cells of a
    map do not count, for padding marks them; :math:`\mu` moves before it is used and the words after.

    Where a queue of L2-normalised embeddings of whole images is meant, use :class:`nearfar.parts.FeatureQueue`.

    Args:
        count: number of words, K, at least 1. The oldest are replaced, one per image and step.
        width: channels of the map.
        inv_delta: :math:`\delta`, sharpness of the codes, above 0; 15 for ResNet-50, 10 for ResNet-18. ``None`` takes
            the nearest word alone.
        pool: ``max`` asks whether a word is anywhere, ``avg`` how much of the image it fills.
        update: what an image gives for a word: the mean of a random 3x3 window (``local_average``, the paper's), one
            random cell (``no_averaging``) or the mean of all (``global_average``).

    Attributes:
        words: (K, width), half-normal noise at first.
        distance: :math:`\mu`.
    """

    words: Tensor
    position: Tensor
    distance: Tensor

    def __init__(
        self,
        count: int,
        width: int,
        *,
        inv_delta: float | None = 15.0,
        pool: Pool = "max",
        update: Update = "local_average",
    ) -> None:
        super().__init__()
        if count < 1 or width < 1:
            raise ValueError(f"count and width must be at least 1, got count={count}, width={width}")
        if inv_delta is not None and not inv_delta > 0:
            raise ValueError(f"inv_delta must be above 0, got {inv_delta}")
        if pool not in get_args(Pool):
            raise ValueError(f"pool must be one of {', '.join(get_args(Pool))}, got {pool!r}")
        if update not in get_args(Update):
            raise ValueError(f"update must be one of {', '.join(get_args(Update))}, got {update!r}")
        self.inv_delta, self.pool, self.update = inv_delta, pool, update
        self.register_buffer("words", torch.randn(count, width).relu())
        self.register_buffer("position", torch.zeros((), dtype=torch.long))
        self.register_buffer("distance", torch.tensor(0.5))

    @torch.no_grad()
    def distances(self, maps: Tensor) -> Tensor:
        """Squared distances (N, U, K) of the U inner positions of maps (N, width, H, W) to the words."""
        rows = inner(maps).flatten(2).transpose(1, 2).to(self.words.dtype)
        norms = rows.square().sum(2, keepdim=True) + self.words.square().sum(1)
        return (norms - 2 * rows @ self.words.t()).clamp_min(0)

    @torch.no_grad()
    def track(self, nearest: Tensor) -> None:
        """Move the running mean by this batch's mean distance to the nearest word, that of all ranks."""
        self.distance.lerp_(nearest.to(self.distance.dtype), 1 - DECAY)

    @torch.no_grad()
    def codes(self, distances: Tensor) -> Tensor:
        """How much each position is each word (N, U, K), of distances (N, U, K); sums to 1 over the words."""
        if self.inv_delta is None:
            return F.one_hot(distances.argmin(2), distances.shape[2]).to(distances.dtype)
        return torch.softmax(-self.inv_delta / self.distance * distances, dim=2)

    @torch.no_grad()
    def bags(self, distances: Tensor) -> Tensor:
        """Bags (N, K) of distances (N, U, K); rows sum to 1."""
        codes = self.codes(distances)
        return F.normalize(codes.amax(1) if self.pool == "max" else codes.mean(1), p=1, dim=1)

    @torch.no_grad()
    def candidates(self, maps: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A new word from each image: the mean of a random 3x3 window of the inner positions, (N, width); a single one
        or the mean of all of them with another ``update``."""
        within = inner(maps)
        if self.update == "global_average":
            return within.mean((2, 3))
        largest = 3 if self.update == "local_average" else 1
        windows = F.avg_pool2d(within, [min(largest, side) for side in within.shape[2:]], stride=1).flatten(2)
        device = maps.device if generator is None else generator.device
        places = windows.shape[2]
        chosen = for_examples(lambda n: torch.randint(places, (n,), generator=generator, device=device), len(maps))
        return windows[torch.arange(len(maps), device=maps.device), :, chosen.to(maps.device)]

    @torch.no_grad()
    def enqueue(self, candidates: Tensor) -> None:
        """Write ``candidates`` (N, width) over the oldest words; of more than K the last K stay."""
        if candidates.ndim != 2 or candidates.shape[1] != self.words.shape[1]:
            raise ValueError(f"expected candidates of shape (N, {self.words.shape[1]}), got {tuple(candidates.shape)}")
        rows = candidates[-len(self.words) :].to(self.words.dtype)
        slots = (self.position + torch.arange(len(rows), device=rows.device)) % len(self.words)
        self.words[slots] = rows
        self.position.copy_((self.position + len(rows)) % len(self.words))


class WordWeights(nn.Sequential):
    """Makes of every word the weights that recognise it: the dynamic head of OBoW.

    A perceptron (L2 norm, Linear without bias, batch norm, ReLU, Linear, L2 norm) maps words to directions in the
    student's feature space; the scores of an image are ``kappa`` times its features' products with them. Words may
    thus change at any step, unlike the rows of a learned classifier (:class:`nearfar.parts.Prototypes`).

    Args:
        width: channels of a word.
        features: channels of the student's features; the hidden layer is twice as wide.
        kappa: length of the weights, above 0; 8 for ResNet-50, 5 for ResNet-18.

    Shape: ``(K, width) -> (K, features)``.
    """

    def __init__(self, width: int, features: int, *, kappa: float = 8.0) -> None:
        super().__init__(
            nn.Linear(width, 2 * features, bias=False),
            nn.BatchNorm1d(2 * features),
            nn.ReLU(inplace=True),
            nn.Linear(2 * features, features),
        )
        if not kappa > 0:
            raise ValueError(f"kappa must be above 0, got {kappa}")
        self.kappa = kappa

    def forward(self, input: Tensor) -> Tensor:
        return self.kappa * F.normalize(super().forward(F.normalize(input, dim=1)), dim=1)


def inner(maps: Tensor) -> Tensor:
    """Maps (N, C, H, W) without their outermost cells.

    Raises:
        ValueError: nothing is left.
    """
    if min(maps.shape[2:]) < 3:
        raise ValueError(
            f"visual words need maps of at least 3x3 cells, whose border does not count; got {maps.shape[2]}x"
            f"{maps.shape[3]}: give larger pictures or finer levels (strides)"
        )
    return maps[:, :, 1:-1, 1:-1]


@torch.no_grad()
def perplexity(bags: Tensor, *, of: Literal["batch", "image"] = "batch", floor: float = 0.0) -> Tensor:
    """How many words bags (N, K) use, as if equally: exp of an entropy, in [1, K].

    Args:
        bags: rows sum to 1.
        of: of the mean bag of the ``batch``, or the mean over every ``image``'s own.
        floor: added inside the logarithm; 1e-5 in the released code.
    """
    shares = bags.mean(0, keepdim=True) if of == "batch" else bags
    return torch.exp(-torch.xlogy(shares, shares + floor).sum(1)).mean()
