"""How many dimensions embeddings really use, and whether they have collapsed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nearfar.evaluation._arrays import centred, finite, matrix
from nearfar.evaluation.geometry.spread import feature_std


def effective_rank(x: Any) -> float:
    """exp of the entropy of the singular values normalised to sum 1 (Roy & Vetterli 2007), in [1, min(N, D)].

    Singular values of the rows as they are, not centred, as in RankMe: a common offset counts as one
    dimension. 0 for a matrix of zeros.

    Args:
        x: (N, D). N well above D for a value about the representation rather than the sample.
    """
    return _entropy_rank(_singular_values(x), 0.0)


def rankme(x: Any, *, eps: float = 1e-7) -> float:
    """RankMe: exp(-sum_k p_k log p_k), p_k = sigma_k / ||sigma||_1 + eps (Garrido et al. 2023, eq. 1).

    The paper takes eps 1e-7 and 25600 rows, not centred. eps adds up to D · eps of mass, which is the only
    difference to :func:`effective_rank`; rbalestr-lab/stable-pretraining has 1e-5 in its torch version.
    Compare values of one D and one data set only.

    Args:
        x: (N, D), N at least D for the published reading.
        eps: non-negative.
    """
    if not eps >= 0:
        raise ValueError(f"eps must not be negative, got {eps}")
    return _entropy_rank(_singular_values(x), eps)


def participation_ratio(x: Any) -> float:
    """(sum_k l_k)² / sum_k l_k² of the covariance eigenvalues l, in [1, min(N - 1, D)]; 0 without variance.

    Centred, and dominated by the large directions; :func:`effective_rank` hears the small ones too.

    Args:
        x: (N, D).
    """
    values = np.linalg.svd(centred(matrix(x, "x")), compute_uv=False) ** 2
    return float(values.sum() ** 2 / (values**2).sum()) if values.any() else 0.0


def lidar(x: Any, *, delta: float = 1e-4, eps: float = 1e-8) -> float:
    """LiDAR: the effective rank of what separates objects from one another relative to their views.

    With object means mu_i: Sb = sum_i (mu_i - mu)(mu_i - mu)' / (n - 1), Sw = sum_ij (x_ij - mu_i)(x_ij -
    mu_i)' / (n (q - 1)) + delta I, l = eigenvalues of Sw^-1/2 Sb Sw^-1/2, p = (l + eps) / sum(l + eps), and
    the result exp(-sum p log p), in [1, min(D, n - 1)] up to eps (Thilak et al. 2023; the divisors are those
    of rbalestr-lab/stable-pretraining callbacks/lidar.py).

    Args:
        x: (n, q, D): q views, at least 2, of each of n objects, at least 2. The paper uses 1000 x 50.
        delta: ridge on the within-object covariance, positive.
        eps: positive.
    """
    views = finite(x, "x")
    if views.ndim != 3 or views.shape[0] < 2 or views.shape[1] < 2:
        raise ValueError(
            f"x must have shape (objects, views, features) with at least 2 objects and 2 views, got {views.shape}"
        )
    if not (delta > 0 and eps > 0):
        raise ValueError(f"delta and eps must be positive, got {delta} and {eps}")
    n, q, d = views.shape
    means = views.mean(1)
    within = (views - means[:, None]).reshape(n * q, d)
    centred = means - means.mean(0)
    strengths, axes = np.linalg.eigh(within.T @ within / (n * (q - 1)) + delta * np.eye(d))
    whitened = centred @ axes / np.sqrt(np.maximum(strengths, delta))
    values = np.zeros(d)
    singular = np.linalg.svd(whitened, compute_uv=False)
    values[: len(singular)] = singular**2 / (n - 1)
    p = (values + eps) / (values + eps).sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def alpha_req(x: Any, *, first: int = 1, last: int | None = None) -> float:
    """Decay alpha of the covariance spectrum, eigenvalue_k ~ k^-alpha: near 1 is said to transfer best.

    Least squares of log eigenvalue on log index with weights 1/k over first <= k <= last, as in the released
    code of α-ReQ (Agrawal et al. 2022), which took the fit from Stringer et al. 2019.

    Args:
        x: (N, D), centred inside.
        first: index of the first eigenvalue of the fit, from 1. Stringer's range is 11 to 500.
        last: index of the last, or the last eigenvalue above rounding error.

    Raises:
        ValueError: fewer than two usable eigenvalues in the range.
    """
    rows = matrix(x, "x")
    singular = np.linalg.svd(centred(rows), compute_uv=False)
    values = singular[singular > singular.max(initial=0.0) * max(rows.shape) * np.finfo(np.float64).eps] ** 2
    stop = len(values) if last is None else min(last, len(values))
    if first < 1 or stop - first < 1:
        raise ValueError(
            f"first and last must span at least two of the {len(values)} non-zero eigenvalues, "
            f"got {first} to {last if last is not None else stop}"
        )
    k = np.arange(first, stop + 1)
    weights = 1 / k
    log_k, log_l = np.log(k), np.log(values[first - 1 : stop])
    log_k = log_k - np.average(log_k, weights=weights)
    return float(-(weights * log_k * log_l).sum() / (weights * log_k**2).sum())


@dataclass(frozen=True)
class Collapse:
    """The verdict of :func:`collapsed`; true in a condition when the representation has collapsed.

    Attributes:
        kind: ``"none"``, ``"point"`` (all rows nearly one direction) or ``"dimensional"`` (one line or few).
        spread: :func:`feature_std` relative to 1 / sqrt(D), in [0, 1].
        effective_rank: :func:`effective_rank`.
    """

    kind: Literal["none", "point", "dimensional"]
    spread: float
    effective_rank: float

    def __bool__(self) -> bool:
        return self.kind != "none"


def collapsed(x: Any, *, min_spread: float = 0.02, min_rank: float = 1.5) -> Collapse:
    """Whether embeddings have lost almost everything, by two thresholds.

    - ``"point"``: spread below ``min_spread``. Gaussian rows have a spread near 1; raw pixels of digits and
      the non-negative features of an untrained ResNet-18 lie between 0.4 and 0.8.
    - ``"dimensional"``: effective rank below ``min_rank``, one direction carrying nearly everything. A share
      of D, such as 0.1 · D, looks for partial collapse instead.

    Args:
        x: (N, D), a few hundred rows or more; one row alone counts as collapsed.
        min_spread: in [0, 1].
        min_rank: at least 1.
    """
    rows = matrix(x, "x")
    spread, rank = feature_std(rows, relative=True), effective_rank(rows)
    kind: Literal["none", "point", "dimensional"] = "none"
    if spread < min_spread:
        kind = "point"
    elif rank < min_rank:
        kind = "dimensional"
    return Collapse(kind, spread, rank)


def _singular_values(x: Any) -> np.ndarray:
    return np.linalg.svd(matrix(x, "x"), compute_uv=False)


def _entropy_rank(singular: np.ndarray, eps: float) -> float:
    if not singular.any():
        return 0.0
    p = singular / singular.sum() + eps
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))
