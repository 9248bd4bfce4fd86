"""Graphs that need nothing of nearfar: ONNX, and ``torch.export``.

Both are traced by ``torch.export``, in evaluation mode: a network in training mode normalises a batch by its own
statistics, which exporters replace by the running ones, so that its vectors are others by as much as their own size.
Preprocessing that is arithmetic (the scaling of pixels, spectrograms, the standardising of channels) is part of the
graph; the rest stands in ``preprocessing.json``.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.common.extras import needed
from nearfar.exporting.kept import kept, write_json
from nearfar.training.door import Door

__all__ = ["PREPROCESSING", "to_onnx", "to_torch_export"]

PREPROCESSING = "preprocessing.json"
OUTPUT = "embedding"


def to_onnx(door: Door, folder: Path, about: Mapping[str, Any]) -> None:
    """A folder with ``model.onnx``, opened by onnxruntime and compared for batches of several sizes.

    Args:
        door: see :class:`nearfar.training.door.Door`.
        folder: a new folder.
        about: further lines of ``preprocessing.json``.

    Raises:
        ValueError: no such graph can be made of it. FileExistsError: the folder is there and not empty.
        ImportError: onnx, onnxruntime or onnxscript is not installed.
    """
    for package in ("onnx", "onnxscript"):
        needed(package, "onnx", "writing ONNX")
    runtime = needed("onnxruntime", "onnx", "checking what was written")

    def write(place: Path, traced: Any, names: Sequence[str]) -> None:
        path = place / "model.onnx"
        made = torch.onnx.export(traced, (), dynamo=True, input_names=[*names], output_names=[OUTPUT], verbose=False)
        assert made is not None
        made.save(str(path))

    def read(place: Path) -> Any:
        session = runtime.InferenceSession(str(place / "model.onnx"), providers=["CPUExecutionProvider"])
        return lambda given: session.run(None, {name: value.numpy() for name, value in given.items()})[0]

    lines = 'onnxruntime.InferenceSession("model.onnx").run(None, {' + ", ".join(f'"{n}": {n}' for n in door.inputs)
    _write(door, folder, {**about, "format": "onnx", "open": f"{lines}}})[0]"}, write, read)


def to_torch_export(door: Door, folder: Path, about: Mapping[str, Any]) -> None:
    """A folder with ``model.pt2``, which ``torch.export.load`` opens without a line of nearfar.

    Args, Raises: as of :func:`to_onnx`.
    """

    def write(place: Path, traced: Any, names: Sequence[str]) -> None:
        torch.export.save(traced, place / "model.pt2")

    def read(place: Path) -> Any:
        module = torch.export.load(place / "model.pt2").module()
        return lambda given: module(*given.values()).detach().numpy()

    lines = f'torch.export.load("model.pt2").module()({", ".join(door.inputs)})'
    _write(door, folder, {**about, "format": "torch-export", "open": lines}, write, read)


def _write(door: Door, folder: Path, about: Mapping[str, Any], write: Any, read: Any) -> None:
    """Trace with as many free axes as the module allows, write, and compare on every size that is then free."""
    problems = []
    for free in _choices(door):
        checks = _sizes(door, free)

        def expected(checks: list[dict[str, Tensor]] = checks) -> np.ndarray:
            with torch.no_grad():
                return np.concatenate([door.module(*given.values()).float().numpy() for given in checks])

        def writing(place: Path, free: Mapping[str, Mapping[int, str]] = free) -> None:
            with _quiet():
                write(place, _traced(door, free), [*door.inputs])
            said = {
                name: {"dtype": str(value.dtype).removeprefix("torch."), "shape": _shape(value, free[name])}
                for name, value in door.inputs.items()
            }
            output = {OUTPUT: {"dtype": "float32", "shape": [_counted(door), door.vectors().shape[1]]}}
            write_json(place / PREPROCESSING, {**about, "inputs": said, "outputs": output, "preprocessing": door.says})

        def reading(place: Path, checks: list[dict[str, Tensor]] = checks) -> np.ndarray:
            run = read(place)
            return np.concatenate([run(given) for given in checks])

        try:
            with torch.no_grad():
                return kept(folder, expected, writing, reading)
        except (FileExistsError, ImportError):
            raise
        except Exception as error:  # whatever tracers and runtimes raise
            problems.append(str(error).strip().split("\n")[0])
    raise ValueError(f"no graph of it can be written: {problems[-1]}")


def _traced(door: Door, free: Mapping[str, Mapping[int, str]]) -> Any:
    axes = tuple(dict.fromkeys(free[name], torch.export.Dim.DYNAMIC) for name in door.inputs)
    # A length of 1, inside the network too, is taken for one that is always 1: the longest example is traced.
    example = _sizes(door, free)[-1]
    return torch.export.export(_OneOf(door.module), tuple(example.values()), dynamic_shapes={"inputs": axes})


class _OneOf(nn.Module):
    """A module whose answer is float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.module(*inputs).float()


def _choices(door: Door) -> list[dict[str, dict[int, str]]]:
    """All free axes, and if the module does not allow that, the examples' alone."""
    every = {name: dict(axes) for name, axes in door.free.items()}
    first = {name: {0: axes[0]} for name, axes in door.free.items()}
    return [every] if every == first else [every, first]


def _sizes(door: Door, free: Mapping[str, Mapping[int, str]]) -> list[dict[str, Tensor]]:
    """The examples as they are, one of them, several times all of them; twice as long along what else is free."""
    whole = {name: value.contiguous() for name, value in door.inputs.items()}  # strides would be traced as well
    found = [whole, {n: v[:1] for n, v in whole.items()}, {n: torch.cat([v, v, v[:1]]) for n, v in whole.items()}]
    if any(len(axes) > 1 for axes in free.values()):
        longer = dict(whole)
        for name, axes in free.items():
            for axis in [*axes][1:]:
                longer[name] = torch.cat([longer[name], longer[name].flip(axis)], axis)
        found.append({name: value.contiguous() for name, value in longer.items()})
    return found


def _shape(value: Tensor, free: Mapping[int, str]) -> list[int | str]:
    return [free.get(axis, size) for axis, size in enumerate(value.shape)]


def _counted(door: Door) -> str:
    return next(iter(door.free.values()))[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters tell a story on standard output and in logs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
