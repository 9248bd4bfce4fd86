"""Finished seeds, kept at once: a reproduction that is stopped loses none, and later calls add the missing ones."""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearfar.common.files import atomic_write
from nearfar.system import Entry


class Records:
    """The file of one reproduction's result in a folder, shared by every process that works on it.

    Args:
        folder: where results go.
        entry: what is measured.
    """

    def __init__(self, folder: Path, entry: Entry) -> None:
        self.path = Path(folder) / f"{entry.slug}.json"
        self.setting = setting_of(entry)
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> dict[str, Any] | None:
        """What is there, when it was measured with today's setting."""
        if not self.path.is_file():
            return None
        found = json.loads(self.path.read_text())
        return found if found.get("setting_digest") == self.setting else None

    @property
    def outdated(self) -> bool:
        """Whether there is a result of another setting, to which no seed can be added."""
        return self.path.is_file() and self.read() is None

    def seeds(self) -> dict[int, dict[str, Any]]:
        """The finished seeds: scores, seconds, date and environment of each."""
        found = self.read()
        return {record["seed"]: record for record in found["records"]} if found else {}

    @contextmanager
    def claim(self, seed: int) -> Iterator[bool]:
        """Whether this process may measure a seed: nobody else is at it. The system lets go of it when a process ends,
        however it ends."""
        path = self.path.with_name(f".{self.path.stem}.seed-{seed}.lock")
        with open(path, "a") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True
        with contextlib.suppress(OSError):
            path.unlink()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process changes the result meanwhile."""
        path = self.path.with_name(f".{self.path.stem}.lock")
        with open(path, "a") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            yield
        with contextlib.suppress(OSError):
            path.unlink()

    def write(self, result: Mapping[str, Any]) -> None:
        with atomic_write(self.path, "w") as file:
            file.write(json.dumps({**result, "setting_digest": self.setting}, indent=1) + "\n")


def setting_of(entry: Entry) -> str:
    """Sixteen characters that change with what is measured: the reproduction's code, without its words and claims, and
    the row's settings."""
    assert entry.reproduction is not None
    spec = importlib.util.find_spec(entry.reproduction)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text())
    body = [node for node in tree.body if not _is_words(node)]
    code = "\n".join(ast.dump(node) for node in body)
    settings = json.dumps({"laptop": dict(entry.laptop), "data": entry.data}, sort_keys=True, default=str)
    return hashlib.sha256(f"{code}\n{settings}".encode()).hexdigest()[:16]


def _is_words(node: ast.stmt) -> bool:
    """A docstring, or the statement that says what is claimed."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id == "REPRODUCTION" for target in targets)
