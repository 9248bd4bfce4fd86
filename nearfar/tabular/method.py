"""What methods on tables share: the schema, and scores with their reasons."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from nearfar.system import require
from nearfar.tabular.reasons import reasons
from nearfar.tabular.schema import TableBatch, TableSchema
from nearfar.training import Method, Optimization
from nearfar.training.door import Door

__all__ = ["AnomalyMethod"]


class AnomalyMethod(Method):
    """A method that learns what normal rows are. A subclass writes :meth:`rate`.

    Attributes:
        schema: the columns that it learned from.
        scaling: how features are scaled.
        reasons: columns that :meth:`score` names for each row.
    """

    verbs: ClassVar[tuple[str, ...]] = ("scores",)
    takes = TableBatch
    scaling: Literal["range", "standard"] = "range"

    def __init__(self, schema: TableSchema | None, reasons: int, optimization: Optimization) -> None:
        super().__init__(optimization)
        if schema is None or not schema.columns:
            raise ValueError("schema is needed: the columns of the table; it is taken from the data")
        if reasons < 0:
            raise ValueError(f"reasons must be at least 0, got {reasons}")
        self.schema, self.reasons = schema, reasons

    def features(self, batch: TableBatch) -> Tensor:
        """The rows (B, F), scaled, on this method's device."""
        return self.schema.encode(batch.columns, self.scaling).to(self.device)

    def door(self, batch: TableBatch) -> Door:
        """The features of rows, as :class:`nearfar.tabular.schema.TableSchema` makes them of columns."""
        require(self, "embeds")
        schema = self.schema
        words = [[name, [*found]] for name, found in zip(schema.words, schema.categories, strict=True)]
        says = {
            "numbers": [*schema.numbers],
            "gaps filled with": [*schema.fill],
            "then 1 where there was a gap in": [*schema.gaps],
            "then 1 for each word of": words,
            "scaled by": self.scaling,
            "low": [*schema.low],
            "high": [*schema.high],
            "centre": [*schema.centre],
            "spread": [*schema.spread],
        }
        return Door(self.encoder, {"features": self.features(batch)}, {"features": {0: "rows"}}, says)

    def views(self, batch: TableBatch) -> Any:
        return self.features(batch)

    def rate(self, x: Tensor) -> Tensor:
        """Scores (B,) of features (B, F); higher is stranger."""
        raise NotImplementedError(f"{type(self).__name__} does not define rate(x)")

    def usual(self) -> Tensor:
        """The features (F,) of a row with every number at its median and every category at its commonest."""
        columns: dict[str, np.ndarray] = {
            name: np.array([fill]) for name, fill in zip(self.schema.numbers, self.schema.fill, strict=True)
        }
        first = len(self.schema.numbers) + len(self.schema.gaps)
        for name, found in zip(self.schema.words, self.schema.categories, strict=True):
            shares = self.schema.centre[first : first + len(found)]
            columns[name] = np.array([found[int(np.argmax(shares))]])
            first += len(found)
        return self.schema.encode(columns, self.scaling)[0].to(self.device)

    def score(self, batch: TableBatch) -> dict[str, Any]:
        """Columns ``score`` and, of every row, ``columns``: those that made it so, the strongest first."""
        x = self.features(batch)
        found: dict[str, Any] = {"score": self.rate(x)}
        if self.reasons:
            found["columns"] = reasons(self.rate, x, self.usual(), self.schema, self.reasons)
        return found

    def rates(self, batch: TableBatch) -> Tensor:
        """The scores alone."""
        with torch.no_grad():
            return self.rate(self.features(batch))
