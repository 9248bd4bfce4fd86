"""Latents of hidden patches: the objective of joint-embedding predictive architectures."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import boolean, choice, floating, full_precision, mean_where

METRICS = ("l2", "smooth_l1")


@full_precision
def latent_prediction(
    prediction: Tensor, target: Tensor, mask: Tensor, *, metric: str = "l2", normalise: bool = False
) -> Tensor:
    r"""Distance of predicted from teacher's latents, over hidden patches only.

    .. math::
        L = \frac{1}{\sum_{nl} m_{nl}} \sum_{nl} m_{nl} \, \frac{1}{D} \sum_d \rho(p_{nld} - t_{nld}),
        \qquad \rho(x) = x^2

    (``"l2"``), or :math:`\rho` the Huber function with its bend at 1 (``"smooth_l1"``). IWM (Garrido et al., 2024,
    arXiv 2403.00504) writes the squared distance, summed over patches and features instead of averaged, which an
    optimiser of Adam's kind does not notice; the code of I-JEPA (facebookresearch/ijepa, ``src/train.py``), on which
    IWM builds, has ``"smooth_l1"`` of normalised targets. Nothing in it keeps the latents from collapsing: the target
    must come from a momentum encoder. Targets get no gradient.

    Args:
        prediction: (N, L, D).
        target: (N, L, D), the teacher's tokens of the same patches.
        mask: (N, L), boolean, True where the patch was hidden.
        metric: ``"l2"`` or ``"smooth_l1"``.
        normalise: give each target token mean 0 and variance 1 over its features first (I-JEPA).

    Returns:
        A scalar, at least 0; 0 where nothing is hidden.

    Raises:
        TypeError: latents that are not floating, or a mask that is not boolean.
        ValueError: shapes, devices or a metric that do not fit.
    """
    prediction, target = floating(prediction=prediction, target=target)
    choice("metric", metric, METRICS)
    if prediction.ndim != 3 or prediction.shape != target.shape or prediction.numel() == 0:
        raise ValueError(
            "prediction and target must be non-empty latents of one shape (N, L, D), "
            f"got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    hidden = boolean("mask", mask, target.shape[:2], target, "latents", "; True is where a patch was hidden")
    target = target.detach()
    if normalise:
        target = F.layer_norm(target, target.shape[2:])
    rho = F.mse_loss if metric == "l2" else F.smooth_l1_loss
    error = rho(prediction, target, reduction="none").mean(dim=2)
    return mean_where(error, hidden)
