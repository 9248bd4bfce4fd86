"""Claims, paired seeds, intervals, verdicts: how every reproduction is run and judged."""

from __future__ import annotations

import datetime
import importlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nearfar.common.files import atomic_write
from nearfar.evaluation import paired_interval
from nearfar.runs.run import environment
from nearfar.system import Entry

Scores = Mapping[str, Mapping[str, float]]
VERDICTS = ("holds", "not shown at this scale", "contradicted")
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Claim:
    """ "``treatment`` beats ``baseline`` on ``metric`` by more than ``margin``", so that it can fail.

    Args:
        text: the claim in a sentence.
        treatment, baseline: names of arms.
        metric: a metric that both arms report.
        better: whether higher or lower is better.
        margin: by how much the treatment must be ahead, in the metric's unit; negative states "not worse than
            by this much".
        needs: the optional data that the metric is measured on, if any. Where it is not there the claim is left out.
        role: ``main`` where the paper's abstract promises it over its baseline: these decide the verdict; ``ablation``
            of a part; ``sanity``, such as beating the untrained encoder.
    """

    text: str
    treatment: str
    baseline: str
    metric: str
    better: str = "higher"
    margin: float = 0.0
    needs: str = ""
    role: Literal["main", "ablation", "sanity"] = "main"

    def applies(self, scores: list[Scores]) -> bool:
        """Whether the data that the claim needs was there."""
        return not self.needs or all(self.metric in s.get(self.treatment, {}) for s in scores)

    def judge(self, scores: list[Scores]) -> dict[str, Any]:
        """The paired difference over seeds (positive: the treatment is better), its 95% interval, the verdict."""
        sign = 1.0 if self.better == "higher" else -1.0
        treated = np.array([s[self.treatment][self.metric] for s in scores], dtype=np.float64)
        control = np.array([s[self.baseline][self.metric] for s in scores], dtype=np.float64)
        mean = low = high = float("nan")
        if np.isfinite([treated, control]).all():
            mean, low, high = paired_interval(sign * treated, sign * control)
        if np.isnan(mean):
            verdict = VERDICTS[1]
        elif low > self.margin:
            verdict = VERDICTS[0]
        elif high < min(self.margin, 0.0):
            verdict = VERDICTS[2]
        else:
            verdict = VERDICTS[1]
        return {
            "text": self.text,
            "treatment": self.treatment,
            "baseline": self.baseline,
            "metric": self.metric,
            "better": self.better,
            "margin": self.margin,
            "treatment_mean": float(treated.mean()),
            "baseline_mean": float(control.mean()),
            "difference": float(mean),
            "low": float(low),
            "high": float(high),
            "verdict": verdict,
            "summary": f"{treated.mean():.3f} against {control.mean():.3f}, "
            f"ahead by {mean:+.3f} [{low:+.3f}, {high:+.3f}] over {len(scores)} seeds",
        }


@dataclass(frozen=True)
class Reproduction:
    """What a reproduction's module defines as ``REPRODUCTION``.

    Args:
        claims: every one is judged; the overall verdict is the worst of them.
        run: one seed in, metrics of every arm out. Arms must differ in nothing but what the claim names.
        seeds: number of paired seeds, at least 3.
        setting: data, encoder, length and anything that differs from the paper, in a few sentences.
        explanation: where the outcome needs one (a verdict other than *holds*), what is known of its cause.
    """

    claims: tuple[Claim, ...]
    run: Callable[[int], Scores]
    setting: str
    seeds: int = 5
    explanation: str = ""


def load(system: Entry) -> Reproduction:
    """The reproduction of a system or a study.

    Raises:
        ValueError: it has none.
    """
    if system.reproduction is None:
        raise ValueError(f"{system.slug} has no reproduction yet")
    return importlib.import_module(system.reproduction).REPRODUCTION


def reproduce(
    system: Entry, *, seeds: int | None = None, out: Path | None = None, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Run a reproduction and judge it. With ``out`` the result is written to ``out/<slug>.json``."""
    reproduction = load(system)
    count = seeds or reproduction.seeds
    started = time.perf_counter()
    scores: list[Scores] = []
    for seed in range(count):
        scores.append({arm: dict(found) for arm, found in reproduction.run(seed).items()})
        elapsed = time.perf_counter() - started
        say(f"{system.slug}: seed {seed + 1} of {count} done, {elapsed:.0f} s so far")
    claims = [claim.judge(scores) for claim in reproduction.claims if claim.applies(scores)]
    result = {
        "slug": system.slug,
        "verdict": worst([claim["verdict"] for claim in claims]),
        "claims": claims,
        "setting": " ".join(reproduction.setting.split()),
        "seeds": count,
        "scores": scores,
        "seconds": round(time.perf_counter() - started, 1),
        "date": datetime.date.today().isoformat(),
        "environment": environment(),
    }
    if out is not None:
        with atomic_write(Path(out) / f"{system.slug}.json", "w") as file:
            file.write(json.dumps(result, indent=1) + "\n")
    return result


def worst(verdicts: list[str]) -> str:
    """Contradicted if any is; otherwise not shown if any is; otherwise holds."""
    return max(verdicts, key=VERDICTS.index)


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
