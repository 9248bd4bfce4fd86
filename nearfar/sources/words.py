"""Vectors of short texts by their words alone, for data whose texts are beside the point or no encoder is at hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

__all__ = ["text_vectors"]


def text_vectors(texts: Sequence[str], *, width: int = 128) -> np.ndarray:
    """(N, width) rows of unit length: frequencies of words against their frequency in all texts, in fewer dimensions.

    A text without any known word is a row of zeros. Where there are fewer words, columns of zeros fill up.
    """
    counted = TfidfVectorizer(sublinear_tf=True, max_features=20_000, token_pattern=r"\w+").fit_transform(texts)
    kept = min(width, min(counted.shape) - 1)
    found = TruncatedSVD(kept, random_state=0).fit_transform(counted) if kept > 0 else counted.toarray()[:, :width]
    rows = normalize(found).astype(np.float32)
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])))
