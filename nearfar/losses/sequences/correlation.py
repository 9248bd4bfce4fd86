"""Windows whose distance in time correlates over the whole series belong together: AutoCon."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import embeddings, full_precision, inverse_temperature, reduce_rows, tracks, whole_numbers

__all__ = ["autocorrelation", "autocorrelation_contrast"]


def autocorrelation(values: Tensor) -> Tensor:
    r"""Autocorrelation of a series at every lag, :math:`\sum_t x_t x_{t+k} / \sum_t x_t^2` of values less their mean.

    The biased estimator, as statsmodels' default; a constant series gives 1 at lag 0 and 0 elsewhere.

    Args:
        values: (T, C).

    Returns:
        (T, C) in [-1, 1].

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: no matrix, or an empty one.
    """
    (values,) = embeddings(values=values)
    steps = len(values)
    centred = values - values.mean(0)
    spectrum = torch.fft.rfft(centred, n=2 * steps, dim=0)
    found = torch.fft.irfft(spectrum.abs().square(), n=2 * steps, dim=0)[:steps]
    power = found[0]
    result = found / torch.where(power > 0, power, 1.0)
    result[0] = 1.0
    return result


@full_precision
def autocorrelation_contrast(
    features: Tensor,
    positions: Tensor,
    correlation: Tensor,
    *,
    temperature: float | Tensor = 1.0,
    reduction: str = "mean",
) -> Tensor:
    r"""Each feature is drawn to the one whose distance in time correlates most, by how much it does.

    With :math:`r_{ij} = \rho(|t_i - t_j|)`, :math:`l_{ij} = f_i \cdot f_j / \tau` and positives P(i) where r is
    largest, the places of correlation 1 aside, and those places themselves,

    .. math:: \ell_i = -\frac{1}{|P(i)|} \sum_{j \in P(i)} r_{ij}
        \Big[ l_{ij} - \log \sum_{k \ne i} e^{l_{ik}} \Big]

    (AutoCon, arXiv 2402.02023; junwoopark92/Self-Supervised-Contrastive-Forecsating, ``layers/losses.py``): r weighs,
    it does not select. Where all others are of correlation 1 the place itself becomes a positive too, as released.

    Args:
        features: (G, N, D), N features in each of G groups; normalised by the caller.
        positions: (G, N) whole numbers, their places in time.
        correlation: (K,), the absolute autocorrelation at each distance, 1 at 0; taken in float32 as released.
        temperature: divides the products.
        reduction: ``"mean"``, or ``"none"`` for (G, N).

    Raises:
        TypeError: dtypes that do not fit.
        ValueError: shapes that do not fit, fewer than two features in a group, or a distance without correlation.
    """
    (features,) = tracks(features=features)
    positions = whole_numbers("positions", positions, tuple(features.shape[:2])).to(features.device)
    if not isinstance(correlation, Tensor) or correlation.ndim != 1 or not correlation.is_floating_point():
        raise ValueError("correlation must be floating-point numbers of shape (K,), one for each distance")
    if features.shape[1] < 2:
        raise ValueError(f"at least two features are needed in a group, got {features.shape[1]}")
    distance = (positions[:, :, None] - positions[:, None, :]).abs()
    if int(distance.max()) >= len(correlation):
        raise ValueError(f"places are up to {int(distance.max())} apart, and correlation has {len(correlation)} lags")
    r = correlation.to(features.device, torch.float32)[distance]
    itself = r == 1.0
    others = ~torch.eye(features.shape[1], dtype=torch.bool, device=features.device)
    aside = r.masked_fill(itself, -torch.inf)
    chosen = (aside == aside.amax(2, keepdim=True)).to(features.dtype) + (itself & others).to(features.dtype)
    logits = features @ features.transpose(1, 2) * inverse_temperature(temperature, features)
    total = logits.masked_fill(~others, -torch.inf).logsumexp(2, keepdim=True)
    rows = -(r.to(features.dtype) * chosen * (logits - total)).sum(2) / chosen.sum(2)
    return rows.mean() if reduction == "mean" else reduce_rows(rows, reduction)
