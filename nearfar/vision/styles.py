"""Styles of images as the amplitudes of their low frequencies."""

from __future__ import annotations

import torch
from torch import Tensor


def exchange_style(images: Tensor, reference: Tensor, share: float | Tensor) -> Tensor:
    r"""Images with the low-frequency amplitudes of others: their layout stays, their light and colours change.

    Of the two-dimensional Fourier transform of every colour, the amplitudes inside a centred block that holds ``share``
    of the spectrum are replaced by the reference's and all phases are kept (Fourier domain adaptation; Batch Styles
    Standardization, arXiv 2303.06088, algorithm 1). Results are clipped to [0, 1].

    Args:
        images: (N, C, H, W) in [0, 1], before any normalisation by mean and standard deviation.
        reference: which of them lends its amplitudes, for every image one, (N,) int64; the same number everywhere
            gives all images one style.
        share: area of the block in [0, 1], one number or (N,); 0 changes nothing but the means.

    Returns:
        (N, C, H, W), of the images' dtype and memory format.

    Raises:
        ValueError: shapes that do not fit, or a share outside [0, 1].
    """
    if images.ndim != 4 or reference.shape != images.shape[:1]:
        raise ValueError(
            f"images must have shape (N, C, H, W) and reference (N,), got {tuple(images.shape)} and "
            f"{tuple(reference.shape)}"
        )
    side = torch.as_tensor(share, dtype=torch.float32, device=images.device).expand(len(images)).sqrt()
    if not bool(((side >= 0) & (side <= 1)).all()):
        raise ValueError(f"share must be in [0, 1], got {share}")
    height, width = images.shape[2:]
    spectrum = torch.fft.rfft2(images)
    amplitude = spectrum.abs()
    rows = torch.fft.fftfreq(height, device=images.device).abs()
    columns = torch.fft.rfftfreq(width, device=images.device)
    # Frequencies reach 1/2, so a block of that share of each side ends at half of the share.
    inside = (rows.view(1, -1, 1) <= side.view(-1, 1, 1) / 2) & (columns.view(1, 1, -1) <= side.view(-1, 1, 1) / 2)
    exchanged = torch.where(inside.unsqueeze(1), amplitude[reference], amplitude)
    mixed = torch.fft.irfft2(torch.polar(exchanged, spectrum.angle()), s=(height, width))
    return mixed.clamp(0, 1).to(images.dtype).contiguous(memory_format=torch.channels_last)
