"""Who chose what: the data of every recommender."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.training import Data


class Pairs(NamedTuple):
    """Interactions: who chose what.

    Attributes:
        users: (B,) rows of users.
        items: (B,) rows of items.
    """

    users: Tensor
    items: Tensor


class FeaturedPairs(Pairs):
    """Interactions with items that have features.

    The features are the data's, not the batch's: methods take them in before the first step.
    """


class Interactions(Data):
    """Choices of users among items, some of them held out. One example is one choice to learn from.

    Args:
        learn: (U, I) SciPy matrix; where it has an entry the user chose the item.
        test: (U, I), the choices that are held out; none when not given.
        user_ids, item_ids: (U,) and (I,) names; numbers from 0 when not given.
        item_features: for each kind of feature (image, text) a matrix (I, F).
        user_features: the same for users (U, F).
        item_groups: (I,) a known grouping of the items, where there is one; only ever compared with.
        name: what to call the data.

    Attributes:
        learn, test: as boolean compressed rows with sorted indices, without common entries.

    Raises:
        ValueError: shapes that do not fit, features that are not finite, nothing to learn from.
    """

    def __init__(
        self,
        learn: Any,
        test: Any = None,
        *,
        user_ids: Any = None,
        item_ids: Any = None,
        item_features: Mapping[str, np.ndarray] | None = None,
        user_features: Mapping[str, np.ndarray] | None = None,
        item_groups: np.ndarray | None = None,
        name: str = "interactions",
    ) -> None:
        self.learn = _chosen(learn)
        if not self.learn.nnz:
            raise ValueError(f"{name} holds no interactions to learn from")
        users, items = self.learn.shape
        self.test = _chosen(sparse.csr_matrix((users, items)) if test is None else test)
        if self.test.shape != self.learn.shape:
            raise ValueError(f"the test interactions are {self.test.shape}, those to learn from {self.learn.shape}")
        both = int(self.learn.multiply(self.test).nnz)
        if both:
            warnings.warn(f"{both} test interactions are also learned from and were left out of the test", stacklevel=2)
            self.test = _chosen(self.test - self.test.multiply(self.learn))
        self.name = name
        self.skipped: Skipped | None = None
        self.user_ids = _ids(user_ids, users, "user")
        self.item_ids = _ids(item_ids, items, "item")
        self.item_features = _features(item_features, items, "items")
        self.user_features = _features(user_features, users, "users")
        self.item_groups = item_groups
        rows = self.learn.tocoo()
        self._users = torch.from_numpy(rows.row.astype(np.int64))
        self._items = torch.from_numpy(rows.col.astype(np.int64))
        self.gives = FeaturedPairs if self.item_features else Pairs

    def __len__(self) -> int:
        return len(self._users)

    def batch(self, indices: np.ndarray) -> Pairs:
        assert self.gives is not None
        chosen = torch.from_numpy(np.asarray(indices, dtype=np.int64))
        return self.gives(self._users[chosen], self._items[chosen])

    @property
    def facts(self) -> Mapping[str, Any]:
        users, items = self.learn.shape
        return {
            "users": users,
            "items": items,
            "interactions": len(self),
            "item_features": {name: matrix.shape[1] for name, matrix in self.item_features.items()},
            "user_features": {name: matrix.shape[1] for name, matrix in self.user_features.items()},
        }

    def contents(self) -> dict[str, str]:
        """What tells these interactions from others; see :mod:`nearfar.sources.fingerprint`."""
        parts = {
            "users": digest_of(self.user_ids),
            "items": digest_of(self.item_ids),
            "interactions": digest_of(self.learn.indptr, self.learn.indices),
            "held out": digest_of(self.test.indptr, self.test.indices),
        }
        features = {**self.item_features, **self.user_features}
        return {**parts, **{f"features {name}": digest_of(matrix) for name, matrix in features.items()}}

    def rows_of(self, ids: list[str]) -> tuple[np.ndarray, list[tuple[str, str]]]:
        """Rows of the users with these names, and of the others why there are none, as (name, reason)."""
        known = {name: row for row, name in enumerate(self.user_ids.tolist())}
        idle = np.diff(self.learn.indptr) == 0
        rows, bad = [], []
        for name in ids:
            row = known.get(name)
            if row is None:
                bad.append((name, "nobody of this name was learned from"))
            elif idle[row]:
                bad.append((name, "there are no interactions of theirs to learn from"))
            else:
                rows.append(row)
        return np.array(rows, dtype=np.int64), bad


def _chosen(matrix: Any) -> Any:
    found = sparse.csr_matrix(matrix, copy=True)
    found.sum_duplicates()
    found.eliminate_zeros()
    found.data = np.ones(found.nnz, dtype=np.float32)
    found.sort_indices()
    return found


def _ids(given: Any, count: int, what: str) -> np.ndarray:
    if given is None:
        return np.arange(count).astype(str)
    ids = np.asarray(given).astype(str)
    if len(ids) != count or len(np.unique(ids)) != count:
        raise ValueError(f"expected {count} different {what} ids, got {len(ids)} of which {len(np.unique(ids))} differ")
    return ids


def _features(given: Mapping[str, np.ndarray] | None, count: int, what: str) -> dict[str, np.ndarray]:
    found = {}
    for name, array in (given or {}).items():
        matrix = np.asarray(array)
        if matrix.dtype.kind not in "biuf" or matrix.ndim != 2 or len(matrix) != count or not matrix.shape[1]:
            raise ValueError(
                f"feature {name!r} must be a matrix of numbers with a row for each of the {count} {what}, got "
                f"{matrix.dtype} of shape {matrix.shape}"
            )
        if not np.isfinite(matrix).all():
            row = int(np.nonzero(~np.isfinite(matrix))[0][0])
            raise ValueError(f"feature {name!r} is NaN or infinite, first in row {row} of the {what}")
        found[name] = matrix.astype(np.float32)
    return found
