"""The optional dependency of this field."""

from __future__ import annotations

from typing import Any

from nearfar.common.extras import needed


def torch_geometric() -> Any:
    """PyTorch Geometric, with its data and networks imported.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    for part in ("data", "nn"):
        needed(f"torch_geometric.{part}", "graph", "A graph")
    return needed("torch_geometric", "graph", "A graph")
