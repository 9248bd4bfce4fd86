"""The engine's side of a method: the base class, fitting, checkpoints, runs, health."""

import importlib
import sys

from nearfar.common.distributed import gather
from nearfar.common.files import StorageError
from nearfar.runs.checkpoints import CheckpointError, SafeCheckpointIO, latest_checkpoint
from nearfar.runs.run import Run, RunError
from nearfar.sources.data import Data, StepLoader, StepSampler, Subset
from nearfar.sources.interaction import Interaction
from nearfar.sources.tasks import Tasks
from nearfar.training.checkpoint import Checkpointing
from nearfar.training.data_module import DataModule
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
    "DataModule",
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

# Modules that version 0.1 had here, under their old names, for code that was written for it.
for _old, _new in {
    "archives": "nearfar.sources.archives",
    "configure": "nearfar.runs.configure",
    "data": "nearfar.sources.data",
    "distributed": "nearfar.common.distributed",
    "files": "nearfar.common.files",
    "hub": "nearfar.runs.hub",
    "randomness": "nearfar.common.randomness",
    "run": "nearfar.runs.run",
    "settings": "nearfar.runs.settings",
    "skipped": "nearfar.sources.skipped",
    "tables": "nearfar.sources.tables",
}.items():
    sys.modules[f"{__name__}.{_old}"] = importlib.import_module(_new)
