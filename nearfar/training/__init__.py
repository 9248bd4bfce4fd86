"""The engine's side of a method: the base class, fitting, checkpoints, runs, health."""

from nearfar.training.checkpoint import CheckpointError, Checkpointing, SafeCheckpointIO, latest_checkpoint
from nearfar.training.data import Data, StepLoader, StepSampler, Subset
from nearfar.training.distributed import gather
from nearfar.training.embed import embed
from nearfar.training.files import StorageError
from nearfar.training.fit import Training, fit
from nearfar.training.memory import OutOfMemory
from nearfar.training.method import Method, NonFiniteError
from nearfar.training.monitor import CollapseWarning, Monitor
from nearfar.training.optimization import LARS, Optimization
from nearfar.training.run import Run, RunError
from nearfar.training.signals import Stopped

__all__ = [
    "LARS",
    "CheckpointError",
    "Checkpointing",
    "CollapseWarning",
    "Data",
    "Method",
    "Monitor",
    "NonFiniteError",
    "Optimization",
    "OutOfMemory",
    "Run",
    "RunError",
    "SafeCheckpointIO",
    "StepLoader",
    "StepSampler",
    "Stopped",
    "StorageError",
    "Subset",
    "Training",
    "embed",
    "fit",
    "gather",
    "latest_checkpoint",
]
