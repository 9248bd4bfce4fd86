"""What makes a run of several processes the run of one: shared draws, and batch norm of the global batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from nearfar.common.joint_norm import joint
from nearfar.common.share import Share
from nearfar.sources.data import Data
from nearfar.training.gradient_cache import overridden
from nearfar.training.method import Method

if TYPE_CHECKING:
    from nearfar.training.fit import Training


class RanksWarning(UserWarning):
    """A run on several processes is not the run of one; the message says in what."""


def share_draws(method: Method, data: Any, training: Training, share: Share) -> None:
    """Let the steps of ``method`` draw for the global batch, and say where that is impossible."""
    method.share, method.joint_dropout = None, False
    if share.ranks == 1:
        return
    if not isinstance(data, Data):
        _say(share, f"{data.name} answers every process by itself")
        return
    method.share = share
    drops = any(isinstance(m, _DropoutNd) and m.p > 0 for m in method.modules())
    why = _keeps_its_masks(method, training)
    if drops and why:
        _say(share, f"{why}, so that dropout draws on every process for itself")
    method.joint_dropout = drops and not why


def _keeps_its_masks(method: Method, training: Training) -> str:
    """Why dropout cannot draw for the global batch; empty where it can."""
    if training.chunk:
        return "chunk computes activations a second time"
    if training.compile:
        return "compile translates the encoder"
    if any(getattr(m, "gradient_checkpointing", False) for m in method.modules()):
        return "the encoder computes activations a second time (gradient checkpointing)"
    if any(isinstance(m, nn.MultiheadAttention) and m.dropout > 0 for m in method.modules()):
        return "the encoder's nn.MultiheadAttention drops out of reach"
    return ""


def _say(share: Share, why: str) -> None:
    if share.rank == 0:
        warnings.warn(
            f"{why}: the run on {share.ranks} processes is another than on one, as with another seed",
            RanksWarning,
            stacklevel=4,
        )


@contextmanager
def joint_norms(method: nn.Module, ranks: int) -> Iterator[None]:
    """Within this block batch norm takes the statistics of the global batch; see :mod:`nearfar.common.joint_norm`."""
    found = [(m, ("forward",)) for m in method.modules() if isinstance(m, _BatchNorm)] if ranks > 1 else []
    with overridden(found, joint):
        yield
