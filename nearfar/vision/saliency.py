"""What stands out in an image, without training: for masking backgrounds."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

GRAY = 128


def spectral_residual(images: Tensor) -> Tensor:
    """Saliency by the spectral residual (Hou & Zhang, CVPR 2007), in [0, 1].

    What is left of the logarithm of an image's amplitude spectrum when its local mean is taken away, transformed back:
    large where something breaks the regularity of the rest. It finds objects on plain or evenly textured ground; on
    busy photographs use masks of a trained network instead.

    Args:
        images: (N, 3, H, W) uint8 or floating.

    Returns:
        (N, H, W) float32, the largest value of each image 1 (0 everywhere for a constant image).
    """
    luma = images.float().mean(1)
    spectrum = torch.fft.fft2(luma)
    amplitude = spectrum.abs().clamp_min(1e-6).log()
    local = F.avg_pool2d(F.pad(amplitude.unsqueeze(1), (1, 1, 1, 1), mode="circular"), 3, 1).squeeze(1)
    found = torch.fft.ifft2(torch.polar((amplitude - local).exp(), spectrum.angle())).abs().square()
    smooth = F.avg_pool2d(F.pad(found.unsqueeze(1), (1, 1, 1, 1), mode="replicate"), 3, 1).squeeze(1)
    varied = luma.flatten(1).std(1) > 0.5 / 255
    peak = smooth.amax((1, 2), keepdim=True).clamp_min(1e-12)
    return torch.where(varied.view(-1, 1, 1), smooth / peak, 0.0)


def without_background(images: Tensor, chosen: Tensor) -> Tensor:
    """uint8 images (N, 3, H, W) of which the ``chosen`` ones (N,) keep what is more salient than their mean; the rest
    of them turns gray."""
    if not bool(chosen.any()):
        return images
    saliency = spectral_residual(images)
    background = (saliency < saliency.mean((1, 2), keepdim=True)) & chosen.view(-1, 1, 1)
    return torch.where(background.unsqueeze(1), torch.full_like(images, GRAY), images)
