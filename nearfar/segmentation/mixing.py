"""Mixed images: ClassMix, and the strong colour augmentation that self-training puts on them."""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from torch import Tensor

from nearfar.common.share import for_examples, whole_batch
from nearfar.vision.views import Draws, Recipe, apply

CLASSES = 256
"""Label values are uint8: classes and the ignored 255, which counts as one of them here."""

STRONG = Recipe(
    scale=None,
    brightness=0.2,
    contrast=0.2,
    saturation=0.2,
    hue=0.2,
    jitter_p=0.8,
    blur_p=0.5,
    blur_sigma=(0.15, 1.15),
)
"""Colour jitter and blur of mixed images in DACS and DAFormer."""


def class_mix_mask(
    labels: Tensor, generator: torch.Generator | None = None, *, among: Literal["batch", "image"] = "batch"
) -> Tensor:
    """ClassMix (Olsson et al., 2021): the pixels of a random half of the classes, drawn for every image.

    Of n classes present ``ceil(n / 2)`` are chosen without replacement; 255 counts as a class.

    Args:
        labels: (N, H, W) integers in [0, 255].
        generator: the source of the choice, on any device.
        among: whose classes are drawn from. ``batch`` as the released DACS and DAFormer do, so that an image may
            give none or all of its pixels; ``image`` as the ClassMix paper says.

    Returns:
        (N, H, W) boolean, true where the pixel is taken from the labelled image.
    """
    if labels.ndim != 3 or labels.is_floating_point():
        raise ValueError(f"labels must be integers of shape (N, H, W), got {labels.dtype} {tuple(labels.shape)}")
    flat = labels.flatten(1).long()
    present = torch.zeros(len(flat), CLASSES, device=flat.device).scatter_(1, flat, 1.0)
    if among == "batch":
        present = whole_batch(present).amax(0, keepdim=True).expand_as(present)
    elif among != "image":
        raise ValueError(f"among must be 'batch' or 'image', got {among!r}")
    source = flat.device if generator is None else generator.device
    keys = for_examples(lambda n: torch.rand(n, CLASSES, generator=generator, device=source), len(flat))
    keys = keys.to(flat.device)
    # Absent classes come last, so that the first half of those present are the first of the order.
    place = torch.where(present > 0, keys, keys + 1).argsort(1).argsort(1)
    chosen = place < ((present.sum(1, keepdim=True) + 1) // 2)
    return chosen.gather(1, flat).view(labels.shape)


def mix(mask: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a`` where the mask (N, H, W) is true and ``b`` elsewhere: images (N, C, H, W), or maps (N, H, W) of labels
    or weights."""
    if a.shape != b.shape:
        raise ValueError(f"what is mixed must have one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    return torch.where(mask.unsqueeze(1) if a.ndim == 4 else mask, a, b)


def strong_draws(images: Tensor, generator: torch.Generator, recipe: Recipe = STRONG) -> Draws:
    """The random numbers of the strong augmentation of (N, 3, H, W) images, to be given to several image batches
    that must be changed alike.

    Whether colours are jittered and whether there is blur is one draw for the batch (the released code draws it
    once per step); by how much is every image's own.
    """
    n, _, height, width = images.shape
    gate = torch.rand(2, generator=generator, device=generator.device)
    draws = recipe.with_(jitter_p=1.0, blur_p=1.0).draw(n, height, width, generator)
    assert draws.factors is not None
    assert draws.sigma is not None
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0], device=draws.device)
    return dataclasses.replace(
        draws,
        factors=torch.where(gate[0] < recipe.jitter_p, draws.factors, neutral),
        sigma=torch.where(gate[1] < recipe.blur_p, draws.sigma, 0.0),
    )


def strong_augmentation(images: Tensor, draws: Draws) -> Tensor:
    """Colour jitter and blur: (N, 3, H, W) uint8 to float32 in [0, 1], nothing moved."""
    return apply(images, draws)
