"""Lists of trials: which two recordings to compare, and whether one person speaks in both."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nearfar.audio.data.sounds import SoundFiles
from nearfar.audio.evaluation import verify_pairs
from nearfar.sources.tables import read_lines
from nearfar.system import Scores
from nearfar.training import embed

__all__ = ["Trials", "Verified", "read_trials", "verify"]

ANSWERS = {"1": 1, "target": 1, "same": 1, "true": 1, "0": 0, "nontarget": 0, "imp": 0, "different": 0, "false": 0}
SHOWN = 3


class Trials(NamedTuple):
    """Trials of a list: two names each, 1 where one person speaks in both and 0 elsewhere."""

    first: list[str]
    second: list[str]
    same: np.ndarray


class Verified(NamedTuple):
    """What was found: error rates, a table of scores, and which trials had to be left out, with the reasons."""

    scores: Scores
    columns: dict[str, Any]
    left_out: dict[str, str]


def read_trials(path: Path | str) -> Trials:
    """A text file of trials, one a line: ``1 a.wav b.wav`` (VoxCeleb) or ``a.wav b.wav target`` (Kaldi).

    Raises:
        ValueError: a line that is none, with its number; a list without either kind of trial.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no list of trials {path}")
    table = read_lines(path)
    if table.bad:
        raise ValueError(f"{path}, {table.bad[0][0]}: {table.bad[0][1]}")
    first, second, same = [], [], []
    for place, line in zip(table.places, table.columns["sentence"], strict=True):
        words = line.split()
        if len(words) == 3 and words[0].lower() in ANSWERS:
            answer, a, b = words
        elif len(words) == 3 and words[2].lower() in ANSWERS:
            a, b, answer = words
        else:
            raise ValueError(
                f"{path}, {place}: {line[:60]!r} is no trial; expected `1 a.wav b.wav` or `a.wav b.wav target`"
            )
        first.append(a)
        second.append(b)
        same.append(ANSWERS[answer.lower()])
    if not same or len(set(same)) < 2:
        raise ValueError(
            f"{path} holds {sum(same)} trials of one speaker and {len(same) - sum(same)} of two; both kinds are needed"
        )
    return Trials(first, second, np.array(same))


def verify(method: Any, trials: Trials, root: Path, *, p_target: float = 0.01, longest: float = 30.0) -> Verified:
    """Compare the recordings of every trial by the cosine of their representations.

    Every recording is embedded once. Trials whose recordings cannot be used are left out and listed.

    Args:
        method: a method on sounds, which says its ``rate``.
        trials: what to compare.
        root: the folder that the recordings are in.
        p_target: prior of "the same" of the detection cost, in (0, 1).
        longest: seconds of a recording that are heard.

    Raises:
        ValueError: no trial of either kind is left.
    """
    names = [*dict.fromkeys([*trials.first, *trials.second])]
    files = SoundFiles(
        [root / name for name in names],
        names=names,
        rate=method.rate,
        seconds=longest,
        root=root,
        name="the trials",
        max_bad=1.0,
    )
    found = embed(method, files).normalized()
    row = {name: position for position, name in enumerate(found.ids.tolist())}
    pairs = [(row.get(a, -1), row.get(b, -1)) for a, b in zip(trials.first, trials.second, strict=True)]
    kept = np.array([min(pair) >= 0 for pair in pairs], dtype=bool)
    index, same = np.array(pairs)[kept], trials.same[kept]
    if len(set(same.tolist())) < 2:
        raise ValueError(f"of {len(kept)} trials {int(kept.sum())} are left, not of both kinds; {_first(files)}")
    scores = verify_pairs(found.array, np.zeros(0), np.column_stack([index, same]), p_target=p_target)
    cosines = (found.array[index[:, 0]] * found.array[index[:, 1]]).sum(1)
    columns = {
        "first": [a for a, k in zip(trials.first, kept, strict=True) if k],
        "second": [b for b, k in zip(trials.second, kept, strict=True) if k],
        "same": same.tolist(),
        "score": cosines.tolist(),
    }
    return Verified(scores, columns, dict(files.skipped))


def _first(files: SoundFiles) -> str:
    shown = [f"{name}: {reason}" for name, reason in list(files.skipped.items())[:SHOWN]]
    return f"recordings that cannot be used: {'; '.join(shown)}" if shown else "the list names no others"
