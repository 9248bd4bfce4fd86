"""The engine's side of a method: the base class, fitting, checkpoints, runs, health."""

from nearfar.common.distributed import gather
from nearfar.common.files import StorageError
from nearfar.runs.checkpoints import CheckpointError, SafeCheckpointIO, latest_checkpoint
from nearfar.runs.run import Run, RunError
from nearfar.sources.data import Data, StepLoader, StepSampler, Subset
from nearfar.sources.interaction import Interaction
from nearfar.sources.tasks import Tasks
from nearfar.training.checkpoint import Checkpointing
from nearfar.training.embed import embed
from nearfar.training.fit import Training, fit
from nearfar.training.memory import OutOfMemory
from nearfar.training.method import Method, NonFiniteError, Phase, Update
from nearfar.training.monitor import CollapseWarning, Monitor
from nearfar.training.optimization import LARS, Optimization
from nearfar.training.signals import Stopped

__all__ = [
    "LARS",
    "CheckpointError",
    "Checkpointing",
    "CollapseWarning",
    "Data",
    "Interaction",
    "Method",
    "Monitor",
    "NonFiniteError",
    "Optimization",
    "OutOfMemory",
    "Phase",
    "Run",
    "RunError",
    "SafeCheckpointIO",
    "StepLoader",
    "StepSampler",
    "Stopped",
    "StorageError",
    "Subset",
    "Tasks",
    "Training",
    "Update",
    "embed",
    "fit",
    "gather",
    "latest_checkpoint",
]
