"""Examples that cannot be read: which, why, and how many of them a run bears."""

from __future__ import annotations

import fcntl
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from nearfar.common.files import appending

__all__ = ["BadDataError", "Skipped", "plain"]

HEADER = "where\treason\n"


class BadDataError(ValueError):
    """More of the data is unreadable than was agreed to."""


class Skipped(Mapping[str, str]):
    """What a collection leaves out: the reason by place (a file's name, ``line 7``, ``row 12``).

    Examples found bad while training are added by whichever process meets them. With :meth:`keep_in` all of
    them write to one file, each place once, and the limit counts what is in it.

    Args:
        total: number of examples that were found, good and bad.
        strict: the first bad example is an error.
        max_bad: largest share of bad examples, in [0, 1]; more are an error.
        kind: what an example is, in the plural.
        folder: put before every place, where several collections share one file.

    Raises:
        ValueError: ``max_bad`` outside [0, 1].
    """

    def __init__(
        self, total: int, *, strict: bool = False, max_bad: float = 0.1, kind: str = "files", folder: str = ""
    ) -> None:
        if not 0 <= max_bad <= 1:
            raise ValueError(f"max_bad is the largest share of unreadable {kind}, in [0, 1]; got {max_bad}")
        self.total, self.strict, self.max_bad, self.kind = total, strict, max_bad, kind
        self.folder = f"{folder}/" if folder else ""
        self.path: Path | None = None
        self._reasons: dict[str, str] = {}

    def __getitem__(self, place: str) -> str:
        return self._reasons[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._reasons)

    def __len__(self) -> int:
        return len(self._reasons)

    def set_aside(self, bad: Iterable[tuple[str, str]], where: str) -> None:
        """Record what reading ``where`` found bad, as (place, reason), and warn of it in one sentence.

        Raises:
            BadDataError: ``strict`` and there is one; more than ``max_bad`` of all.
        """
        for place, reason in bad:
            self._reasons[plain(place)] = plain(reason)
            self._stop_if_strict(plain(place), plain(reason))
        if self._reasons:
            self._stop_if_too_many(len(self), where)
            first = next(iter(self.items()))
            warnings.warn(
                f"{len(self)} of {self.total} {self.kind} of {where} were left out, the first: {first[0]}: {first[1]}",
                stacklevel=3,
            )

    def add(self, place: str, reason: str) -> None:
        """Record one example found bad later; nothing happens when it is known.

        Raises:
            BadDataError: as for :meth:`set_aside`.
        """
        place, reason = plain(place), plain(reason)
        if place in self._reasons:
            return
        self._stop_if_strict(place, reason)
        self._reasons[place] = reason
        self._stop_if_too_many(self._write(), "the data")

    def keep_in(self, path: Path, *, write: bool = True) -> None:
        """List what is left out in the file at ``path``, now (where ``write``) and whenever more is found.

        A file that is there is continued.
        """
        self.path = Path(path)
        if write and self:
            self._write()

    def _write(self) -> int:
        """Append what the file lacks; the number of this collection's places that it then holds."""
        if self.path is None:
            return len(self)
        with appending(self.path) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # several processes may find the same example; closing unlocks
            file.seek(0)
            known = {line.split("\t", 1)[0] for line in file.read().split("\n")[1:] if line}
            if not file.tell():
                file.write(HEADER)
            new = {self.folder + place: reason for place, reason in self.items() if self.folder + place not in known}
            file.writelines(f"{place}\t{reason}\n" for place, reason in new.items())
        return sum(place.startswith(self.folder) for place in {*known, *new})

    def _stop_if_strict(self, place: str, reason: str) -> None:
        if self.strict:
            raise BadDataError(f"{place} cannot be used: {reason}. Without strict it would be left out and listed.")

    def _stop_if_too_many(self, bad: int, where: str) -> None:
        if bad > self.max_bad * self.total:
            shown = "; ".join(f"{place}: {reason}" for place, reason in list(self.items())[:3])
            raise BadDataError(
                f"{bad} of {self.total} {self.kind} of {where} cannot be used, more than the share of "
                f"{self.max_bad:g} that max_bad allows. Mend or remove them, or raise max_bad. Among them: {shown}"
            )


def plain(text: str) -> str:
    """One line of valid Unicode: control characters, and bytes of file names that are no text, become escapes."""
    if text.isprintable():
        return text
    text = text.encode("utf-8", "backslashreplace").decode()
    lines = {"Cc", "Zl", "Zp"}
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in lines else c for c in text)
