"""What the tests of single methods share: small digits, one loss, one short training."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from nearfar.reproductions.arms import build, train
from nearfar.training import Data, Method
from nearfar.training.method import Terms
from nearfar.vision.data import load
from nearfar.vision.evaluation import evaluate


@functools.cache
def digits() -> Data:
    return load(size=16)


def one_loss(method: Method, rows: int = 32, step: int = 0) -> Terms:
    """The loss of the first images, as a training step would compute it."""
    method.seed_step(0, step)
    return method.loss(method.views(digits().batch(np.arange(rows))))


def learn(slug: str, steps: int = 60, **changes: Any) -> tuple[Method, dict[str, float], dict[str, float]]:
    """The method with its laptop settings after a few steps, and what it scored before and after them."""
    method = build(slug, digits(), 0, **changes)
    before = evaluate(method.eval(), digits())
    method.train()
    train(slug, method, digits(), 0, steps=steps)
    return method, before, evaluate(method, digits())
