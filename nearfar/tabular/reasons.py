"""Which columns made a row anomalous."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nearfar.tabular.schema import TableSchema

__all__ = ["reasons"]


def reasons(
    score: Callable[[Tensor], Tensor], x: Tensor, usual: Tensor, schema: TableSchema, count: int = 3
) -> list[str]:
    """Of every row the columns whose usual value would lower its score most, the strongest first.

    One column at a time is set to what is usual and the row is scored again: as many scorings as columns.

    Args:
        score: (B, F) to (B,).
        x: (B, F) features of the rows.
        usual: (F,) features of a usual row.
        schema: whose features they are.
        count: columns to name at most; those that do not lower the score are not named.

    Returns:
        (B,) texts of names between commas.
    """
    names = schema.columns
    owners = torch.tensor(schema.owners, device=x.device)
    full = score(x)
    fallen = torch.stack([full - score(torch.where(owners == i, usual, x)) for i in range(len(names))], 1)
    best, which = fallen.topk(min(count, len(names)), dim=1)
    return [
        ", ".join(names[i] for value, i in zip(values, row, strict=True) if value > 0)
        for values, row in zip(best.tolist(), which.tolist(), strict=True)
    ]
