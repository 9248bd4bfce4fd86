"""Claims that can fail, and how they are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nearfar.evaluation import paired_interval

Scores = Mapping[str, Mapping[str, float]]
VERDICTS = ("holds", "not shown at this scale", "contradicted")


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

    def judge(self, scores: list[Scores], confidence: float = 0.95) -> dict[str, Any]:
        """The paired difference over seeds (positive: the treatment is better), its interval, the verdict."""
        sign = 1.0 if self.better == "higher" else -1.0
        treated = np.array([s[self.treatment][self.metric] for s in scores], dtype=np.float64)
        control = np.array([s[self.baseline][self.metric] for s in scores], dtype=np.float64)
        mean = low = high = float("nan")
        if np.isfinite([treated, control]).all():
            mean, low, high = paired_interval(sign * treated, sign * control, confidence)
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
            "role": self.role,
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
        claims: every one is judged; the overall verdict is the worst of the main ones.
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


def worst(verdicts: list[str]) -> str:
    """Contradicted if any is; otherwise not shown if any is; otherwise holds."""
    return max(verdicts, key=VERDICTS.index)


def overall(claims: list[dict[str, Any]]) -> str:
    """A system's verdict: the worst of its main claims; of all, where none is marked."""
    main = [claim["verdict"] for claim in claims if claim.get("role", "main") == "main"]
    return worst(main or [claim["verdict"] for claim in claims])
