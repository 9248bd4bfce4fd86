"""CPC and TNC: linear states of windows, beside each other, without the doubt about distant windows, and untrained."""

from __future__ import annotations

from typing import Any

from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.series.data.generated import states

ARMS: dict[str, dict[str, Any]] = {
    "tnc": {"objective": "tnc"},
    "cpc": {"objective": "cpc"},
    "tnc, distant windows as negatives": {"objective": "tnc", "weight": 0.0},
}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = states(24, seed=seed)
    found = {
        name: arm("cpc", data, seed, lambda m: m.evaluate(data, seed=seed), **changes)  # type: ignore[operator]
        for name, changes in ARMS.items()
    }
    found["untrained"] = dict(build("cpc", data, seed).evaluate(data, seed=seed))  # type: ignore[operator]
    return found


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""Generated series of three channels that pass through four hidden states of equal mean and variance;
    windows of 40 steps, GRU of width 32 in each direction, codes of 10, 300 steps of 8 series, Adam 1e-3. Accuracy
    of a linear probe of the state in the middle of each window, on other series.""",
    claims=(
        Claim("Temporal neighbourhoods beat predictive coding", "tnc", "cpc", "state accuracy"),
        Claim("CPC beats its untrained encoder", "cpc", "untrained", "state accuracy", role="sanity"),
        Claim("TNC beats its untrained encoder", "tnc", "untrained", "state accuracy", role="sanity"),
        Claim(
            "Doubt about distant windows helps",
            "tnc",
            "tnc, distant windows as negatives",
            "state accuracy",
            role="ablation",
        ),
    ),
)
