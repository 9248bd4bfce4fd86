"""NumPy archives from anywhere: plain arrays only, and no more of them than memory holds."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np

from nearfar.common.memory import check_room

__all__ = ["read_npz"]


def read_npz(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file by name.

    Raises:
        ValueError: no such archive, or a damaged one; an array that needs unpickling, which would let the file run
            code; arrays that claim more bytes than one file may take, half of the
            machine's memory.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise ValueError(f"{path} is no .npz archive of NumPy arrays: {error}") from error
    check_room(claimed, f"{path}, an archive of arrays,")
    arrays: dict[str, np.ndarray] = {}
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            try:
                found = np.asarray(file[name])
                arrays[name] = np.char.decode(found, "utf-8") if found.dtype.kind == "S" else found
            except (ValueError, EOFError, OSError, MemoryError, pickle.UnpicklingError) as error:
                raise ValueError(_why(path, name, error)) from error
            except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
                raise ValueError(f"{path}, array {name!r} is damaged: {error}") from error
            if arrays[name].dtype.kind not in "biufcU":
                raise ValueError(f"{path}, array {name!r} holds {arrays[name].dtype}; expected numbers or strings")
    return arrays


def _why(path: Path | str, name: str, error: Exception) -> str:
    if "allow_pickle" in str(error):
        return (
            f"{path}, array {name!r} holds Python objects, which only unpickling could read and which could run any "
            "code; save it as numbers or strings (dtype other than object)"
        )
    return f"{path}, array {name!r} cannot be read: {error or type(error).__name__}"
