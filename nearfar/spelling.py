"""What somebody meant who wrote a name that is not there."""

from __future__ import annotations

from collections.abc import Iterable


def meant(word: str, known: Iterable[object], *, most: int = 2, before: str = "; ", cutoff: float = 0.67) -> str:
    """``; did you mean a or b?`` with the nearest of ``known``, in which case makes no difference; empty where none is
    near.

    Args:
        word: what was written.
        known: what could have been.
        most: how many are named.
        before: what the question follows.
        cutoff: how near they have to be, from 0 for anything to 1 for the same.
    """
    import difflib

    names = {str(name).lower(): str(name) for name in known}
    close = difflib.get_close_matches(word.lower(), names, n=most, cutoff=cutoff)
    return f"{before}did you mean {' or '.join(names[name] for name in close)}?" if close else ""


def one_of(word: str, known: Iterable[object], *, are: str = "there are", **how: float) -> str:
    """``; did you mean a? There are a, b, c``: what could have been written instead of ``word``.

    Args:
        word, known, how: as for :func:`meant`.
        are: what comes before the names.
    """
    names = [str(name) for name in known]
    near = meant(word, names, **how)  # type: ignore[arg-type]
    return f"{near} {are.capitalize()} {', '.join(names)}" if near else f"; {are} {', '.join(names)}"
