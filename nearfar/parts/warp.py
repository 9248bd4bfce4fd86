"""Warping one picture's map onto another along a flow, and how far the flow is trusted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(x: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` as seen from where the flow starts: ``out(p) = x(p + flow(p))``, bilinearly.

    Args:
        x: (N, C, H, W).
        flow: (N, 2, H, W), displacements to the right and down in pixels of ``x``.

    Returns:
        The warped map, 0 where the flow leaves ``x``, and a mask (N, 1, H, W), true where it ends *inside* ``x``,
        the outermost rows and columns not included (as in the released code of CMA). A flow that is 0 everywhere
        (a still picture) gives the map itself and true everywhere, on purpose: the released code leaves its edge out
        there too, although nothing moved.

    Raises:
        ValueError: shapes that do not fit.
    """
    if x.ndim != 4 or flow.shape != (len(x), 2, *x.shape[2:]):
        raise ValueError(
            f"flow must have shape (N, 2, H, W) for a map (N, C, H, W), got {tuple(flow.shape)} and {tuple(x.shape)}"
        )
    height, width = x.shape[2:]
    columns = torch.arange(width, device=x.device, dtype=flow.dtype).view(1, -1) + flow[:, 0]
    rows = torch.arange(height, device=x.device, dtype=flow.dtype).view(-1, 1) + flow[:, 1]
    place = torch.stack([2 * columns / max(width - 1, 1) - 1, 2 * rows / max(height - 1, 1) - 1], 3)
    warped = F.grid_sample(x, place.to(x.dtype), mode="bilinear", padding_mode="zeros", align_corners=True)
    inside = (place.abs() < 1).all(3).unsqueeze(1)
    still = (flow == 0).flatten(1).all(1).view(-1, 1, 1, 1)
    return torch.where(still, x, warped), inside | still


def resize_flow(flow: Tensor, size: tuple[int, int]) -> Tensor:
    """A flow (N, 2, H, W) at another size, its displacements in the new pixels."""
    height, width = flow.shape[2:]
    scale = flow.new_tensor([size[1] / width, size[0] / height]).view(1, 2, 1, 1)
    return F.interpolate(flow, size=size, mode="bilinear", align_corners=False) * scale


def flow_confidence(log_variance: Tensor, radius: float = 1.0) -> Tensor:
    r"""Probability that a flow errs by less than ``radius`` pixels: :math:`1 - e^{-R^2 / (2 \sigma^2)}`.

    ``log_variance`` is :math:`\ln \sigma^2` of an isotropic Gaussian error, as matching networks of the UAWarpC
    family give it; any shape.
    """
    if not radius > 0:
        raise ValueError(f"radius must be above 0, got {radius}")
    return -torch.expm1(-(radius**2) / (2 * log_variance.exp()))


def warp_trusted(x: Tensor, flow: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`warp` by a flow of another size, and how far each cell is to be trusted, 0 outside of ``x``.

    Args:
        x: (N, C, h, w).
        flow: (N, 2, H, W), in its own pixels.
        log_variance: (N, 1, H, W) of the flow; see :func:`flow_confidence`.

    Returns:
        (N, C, h, w) and (N, 1, h, w).
    """
    size = (x.shape[2], x.shape[3])
    warped, inside = warp(x, resize_flow(flow, size))
    trust = F.interpolate(log_variance, size=size, mode="bilinear", align_corners=False)
    return warped, inside * flow_confidence(trust)
