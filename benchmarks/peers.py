"""Other libraries' losses, where they are installed. Nothing outside the benchmarks imports this module."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

# Declared operators live as long as the library object that declared them.
_stubs: list[torch.library.Library] = []


class _Placeholder(ModuleType):
    """A module of which every attribute exists and nothing works."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _PlaceholderFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers for torchvision, which lightly imports beside its losses and which they do not use."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.split(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Placeholder(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        return None


def load_torchvision() -> None:
    """Import torchvision, with declared but empty operators where its own do not load."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _stubs.append(library)
        importlib.import_module("torchvision")


def lightly_nt_xent() -> Callable[[Tensor, Tensor, float], Tensor] | None:
    """``NTXentLoss`` of lightly as a function of two views and a temperature, or None if it is not there."""
    if importlib.util.find_spec("lightly") is None:
        return None
    if importlib.util.find_spec("torchvision") is None:
        sys.meta_path.append(_PlaceholderFinder())
    else:
        load_torchvision()
    loss = importlib.import_module("lightly.loss.ntx_ent_loss").NTXentLoss
    return lambda a, b, temperature: loss(temperature=temperature)(a, b)
