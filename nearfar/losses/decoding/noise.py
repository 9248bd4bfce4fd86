"""An image that tells less."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import floating

STEPS = 1000


def diffusion_noise(images: Tensor, noise: Tensor, *, step: int = 500) -> Tensor:
    r"""VCD's corrupted image: forward diffusion to a step (arXiv 2311.16922, ``vcd_add_noise.py``).

    :math:`\sqrt{\bar\alpha_t}\, x + \sqrt{1 - \bar\alpha_t}\, \epsilon` with 1000 betas, a sigmoid from -6 to 6 brought
    to [1e-5, 5e-3].

    Args:
        images: (...), already normalised for the model; noise before that would be of another strength.
        noise: standard normal, of the same shape.
        step: t, from 0 to 999.

    Raises:
        ValueError: a step out of range, shapes that differ.
    """
    if not 0 <= step < STEPS:
        raise ValueError(f"step must be between 0 and {STEPS - 1}, got {step}")
    images, noise = floating(images=images, noise=noise)
    if images.shape != noise.shape:
        raise ValueError(f"noise has shape {tuple(noise.shape)} for images of shape {tuple(images.shape)}")
    ramp = torch.linspace(-6, 6, STEPS, device=images.device)  # float32, as released
    kept = (1 - (ramp.sigmoid() * (0.5e-2 - 1e-5) + 1e-5)).cumprod(0)[step]
    return kept.sqrt() * images + (1 - kept).sqrt() * noise
