"""What the tests of methods on labelled pictures share: small data, one loss, one short training."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nearfar.labels.data import load
from nearfar.labels.evaluation import evaluate
from nearfar.reproductions.arms import build, train
from nearfar.training import Data, Method
from nearfar.training.method import Terms


@functools.cache
def small(name: str, size: int = 8) -> Data:
    return load(name, size=size)


def one_loss(method: Method, data: Data, rows: int = 32, step: int = 0) -> Terms:
    """The loss of the first examples, as a training step would compute it."""
    method.seed_step(0, step)
    return method.loss(method.views(data.batch(np.arange(rows))))


def learn(slug: str, data: Data, steps: int = 40, **changes: Any) -> tuple[Method, dict[str, float], dict[str, float]]:
    """The method with its laptop settings after a few steps, and what it scored before and after them."""
    method = build(slug, data, 0, **changes)
    own = getattr(method, "evaluate", None)
    measure = (lambda: own(data, seed=0)) if own else (lambda: evaluate(method, data))
    before = measure()
    method.train()
    train(slug, method, data, 0, steps=steps)
    return method, before, measure()


def assert_same_on_the_sphere(value: Tensor, x: Tensor, grad: Tensor, rtol: float = 1e-6) -> None:
    """The gradient of ``value`` by ``x`` is the released one along the sphere: the released code takes unit rows, ours
    makes them."""
    (own,) = torch.autograd.grad(value, x, retain_graph=True)
    unit = x.detach() / x.detach().norm(dim=-1, keepdim=True)
    along = grad - (grad * unit).sum(-1, keepdim=True) * unit
    torch.testing.assert_close(own, along, rtol=rtol, atol=rtol)
