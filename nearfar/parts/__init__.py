"""Stateful building blocks that every field shares: heads, momentum encoders, queues, prototypes."""

from nearfar.parts.direct import DirectPredictor
from nearfar.parts.heads import MLPHead
from nearfar.parts.momentum import MomentumEncoder, momentum_at
from nearfar.parts.prototypes import Prototypes
from nearfar.parts.queue import FeatureQueue
from nearfar.parts.scale import LogitScale
from nearfar.parts.shuffle import shuffled_groups

__all__ = [
    "DirectPredictor",
    "FeatureQueue",
    "LogitScale",
    "MLPHead",
    "MomentumEncoder",
    "Prototypes",
    "momentum_at",
    "shuffled_groups",
]
