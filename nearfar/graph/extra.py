"""The optional dependency of this field, with an error that says how to get it."""

from __future__ import annotations

from types import ModuleType


def torch_geometric() -> ModuleType:
    """PyTorch Geometric.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    try:
        import torch_geometric.data
        import torch_geometric.nn
    except ImportError as error:
        raise ImportError("graphs need PyTorch Geometric: pip install 'nearfar[graph]'") from error
    return torch_geometric
