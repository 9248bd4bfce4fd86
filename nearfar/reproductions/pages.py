"""Results for people: in a terminal, and as the page of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearfar.reproductions.claims import VERDICTS
from nearfar.reproductions.harness import load
from nearfar.system import Entry


def as_text(result: Mapping[str, Any]) -> str:
    """A result for people."""
    lines = [f"\n{result['slug']}: {result['verdict']}", f"  {result['setting']}"]
    for claim in result["claims"]:
        lines += [
            f"  {claim['verdict']:<24} {claim['text']}",
            f"  {'':<24} {claim['metric']}: {claim['summary']}",
        ]
    arms: dict[str, dict[str, list[float]]] = {}
    for scores in result["scores"]:
        for arm, found in scores.items():
            for metric, value in found.items():
                arms.setdefault(arm, {}).setdefault(metric, []).append(value)
    for arm, metrics in arms.items():
        text = ", ".join(f"{name} {np.mean(values):.3f}" for name, values in metrics.items())
        lines.append(f"    {arm}: {text}")
    return "\n".join(lines)


def page(measured: Sequence[tuple[Entry, Mapping[str, Any]]]) -> str:
    """Results in Markdown: a table of verdicts, then every claim with its figures, setting and explanation."""
    lines = ["| what | claims that hold | verdict |", "| --- | ---: | --- |"]
    for what, result in measured:
        holding = sum(claim["verdict"] == VERDICTS[0] for claim in result["claims"])
        lines.append(f"| {what.name} | {holding} of {len(result['claims'])} | {result['verdict']} |")
    for what, result in measured:
        lines += ["", f"## {what.name}: {result['verdict']}", "", result["setting"], ""]
        lines += [
            "| claim | metric | treatment | baseline | ahead | verdict |",
            "| --- | --- | ---: | ---: | --- | --- |",
        ]
        for claim in result["claims"]:
            lines.append(
                f"| {claim['text']} | {claim['metric']} | {claim['treatment_mean']:.3f} | {claim['baseline_mean']:.3f} "
                f"| {claim['difference']:+.3f} [{claim['low']:+.3f}, {claim['high']:+.3f}] | {claim['verdict']} |"
            )
        explanation = " ".join(load(what).explanation.split())
        if explanation:
            lines += ["", explanation]
        where = result["environment"]
        lines += [
            "",
            f"{result['seeds']} seeds, {result['seconds']:.0f} s, nearfar {where['nearfar']}, torch {where['torch']}, "
            f"{where['machine']}, {where['threads']} threads, {result['date']}.",
        ]
    return "\n".join(lines) + "\n"
