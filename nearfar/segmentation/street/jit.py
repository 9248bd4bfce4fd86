"""How the drawing kernels are compiled.

Compiled kernels are kept on disk beside their source and reused while that one file is unchanged: after a
change in a module that a kernel only *uses* (`fields`, `surfaces`, `shapes`, `textures`), delete the
`__pycache__` folder.
"""

from __future__ import annotations

from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy"}
_NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

kernel = njit(cache=True, **_OPTIONS)
"""For what Python calls: no interpreter lock while it runs, so that scenes are drawn on several threads."""

helper = njit(**_NO_WRAPPERS, **_OPTIONS)
"""For what only kernels call: compiled into them, not callable from Python, which halves its compile time."""
