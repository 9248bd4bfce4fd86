"""Whether runs may stand on one page: of one field, and a word where they saw other data."""

from __future__ import annotations

from collections.abc import Sequence

from nearfar.catalogue import find
from nearfar.runs.run import Run, RunError
from nearfar.sources.fingerprint import changes, kept


def check_fields(run: Run, others: Sequence[Run]) -> None:
    """Raises:
    RunError: a run is of another field, whose numbers mean something else.
    """
    field = find(run.config["method"]).field
    for other in others:
        theirs = find(other.config["method"]).field
        if theirs != field:
            raise RunError(
                f"{other.path} is a run of {theirs} and {run.path} one of {field}, whose measures have nothing to do "
                "with each other; choose runs of one field"
            )


def other_data(run: Run, other: Run) -> str:
    """In words, how another run's data differ from a run's; empty where they do not.

    Data in files are told by their fingerprints, embedded data by their name and what was asked of it.
    """
    here, there = kept(run.data_path), kept(other.data_path)
    if here is not None and there is not None:
        found = changes(here, there)
        differ = [found] if found else []
    else:
        names = [str(each.config.get("data", {}).get("source") or "embedded data") for each in (run, other)]
        differ = [] if names[0] == names[1] else [f"{names[1]} instead of {names[0]}"]
    mine, theirs = ({k: v for k, v in each.config.get("data", {}).items() if k != "source"} for each in (run, other))
    for name in sorted({*mine, *theirs}):
        if mine.get(name) != theirs.get(name):
            differ.append(f"{name} {theirs.get(name)} instead of {mine.get(name)}")
    judged = [(each.read_json("evaluation.json") or {}).get("data") for each in (run, other)]
    if None not in judged and judged[0] != judged[1]:
        differ.append(f"measured on {judged[1]} instead of {judged[0]}")
    return "; ".join(differ)[:400]
