"""Embeddings as an index that faiss searches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nearfar.evaluation._arrays import unit_rows

__all__ = ["EXACT", "written_index"]

EXACT = 50_000
"""Rows up to which the index compares with all of them; larger ones are divided into lists."""

PROBED = 32
"""Lists that a search looks into, of about four times the root of the number of rows."""

TRAINED_ON = 64
"""Rows for each list by which the lists are found."""


def written_index(array: np.ndarray, exact: int = EXACT) -> bytes:
    """The bytes of a file for ``faiss.read_index``: inner products of directions, which are cosines.

    Up to ``exact`` rows are compared one by one. More are divided into lists by k-means (``IVF..,Flat``), of which a
    search looks into 32; set ``nprobe`` for more recall or less time. Scale queries to length 1 before searching.

    Args:
        array: (N, D) float32, finite.
        exact: see above.

    Raises:
        ValueError: a NaN or infinite value. ImportError: without faiss.
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError("a .faiss file needs faiss: pip install 'nearfar[search]'") from error
    rows = unit_rows(array).astype(np.float32)
    if not np.isfinite(rows).all():
        raise ValueError("embeddings that are NaN or infinite cannot be searched")
    count, width = rows.shape
    if count <= exact:
        index: Any = faiss.IndexFlatIP(width)
    else:
        lists = max(4 * int(math.sqrt(count)), 1)
        index = faiss.index_factory(width, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
        chosen = np.random.default_rng(0).choice(count, min(count, TRAINED_ON * lists), replace=False)
        index.train(rows[np.sort(chosen)])
        index.nprobe = min(PROBED, lists)
    index.add(rows)
    return faiss.serialize_index(index).tobytes()
