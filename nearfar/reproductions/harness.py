"""Paired seeds, kept as they finish, judged together: how every reproduction is run."""

from __future__ import annotations

import datetime
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nearfar.common.durations import in_time
from nearfar.reproductions.claims import VERDICTS, Claim, Reproduction, Scores, overall, worst
from nearfar.reproductions.records import Records
from nearfar.runs.run import environment
from nearfar.system import Entry

__all__ = [
    "CONFIDENCE",
    "RESULTS",
    "VERDICTS",
    "Claim",
    "Reproduction",
    "Scores",
    "load",
    "overall",
    "reproduce",
    "worst",
]

RESULTS = Path(__file__).parent / "results"

CONFIDENCE = 0.975
"""Of every interval. Two looks are planned, one with a reproduction's own number of seeds and one with more; each takes
half of an error of 5%. A third look and later ones share it further: see :func:`confidence_after`."""


def confidence_after(looks: int) -> float:
    """The confidence of the intervals of a result that has been judged with so many different numbers of seeds."""
    return 1 - (1 - CONFIDENCE) * 2 / max(looks, 2)


def load(system: Entry) -> Reproduction:
    """The reproduction of a system or a study.

    Raises:
        ValueError: it has none.
    """
    if system.reproduction is None:
        raise ValueError(f"{system.slug} has no reproduction yet")
    return importlib.import_module(system.reproduction).REPRODUCTION


def reproduce(
    system: Entry, *, seeds: int | None = None, out: Path, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure the seeds that are missing of a reproduction and judge it.

    Every finished seed is kept at once in ``out/<slug>.json``; several processes with one folder share the seeds. Where
    the reproduction's code or the row's settings have changed since, the result starts anew.
    """
    reproduction = load(system)
    count = seeds or reproduction.seeds
    records = Records(out, system)
    if records.outdated:
        say(f"{system.slug}: {records.path} was measured with another setting; it starts anew")
    missing = len({*range(count)} - {*records.seeds()})
    if missing:
        many = "1 seed takes" if missing == 1 else f"{missing} seeds take"
        say(f"{system.slug}: {many} {_expected(system, missing)}")
    for seed in range(count):
        if seed in records.seeds():
            continue
        with records.claim(seed) as mine:
            if not mine or seed in records.seeds():
                continue
            started = time.perf_counter()
            scores = {arm: dict(found) for arm, found in reproduction.run(seed).items()}
            seconds = time.perf_counter() - started
            with records.alone():
                _keep(system, reproduction, records, seed, scores, seconds)
            say(f"{system.slug}: seed {seed} done in {seconds:.0f} s, {len(records.seeds())} of {count} kept")
    with records.alone():
        found = records.read()
        if found is None:
            raise ValueError(f"another process is measuring every seed of {system.slug}; wait for it")
        result = _judged(system, reproduction, found)
        records.write(result)
    return result


def _expected(system: Entry, seeds: int) -> str:
    """In words, what so many seeds take, as those took that came with the library."""
    if not system.result:
        return "a time that is not known yet"
    each = system.result["seconds"] / max(system.result["seeds"], 1)
    return f"about {in_time(each * seeds)} on a machine like the one that measured them"


def _keep(
    system: Entry, reproduction: Reproduction, records: Records, seed: int, scores: Scores, seconds: float
) -> None:
    """Add a finished seed to the file; it is judged when all are there, and until then as far as it goes."""
    found = records.read() or {"records": [], "looks": []}
    record = {
        "seed": seed,
        "scores": scores,
        "seconds": round(seconds, 1),
        "date": datetime.date.today().isoformat(),
        "environment": environment(),
    }
    found["records"] = sorted([*found["records"], record], key=lambda each: each["seed"])
    records.write(_judged(system, reproduction, found, look=False))


def _judged(system: Entry, reproduction: Reproduction, found: dict[str, Any], *, look: bool = True) -> dict[str, Any]:
    """A result from the records of its seeds; ``look`` counts it as one of the looks that its confidence pays for."""
    kept = found["records"]
    looks = found.get("looks", [])
    if look and len(kept) not in looks:
        looks = [*looks, len(kept)]
    confidence = confidence_after(len(looks))
    scores = [record["scores"] for record in kept]
    claims = [claim.judge(scores, confidence) for claim in reproduction.claims if claim.applies(scores)]
    return {
        "slug": system.slug,
        "verdict": overall(claims),
        "claims": claims,
        "setting": " ".join(reproduction.setting.split()),
        "seeds": len(kept),
        "confidence": confidence,
        "looks": looks,
        "scores": scores,
        "seconds": round(sum(record["seconds"] for record in kept), 1),
        "date": kept[-1]["date"],
        "environment": kept[-1]["environment"],
        "records": kept,
    }


def plan(system: Entry, seeds: int) -> dict[str, Any]:
    """What a system's claims still lack and what ``seeds`` would cost, from what its seeds took before."""
    result = system.result
    open_claims = [c["text"] for c in (result or {}).get("claims", []) if c["verdict"] == VERDICTS[1]]
    each = result["seconds"] / max(result["seeds"], 1) if result else None
    missing = max(seeds - (result["seeds"] if result else 0), 0)
    return {
        "slug": system.slug,
        "verdict": system.verdict,
        "open": open_claims,
        "seeds": result["seeds"] if result else 0,
        "missing": missing,
        "seconds": None if each is None else round(each * missing),
    }
