"""Pixels of hidden patches: the objective of masked image modelling."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import boolean, floating, full_precision

VARIANCE_FLOOR = 1e-6
COUNT_FLOOR = 1e-8


@full_precision
def masked_reconstruction(
    prediction: Tensor, target: Tensor, mask: Tensor, *, normalise: bool = True, correction: int = 1
) -> Tensor:
    r"""Squared error of predicted pixels, over hidden patches only.

    .. math::
        L = \frac{\sum_{nl} m_{nl} \frac{1}{P} \sum_p (\hat y_{nlp} - \tilde y_{nlp})^2}{\sum_{nl} m_{nl} + 10^{-8}},
        \qquad \tilde y_{nl} = \frac{y_{nl} - \bar y_{nl}}{\sqrt{\operatorname{var} y_{nl} + 10^{-6}}}

    MAE (He et al., 2021, arXiv 2111.06377, equation in the released ``models_mae.py``) and SparK (Tian et al.,
    2023, arXiv 2301.03580, released ``pretrain/spark.py``): the same formula, with the unbiased variance in both.
    The small number in the denominator is SparK's: where nothing is hidden the loss is 0 and not nan.

    It compares each picture with itself, so it says nothing about other pictures; a target normalised by its own
    patch rewards texture and edges and forgets brightness. For features instead of pixels use
    :func:`nearfar.losses.feature_distance`.

    Args:
        prediction: (N, L, P), what is said of the P values (pixels times channels) of each of L patches.
        target: (N, L, P), the patches of the pictures. No gradient is stopped: pixels have none.
        mask: (N, L), boolean, True where the patch was hidden.
        normalise: each target patch has mean 0 and variance 1; False compares plain pixels.
        correction: subtracted from P in the variance: 1 is the unbiased one, 0 the biased.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: patches that are not floating, or a mask that is not boolean.
        ValueError: shapes or devices that do not fit; patches with too few values for their variance.
    """
    prediction, target = floating(prediction=prediction, target=target)
    if prediction.ndim != 3 or prediction.shape != target.shape or prediction.numel() == 0:
        raise ValueError(
            "prediction and target must be non-empty patches of one shape (N, L, P), "
            f"got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    hidden = boolean("mask", mask, target.shape[:2], target, "patches", "; True is where a patch was hidden")
    if normalise:
        values = target.shape[2]
        if correction not in (0, 1) or values <= correction:
            raise ValueError(
                f"correction must be 0 or 1 and less than the values of a patch, got {correction} with {values} values"
            )
        variance, mean = torch.var_mean(target, dim=2, keepdim=True, correction=correction)
        target = (target - mean) * (variance + VARIANCE_FLOOR).rsqrt()
    error = (prediction - target).square().mean(dim=2)
    return (error * hidden).sum() / (hidden.sum() + COUNT_FLOOR)
