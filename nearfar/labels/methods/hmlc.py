"""HMLC with masks: each level of a hierarchy contrasts in dimensions of its own."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.labels.level_masks import LevelMasks
from nearfar.labels.method import LabelMethod, Seen
from nearfar.losses import hmlc, masked_hmlc
from nearfar.parts import MLPHead
from nearfar.training import Data, Optimization
from nearfar.vision.method import together

Features = Literal["gaussian", "attention", "all"]
Block = tuple[np.ndarray, np.ndarray]


class HMLC(LabelMethod):
    """G-HMLC and A-HMLC, 2025, arXiv 2510.00837, on HMLC (Zhang et al., 2022, CVPR, arXiv 2204.13207).

    One supervised contrast per level of a hierarchy. Levels that work in the same dimensions pull against each other;
    here each has dimensions of its own: chosen by a Gaussian mixture over what every dimension tells of every level
    (``gaussian``, G-HMLC), or weighted by a small attention head for each level (``attention``, A-HMLC). ``all`` is
    HMLC itself, whose coarse levels contrast one representative per finer class and may not be closer than finer ones.
    With one level take SupCon.

    No code of the variants is released, and their abstract leaves open what describes a dimension: here its share of
    variance between classes at each level, over the last ``memory`` projections, with one component for each level and
    at least a quarter of an equal share of dimensions.

    Args:
        encoder: image encoder, by name or as a module.
        num_levels: of the hierarchy; taken from the data.
        projection_dim: width of the space where views are compared.
        temperature: divides the similarities, above 0.
        features: which dimensions a level works in.
        balance: weigh anchors by the inverse frequency of their class at each level.
        memory: projections that the mixture is fitted to.
        refit: steps between fits.
        views: recipe of random views.
        optimization: SGD as released.
    """

    needs = ("levels",)
    needs_labels = False

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50-cifar",
        *,
        num_levels: int | None = None,
        projection_dim: int = 128,
        temperature: float = 0.1,
        features: Features = "gaussian",
        balance: bool = False,
        memory: int = 1024,
        refit: int = 100,
        views: str = "simclr",
        optimization: Optimization = Optimization("sgd", lr=0.5, weight_decay=1e-4, decay_all=True),
    ) -> None:
        super().__init__(encoder, views, optimization)
        if num_levels is None:
            raise ValueError("num_levels is needed: the number of levels of the hierarchy")
        if features not in ("gaussian", "attention", "all"):
            raise ValueError(f"features must be gaussian, attention or all, got {features!r}")
        self.head = MLPHead(self.features, self.features, projection_dim, norm="none")
        self.attention = nn.ModuleList(nn.Linear(projection_dim, projection_dim) for _ in range(num_levels))
        self.attention.requires_grad_(features == "attention")
        self.masks = LevelMasks(num_levels, projection_dim, memory, refit)
        self.temperature, self.kind, self.balance = temperature, features, balance

    def order(self, data: Data, rng: np.random.Generator) -> np.ndarray:
        """Pictures next to others of their class at every level, so that batches hold pairs of each."""
        levels = getattr(data, "marks", {}).get("levels")
        return data.order(rng) if levels is None else beside_relatives(levels, rng)

    def loss(self, seen: Seen) -> Tensor:  # type: ignore[override]
        z1, z2 = self.gather(*together(self.network, seen.views))
        (levels,) = self.gather(_own_classes(seen.marks["levels"]))
        if self.kind == "all":
            # The finest column twice, because HMLC takes the last to tell pictures apart.
            return hmlc(z1, z2, torch.cat([levels, levels[:, -1:]], dim=1), temperature=self.temperature)
        if self.kind == "attention":
            width = z1.shape[1]
            masks = [tuple(width * a(z).softmax(1) for z in (z1, z2)) for a in self.attention]
        else:
            masks = [(mask, mask) for mask in self.masks.chosen.to(z1.dtype)]
            self._met = z1.detach(), levels
        return masked_hmlc(z1, z2, levels, masks, temperature=self.temperature, balance=self.balance)  # type: ignore[arg-type]

    def after_step(self) -> None:
        if self.kind == "gaussian":
            self.masks.update(*self._met)


def _own_classes(levels: Tensor) -> Tensor:
    """Unknown classes, below 0, as classes of one picture each."""
    alone = -1 - torch.arange(len(levels), device=levels.device)
    return torch.where(levels < 0, alone[:, None], levels)


def beside_relatives(levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every row once, next to rows of its class: pairs of the finest class, pairs of pairs of the next, and so on.

    Args:
        levels: (N, L) class numbers, coarse to fine.
    """
    blocks: list[Block] = [(np.array([row]), levels[row]) for row in rng.permutation(len(levels))]
    for level in range(levels.shape[1] - 1, -1, -1):
        waiting: dict[int, np.ndarray] = {}
        joined: list[Block] = []
        for rows, classes in blocks:
            number = int(classes[level])
            if number in waiting:
                joined.append((np.concatenate([waiting.pop(number), rows]), classes))
            else:
                waiting[number] = rows
        joined += [(rows, levels[rows[0]]) for rows in waiting.values()]
        blocks = [joined[i] for i in rng.permutation(len(joined))]
    return np.concatenate([rows for rows, _ in blocks])
