"""Binary maps of regions in hidden patches: R-MAE's second objective."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import boolean, floating, full_precision, mean_where, number


@full_precision
def masked_regions(logits: Tensor, regions: Tensor, mask: Tensor, *, background: float = 1.0) -> Tensor:
    r"""Cross-entropy of predicted region maps, over hidden patches only.

    .. math::
        L = \frac{\sum_{nl} m_{nl} \frac{1}{K P} \sum_{kp} w_{nklp} \,
            \mathrm{BCE}(\sigma(\hat r_{nklp}), r_{nklp})}{\sum_{nl} m_{nl}}

    R-MAE (Nguyen et al., 2024, arXiv 2306.05411; released code ``rmae.py``, ``_forward_region_loss``). The weight
    :math:`w` is ``background`` where a pixel lies outside of its region and 1 inside. Regions may be soft; with a
    ``background`` other than 1 a pixel that is partly inside then weighs as much as it is (so in the released code).
    Where nothing is hidden the loss is 0. It compares each picture with itself.

    Args:
        logits: (N, K, L, P), what is said of P pixels in each of L patches for each of K regions.
        regions: (N, K, L, P), boolean, True inside the region, or numbers in [0, 1].
        mask: (N, L), boolean, True where the patch was hidden.
        background: weight of pixels outside, at least 0; below 1 keeps small regions from being ignored.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: logits that are not floating, maps of whole numbers, or a mask that is not boolean.
        ValueError: shapes or devices that do not fit, or a negative weight.
    """
    (logits,) = floating(logits=logits)
    number("background", background, at_least=0.0)
    shape = getattr(regions, "shape", logits.shape)
    if logits.ndim != 4 or logits.shape != shape or logits.numel() == 0:
        raise ValueError(
            "logits and regions must be non-empty and of one shape (N, K, L, P), "
            f"got {tuple(logits.shape)} and {tuple(shape)}"
        )
    if isinstance(regions, Tensor) and regions.is_floating_point():
        if regions.device != logits.device:
            raise ValueError(f"regions must be on {logits.device} like the logits, got {regions.device}")
        inside = regions.detach().to(logits.dtype)
    else:
        inside = boolean("regions", regions, logits.shape, logits, "logits", "; soft ones are floating numbers")
    hidden = boolean("mask", mask, (logits.shape[0], logits.shape[2]), logits, "logits")
    error = F.binary_cross_entropy_with_logits(logits, inside, reduction="none")
    if background != 1.0:
        error = error * torch.where(inside > 0, inside, background)
    return mean_where(error.mean(dim=(1, 3)), hidden)
