"""Raw data in, embeddings out: the one loop that every evaluation uses."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities.apply_func import move_data_to_device

from nearfar.evaluation import Embeddings
from nearfar.training.data import Data, in_order
from nearfar.training.method import Method


def embed(method: Method, data: Data, *, batch_size: int = 256, provenance: dict[str, str] | None = None) -> Embeddings:
    """The representations of all of ``data`` by ``method.encode``, in evaluation mode, in order, as float32."""
    from nearfar import __version__

    rows: list[np.ndarray] = []
    with method.frozen():
        for _, batch in in_order(data, batch_size):
            output = method.encode(move_data_to_device(batch, method.device))
            rows.append(output.float().cpu().numpy())
    origin = {
        "method": type(method).__name__,
        "data": data.name,
        "nearfar": __version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **(provenance or {}),
    }
    return Embeddings(
        array=np.concatenate(rows).astype(np.float32), ids=data.ids, labels=data.labels, provenance=origin
    )


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch of any kind (tensors, named tuples, objects with ``.to``) on ``device``."""
    return move_data_to_device(batch, device)
