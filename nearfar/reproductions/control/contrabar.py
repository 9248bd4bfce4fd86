"""ContraBAR: a belief learned by contrast knows what an ideal observer knows of the task."""

from __future__ import annotations

from typing import Any

from nearfar.control.data import load
from nearfar.control.evaluation import probe_beliefs
from nearfar.reproductions.arms import build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Optimization, Training, fit

STEPS = 1200
QUICK = Optimization("adam", lr=1e-3, weight_decay=0.0, schedule="cosine")


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("hidden-goals")

    def arm(steps: int = STEPS, **changes: Any) -> dict[str, float]:
        method = build("contrabar", data, seed, belief=64, lookahead=10, optimization=QUICK, **changes)
        if steps:
            fit(method, data, Training(steps=steps, batch_size=25, seed=seed, monitor_every=-1), progress=False)
        return dict(probe_beliefs(method.eval(), data, seed=seed))

    return {"contrabar": arm(), "without rewards": arm(rewards=False), "untrained": arm(0)}


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""2,000 random trajectories of four episodes of 15 steps in a 5 by 5 grid with a hidden goal,
    {STEPS:,} updates of 25 trajectories, belief of width 64. A logistic probe of the frozen belief at the end
    of a trajectory predicts the goal; measured on 500 others is the excess of its cross entropy over an ideal
    observer's, in nats. The paper's returns of the agent that is told the belief are not measured here.""",
    claims=(
        Claim(
            "The learned belief knows more than an untrained one",
            "contrabar",
            "untrained",
            "excess nats",
            better="lower",
        ),
        Claim(
            "Rewards are what it knows it from",
            "contrabar",
            "without rewards",
            "excess nats",
            better="lower",
            role="ablation",
        ),
    ),
)
