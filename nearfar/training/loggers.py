"""Loggers of Lightning by name, which see what ``metrics.csv`` says."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from lightning.pytorch import loggers

from nearfar.spelling import one_of

BY_NAME = {
    "csv": ("CSVLogger", "lightning"),
    "tensorboard": ("TensorBoardLogger", "tensorboard"),
    "wandb": ("WandbLogger", "wandb"),
    "mlflow": ("MLFlowLogger", "mlflow"),
}
"""What ``--logger`` takes: the class, and the package that it needs."""


def logger_named(name: str, folder: Path) -> Any:
    """A logger that writes into ``folder``/logs, or to where its own settings say.

    Args:
        name: one of :data:`BY_NAME`; others can be handed to :func:`nearfar.training.fit` as objects.
        folder: the run's.

    Raises:
        ValueError: an unknown name, or its package is not installed.
    """
    if name not in BY_NAME:
        raise ValueError(f"there is no logger {name!r}{one_of(name, BY_NAME)}, and fit takes any of Lightning")
    kind, package = BY_NAME[name]
    try:
        importlib.import_module(package)
        cls = getattr(loggers, kind)
        place = folder / "logs"
        if name == "mlflow":
            return cls(experiment_name="nearfar", run_name=folder.name, save_dir=str(place))
        if name == "wandb":
            return cls(project="nearfar", name=folder.name, save_dir=str(place))
        return cls(save_dir=str(place), name="")
    except ImportError as error:
        raise ValueError(f"--logger {name} needs the package {package}, which is not installed ({error})") from error
