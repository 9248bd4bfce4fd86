"""Standard attacks on an encoder and on a classifier over it, written for any function of pictures.

They are short, and toolboxes wrap classifiers: what is attacked here is an encoder, with or without labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Model = Callable[[Tensor], Tensor]
Goal = Callable[[Tensor], Tensor]


def pgd(
    images: Tensor,
    goal: Goal,
    *,
    eps: float,
    steps: int = 20,
    norm: Literal["inf", "2"] = "inf",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Pictures near the given ones that make ``goal`` large: projected gradient ascent (arXiv 1706.06083).

    Each step goes ``2.5 eps / steps`` along the sign of the gradient (for ``2``, the gradient at length 1), then back
    into the ball and into [0, 1]. One step of ``steps=1`` without a generator is FGSM, of size ``eps``.

    Args:
        images: (N, 3, H, W) in [0, 1].
        goal: of pictures, to numbers (N,).
        eps: radius, in the unit of pixels.
        generator: draws the start within the ball; without it the start is the picture itself.
    """
    if eps < 0 or steps < 1 or norm not in ("inf", "2"):
        raise ValueError(f"eps must be at least 0, steps at least 1 and norm inf or 2, got {eps}, {steps}, {norm!r}")
    size = eps if steps == 1 else 2.5 * eps / steps
    moved = images.clone()
    if generator is not None and norm == "inf":
        noise = torch.rand(images.shape, generator=generator, device=images.device) * 2 - 1
        moved = (images + eps * noise).clamp(0, 1)
    for _ in range(steps):
        with torch.enable_grad():
            moved.requires_grad_()
            (slope,) = torch.autograd.grad(goal(moved).sum(), moved)
        with torch.no_grad():
            if norm == "inf":
                moved = moved + size * slope.sign()
                moved = images + (moved - images).clamp(-eps, eps)
            else:
                away = moved + size * slope / _length(slope) - images
                moved = images + away * (eps / _length(away)).clamp_max(1.0)
            moved = moved.clamp(0, 1)
    return moved.detach()


def _length(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]


def misclassified(model: Model, labels: Tensor) -> Goal:
    """The goal of evasion: the cross-entropy of a classifier's logits."""
    return lambda x: F.cross_entropy(model(x), labels, reduction="none")


def moved_away(encode: Model, images: Tensor) -> Goal:
    """The goal without labels: one minus the cosine with the picture's own representation."""
    with torch.no_grad():
        own = F.normalize(encode(images), dim=1)
    return lambda x: 1 - (F.normalize(encode(x), dim=1) * own).sum(1)


def flip_labels(labels: np.ndarray, rate: float, *, kind: str = "symmetric", seed: int = 0) -> np.ndarray:
    """Labels of which the share ``rate`` is wrong: any other class (``symmetric``), or the next one (``pair``).

    Args:
        labels: (N,) class numbers 0..C-1.
        rate: in [0, 1].
    """
    if not 0 <= rate <= 1 or kind not in ("symmetric", "pair"):
        raise ValueError(f"rate must be in [0, 1] and kind symmetric or pair, got {rate} and {kind!r}")
    rng, classes = np.random.default_rng(seed), int(labels.max()) + 1
    chosen = rng.permutation(len(labels))[: round(rate * len(labels))]
    flipped = labels.copy()
    step = rng.integers(1, classes, len(chosen)) if kind == "symmetric" else 1
    flipped[chosen] = (labels[chosen] + step) % classes
    return flipped


def extracted(encode: Model, clone: nn.Module, queries: Tensor, *, steps: int = 200, seed: int = 0) -> nn.Module:
    """A thief's copy: ``clone`` trained so that its outputs at length 1 match the victim's on ``queries``.

    Args:
        encode: the victim, of which only answers are seen.
        clone: a network of the same output width.
        queries: (N, 3, H, W) in [0, 1].
    """
    with torch.no_grad():
        answers = F.normalize(encode(queries), dim=1)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(clone.parameters(), lr=2e-3)
    clone.train()
    with torch.enable_grad():
        for _ in range(steps):
            rows = torch.randint(len(queries), (min(64, len(queries)),), generator=generator)
            optimizer.zero_grad()
            (F.normalize(clone(queries[rows]), dim=1) - answers[rows]).square().sum(1).mean().backward()
            optimizer.step()
    return clone.eval()


def membership_scores(encode: Model, views: Callable[[Tensor], Tensor], images: Tensor, count: int = 10) -> np.ndarray:
    """(N,) mean cosine of pairs of random views: an encoder has seen views of its training pictures together before."""
    with torch.no_grad():
        z = torch.stack([F.normalize(encode(views(images)), dim=1) for _ in range(count)])
        total = z.sum(0).square().sum(1)
    return ((total - count) / (count * (count - 1))).cpu().numpy()


def inverted(
    encode: Model, target: Tensor, shape: tuple[int, ...], *, steps: int = 200, smooth: float = 1e-3
) -> Tensor:
    """A picture whose representation is ``target`` (1, D): gradient descent from grey, with total variation.

    Args:
        shape: of the picture, (3, H, W).
        smooth: weight of the total variation.
    """
    with torch.enable_grad():
        pixels = torch.zeros(1, *shape, device=target.device, requires_grad=True)
        optimizer = torch.optim.Adam([pixels], lr=0.05)
        for _ in range(steps):
            optimizer.zero_grad()
            x = torch.sigmoid(pixels)
            rough = (x.diff(dim=2).abs().sum() + x.diff(dim=3).abs().sum()) * smooth
            ((encode(x) - target).square().sum() + rough).backward()
            optimizer.step()
    return torch.sigmoid(pixels).detach()
