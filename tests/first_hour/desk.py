"""Where a person sits: a folder, a terminal, and what it said."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq


@dataclass(frozen=True)
class Said:
    """What a command said: on standard output, on standard error, and both."""

    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def says(self, *wanted: str) -> Said:
        """Check that each of ``wanted`` was said. Returns itself."""
        missing = [words for words in wanted if words not in self.text]
        assert not missing, f"nothing was said of {missing}, but:\n{self.text}"
        return self

    def in_order(self, *wanted: str) -> Said:
        """Check that these were said one after another. Returns itself."""
        self.says(*wanted)
        places = [self.text.index(words) for words in wanted]
        assert places == sorted(places), f"{wanted} were said in another order:\n{self.text}"
        return self


class Desk:
    """A folder of one's own and the command line in it.

    Args:
        folder: where the person's files are, and where all commands run.
        long: every command is a process of its own, on files as many and as large as people have them.
        say: told of every step.
    """

    def __init__(self, folder: Path, *, long: bool = False, say: Callable[[str], None] = lambda text: None) -> None:
        self.folder, self.long, self.say = folder, long, say

    @contextlib.contextmanager
    def sit_down(self) -> Iterator[None]:
        """Within this block the folder is the current one."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(before)

    def nearfar(self, *words: object, code: int = 0) -> Said:
        """Run a command and check its exit code."""
        told = [str(word) for word in words]
        started = time.perf_counter()
        found, said = self._apart(told) if self.long else self._here(told)
        self.say(f"    nearfar {' '.join(told)}  ({time.perf_counter() - started:.1f} s)")
        assert found == code, f"nearfar {' '.join(told)} left with {found}:\n{said.text}"
        return said

    def rows(self, name: str) -> list[dict[str, object]]:
        """The rows of a parquet file."""
        return pq.read_table(self.folder / name).to_pylist()

    @staticmethod
    def _here(words: list[str]) -> tuple[int, Said]:
        from nearfar.cli import main

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("default")
            code = main(words)
        return code, Said(out.getvalue(), err.getvalue())

    @staticmethod
    def _apart(words: list[str]) -> tuple[int, Said]:
        done = subprocess.run([sys.executable, "-m", "nearfar", *words], capture_output=True, text=True, check=False)
        return done.returncode, Said(done.stdout, done.stderr)
