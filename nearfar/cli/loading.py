"""What a command says and does before PyTorch is loaded, which takes seconds."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

UNUSED = ("transformers", "scipy")
"""Packages that measures of text and sound would want, which Lightning loads with its torchmetrics and nobody asks."""


def loading(what: str) -> None:
    """Say at once that a command has begun, then load Lightning without :data:`UNUSED`.

    Only in a process of the command's own, which has not loaded PyTorch yet: in any other, ``torchmetrics`` stays what
    it is.
    """
    if "torch" in sys.modules:
        return
    print(f"{what}: loading PyTorch", file=sys.stderr, flush=True)
    with _hidden(UNUSED):
        import torchmetrics  # noqa: F401


@contextmanager
def _hidden(packages: tuple[str, ...]) -> Iterator[None]:
    """Within this block nobody who asks whether these packages are installed is told so; they can still be imported."""
    spec, version = importlib.util.find_spec, importlib.metadata.version

    def find_spec(name: str, *further: Any) -> Any:
        return None if name in packages else spec(name, *further)

    def version_of(name: str) -> str:
        if name in packages:
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    try:
        import lightning_utilities.core.imports as asked
    except ImportError:
        yield
        return
    names = {"find_spec": find_spec, "_version": version_of}
    before = {name: getattr(asked, name) for name in names if hasattr(asked, name)}
    for name in before:
        setattr(asked, name, names[name])
    try:
        yield
    finally:
        for name, was in before.items():
            setattr(asked, name, was)
        asked.package_available.cache_clear()
        asked.module_available.cache_clear()
