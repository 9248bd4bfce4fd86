"""COMET: the class of patients that were not seen, with all and with a tenth of the labels, beside fewer levels."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.series.data import SeriesSet
from nearfar.series.data.generated import patients
from nearfar.training import Method, embed

ARMS: dict[str, dict[str, Any]] = {
    "comet": {},
    "observation and sample only": {"patient": 0.0, "trial": 0.0, "observation": 0.5, "sample": 0.5},
    "patient and trial only": {"patient": 0.5, "trial": 0.5, "observation": 0.0, "sample": 0.0},
}


def measure(method: Method, data: SeriesSet, seed: int) -> dict[str, float]:
    """Macro F1 of a logistic probe on test patients, with all labels and with those of a tenth of the trials."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    assert data.test is not None
    x, test = embed(method, data), embed(method, data.test)
    assert x.labels is not None
    trials = np.unique(data.groups[:, 1])
    few = np.random.default_rng(seed).permutation(trials)[: max(len(trials) // 10, 4)]
    found = {}
    for name, rows in (("f1", np.ones(len(x.array), bool)), ("f1 10% labels", np.isin(data.groups[:, 1], few))):
        if len(np.unique(x.labels[rows])) < 2:
            found[name] = float("nan")
            continue
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        probe.fit(x.array[rows], x.labels[rows])
        found[name] = float(f1_score(test.labels, probe.predict(test.array), average="macro"))
    return found


def run(seed: int) -> dict[str, dict[str, float]]:
    data = patients(16, steps=64, held_out=12, seed=seed)
    found = {
        name: arm("comet", data, seed, lambda m: measure(m, data, seed), **changes) for name, changes in ARMS.items()
    }
    found["untrained"] = measure(build("comet", data, seed).eval(), data, seed)
    return found


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""Generated recordings of 16 patients (864 segments of 64 steps and four channels) and of 12 others for
    test; depth 4, widths 32 and 64, 150 steps of 64 segments, AdamW 1e-3 instead of the paper's 1e-4 over far more
    steps. Macro F1 of a logistic probe; a tenth of the labels are those of a tenth of the trials.""",
    claims=(
        Claim("Four levels beat TS2Vec's two", "comet", "observation and sample only", "f1 10% labels"),
        Claim("Four levels beat the upper two", "comet", "patient and trial only", "f1", role="ablation"),
        Claim("COMET beats its untrained network", "comet", "untrained", "f1", role="sanity"),
    ),
)
