"""Pickles in which data sets were published long ago: plain values and numeric arrays, rebuilt here alone.

Loading a pickle is running a program that it brings along. This loader gives that program a handful of stand-ins
instead of what it asks for, and they can make nothing but arrays of numbers from bytes of the file.
"""

from __future__ import annotations

import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.common.files import read_whole
from nearfar.common.memory import room

__all__ = ["read_plain_pickle"]

MOST_BYTES = 1 << 30
"""Largest file that is read; the largest published one has 155 MB."""


def read_plain_pickle(path: Path | str) -> Any:
    """Dicts, lists, strings, numbers and arrays of numbers; strings of Python 2 as bytes.

    Raises:
        ValueError: the file asks for anything else, for more memory than one file may take, or is too large.
        Exception: hostile bytes make the unpickler raise anything.
    """
    content = read_whole(Path(path), min(MOST_BYTES, room()))
    found = _Unpickler(content).load()
    return _arrays(found, 0)


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self.left = 4 * len(content)  # the text form of bytes takes up to twice as many
        plain = {"_reconstruct": _Refused("_reconstruct", _Array), "ndarray": _Refused("numpy.ndarray", None)}
        self.stand_ins = {
            ("numpy.core.multiarray", "_reconstruct"): plain["_reconstruct"],
            ("numpy._core.multiarray", "_reconstruct"): plain["_reconstruct"],
            ("numpy", "ndarray"): plain["ndarray"],
            ("numpy", "dtype"): _Refused("numpy.dtype", _Kind),
            ("_codecs", "encode"): _Refused("_codecs.encode", self._encode),
        }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.stand_ins:
            raise ValueError(f"the file asks to run {module}.{name}, which is no part of plain data")
        return self.stand_ins[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise ValueError("the file refers to objects outside of it")

    def _encode(self, text: Any, encoding: Any = b"latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1", "latin-1", b"latin-1"):
            raise ValueError("the file encodes something other than bytes as text")
        self.left -= len(text)
        if self.left < 0:
            raise ValueError("the file unpacks to more than it may hold")
        return text.encode("latin1")


class _Refused:
    """What the file sees in place of a function of NumPy: callable where that is harmless, and closed to changes."""

    __slots__ = ("_name", "_use")

    def __init__(self, name: str, use: Any) -> None:
        self._name, self._use = name, use

    def __call__(self, *arguments: Any) -> Any:
        if self._use is None:
            raise ValueError(f"the file calls {self._name}, which plain arrays do not need")
        return self._use(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise ValueError(f"the file changes {self._name}")


class _Kind:
    """A numeric dtype, as a pickle spells it."""

    __slots__ = ("dtype",)

    def __init__(self, name: Any, *_: Any) -> None:
        name = name.decode("ascii") if isinstance(name, bytes) else name
        if not isinstance(name, str) or len(name) > 3 or name[:1] not in "buif" or not name[1:].isdigit():
            raise ValueError(f"the file has an array of {name!r}; only numbers are read")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        order = order.decode("ascii") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"the file has an array in the byte order {order!r}")
        self.dtype = np.dtype(f"{order}{self.dtype.str[1:]}")


class _Array:
    """An array to be, of which the state brings everything."""

    __slots__ = ("array",)

    def __init__(self, *_: Any) -> None:
        self.array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Kind) or not isinstance(content, bytes) or not isinstance(shape, tuple):
            raise ValueError("the file has an array of something other than numbers")
        if not all(type(side) is int and side >= 0 for side in shape):
            raise ValueError(f"the file has an array of shape {shape!r}")
        if math.prod(shape) * kind.dtype.itemsize != len(content):
            raise ValueError(f"the file has {len(content)} bytes for an array of shape {shape} and {kind.dtype}")
        flat = np.frombuffer(content, kind.dtype)
        self.array = flat.reshape(shape, order="F" if fortran else "C")


def _arrays(found: Any, depth: int) -> Any:
    """The arrays themselves in place of what stood for them, in the dictionary that data sets are."""
    if isinstance(found, _Array):
        if found.array is None:
            raise ValueError("the file has an array without content")
        return found.array
    if isinstance(found, dict) and depth == 0:
        return {key: _arrays(value, 1) for key, value in found.items()}
    if isinstance(found, _Refused | _Kind):
        raise ValueError("the file holds something other than data")
    return found
