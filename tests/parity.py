"""Numeric cases computed by systems' own released code, in the folder that NEARFAR_PARITY names."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor


@dataclass(frozen=True)
class ParityCase:
    """One case of a released function.

    Attributes:
        slug: the system.
        function: the function's name in ``meta.json``.
        name: of the case.
        hyper: its hyper-parameters.
        path: the arrays.
    """

    slug: str
    function: str
    name: str
    hyper: dict[str, Any]
    path: Path

    def __str__(self) -> str:
        return f"{self.function}-{self.name}"

    def load(self) -> dict[str, Tensor]:
        """The numeric arrays by name (``in_*``, ``out_*``, ``grad_*``); floating inputs ask for gradients."""
        with np.load(self.path, allow_pickle=False) as arrays:
            numeric = {name: array for name, array in arrays.items() if array.dtype.kind in "biufc"}
        found = {name: torch.from_numpy(array) for name, array in numeric.items()}
        for name, value in found.items():
            if name.startswith("in_") and value.is_floating_point():
                value.requires_grad_()
        return found


def parity(slug: str, *functions: str) -> list[Any]:
    """Parameters of a test: every case of these released functions (of all, when none is named).

    Where the folder is not there, one parameter that is skipped with the reason.
    """
    root = os.environ.get("NEARFAR_PARITY")
    meta = Path(root or ".") / slug / "meta.json"
    if not root or not meta.is_file():
        reason = f"NEARFAR_PARITY names no folder with numeric cases of {slug}"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    cases = [c for c in _cases(slug, meta) if not functions or c.function in functions]
    assert cases, f"{meta} has no function {functions}"
    return [pytest.param(case, id=str(case)) for case in cases]


def _cases(slug: str, meta: Path) -> list[ParityCase]:
    """The cases of either form of ``meta.json``: below their functions, or beside them with the function's name."""
    described = json.loads(meta.read_text())
    if "cases" in described:
        found = [(c["function"], name, c.get("hyper_parameters")) for name, c in described["cases"].items()]
    else:
        found = [(f["name"], n, c.get("hyper")) for f in described["functions"] for n, c in f["cases"].items()]
    return [ParityCase(slug, f, name, dict(hyper or {}), meta.parent / f"{name}.npz") for f, name, hyper in found]


def assert_parity(
    case: ParityCase, arrays: dict[str, Tensor], value: Tensor, *, out: str = "loss", rtol: float = 1e-7
) -> None:
    """``value`` is the released ``out_<out>``, and its gradients are the released ``grad_*`` of the inputs."""
    expected = arrays[f"out_{out}"]
    torch.testing.assert_close(value.to(expected.dtype), expected, rtol=rtol, atol=rtol)
    wanted = {
        name[5:]: grad for name, grad in arrays.items() if name.startswith("grad_") and f"in_{name[5:]}" in arrays
    }
    inputs = [arrays[f"in_{name}"] for name in wanted]
    if not inputs:
        return
    if not value.requires_grad:
        assert all(not grad.any() for grad in wanted.values()), f"{case} has gradients, and the value has none"
        return
    found = torch.autograd.grad(value.sum(), inputs, allow_unused=True)
    for (name, grad), own in zip(wanted.items(), found, strict=True):
        own = torch.zeros_like(grad) if own is None else own
        torch.testing.assert_close(
            own, grad, rtol=rtol * 10, atol=rtol * 10, msg=lambda m, n=name: f"gradient of {n}: {m}"
        )
