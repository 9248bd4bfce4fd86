"""Many made things against many real ones, by features of an encoder that whoever quotes the number names."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation._arrays import matrix


def frechet_distance(made: Any, real: Any) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features, at least 0.

    ``|m - m'|² + tr(S + S' - 2 (S S')^1/2)``, covariances with N - 1 (Heusel et al. 2017: of Inception features this is
    FID). Values of other encoders, other widths or few rows are not comparable with published ones: a covariance of
    fewer rows than features is singular, and the distance is biased upwards by about D/N.

    Args:
        made: (N, D) features, N at least 2.
        real: (M, D) of the same encoder.
    """
    a, b = matrix(made, "made"), matrix(real, "real")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"made and real must have one width, got {a.shape[1]} and {b.shape[1]}")
    if len(a) < 2 or len(b) < 2:
        raise ValueError(f"made and real need at least 2 rows each for a covariance, got {len(a)} and {len(b)}")
    sa, sb = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    from scipy import linalg  # heavy, and only this needs it

    # tr (S S')^1/2 is the trace of (S^1/2 S' S^1/2)^1/2, whose matrices are symmetric: no complex rounding.
    values, axes = linalg.eigh(sa)
    root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    shared = np.sqrt(np.maximum(linalg.eigvalsh(root @ sb @ root), 0)).sum()
    return float(max(np.square(a.mean(0) - b.mean(0)).sum() + np.trace(sa) + np.trace(sb) - 2 * shared, 0.0))
