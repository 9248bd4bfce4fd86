"""Packages that only some fields need, asked for by the name of their extra."""

from __future__ import annotations

import importlib
from typing import Any


def needed(module: str, extra: str, what: str) -> Any:
    """A module of an optional package.

    Args:
        module: what to import.
        extra: the extra that installs it.
        what: what needs it, as the beginning of a sentence.

    Raises:
        ImportError: it is not installed; the message says what to type.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ImportError(f"{what} needs {package}: pip install 'nearfar[{extra}]'") from error
