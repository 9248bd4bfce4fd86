"""CDiffuser: plans that lean towards states of high return earn more than Diffuser's, guided and not guided."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nearfar.control.data import Observed, Recorded, load
from nearfar.control.evaluation import evaluate, judged, play
from nearfar.control.methods.cdiffuser import CDiffuser
from nearfar.control.planning import Contrast, Planning
from nearfar.reproductions.arms import build
from nearfar.reproductions.control.learning import words
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Training, fit

STEPS, WEIGHT, SIDE = 300, 0.1, 7
GUIDED = Planning(plans=4, climbs=1)
UNGUIDED = Planning(plans=1, climbs=0)


class Straight:
    """Walks to the corner, as nothing in the data does on purpose."""

    def act(self, observed: Observed, *, generator: torch.Generator | None = None) -> Tensor:
        corner = 0.5 / SIDE * 2 - 1
        return ((corner - observed.observations) * SIDE / 2).clamp(-1, 1)


def planned(method: Any, source: Recorded, seed: int) -> dict[str, float]:
    """Of 200 plans that nothing guides: how far a planned step is from where its action leads, in cells."""
    rows = np.random.default_rng(seed).integers(len(source.episodes.observations), size=200)
    method.planning = UNGUIDED
    with method.frozen():
        found = method.plan(
            torch.from_numpy(source.episodes.observations[rows]), torch.Generator().manual_seed(seed)
        ).numpy()
    places, actions = (found[..., 2:] + 1) / 2 * SIDE, found[..., :2].clip(-1, 1)
    led = (places[:, :-1] + actions[:, :-1]).clip(0, SIDE)
    return {"error of plans": float(np.linalg.norm(led - places[:, 1:], axis=-1).mean())}


def run(seed: int) -> dict[str, dict[str, float]]:
    source = load("point-maze-corner-episodes")

    def arm(weight: float, steps: int = STEPS) -> dict[str, float]:
        contrast = Contrast(weight=weight, upper=0.1, lower=0.5, each=8, width=32)
        method: Any = build("cdiffuser", source, seed, contrast=contrast, horizon=8, noises=8)
        assert isinstance(method, CDiffuser)
        if steps:
            fit(method, source, Training(steps=steps, batch_size=32, seed=seed), progress=False)
        else:
            method.begin(source)
        scores = planned(method, source, seed)
        method.planning = UNGUIDED
        scores["return, unguided"] = evaluate(method, source, seed=2000 + seed, episodes=40)["return"]
        if steps:
            method.planning = GUIDED
            scores["return"] = evaluate(method, source, seed=2000 + seed, episodes=20)["return"]
        return scores

    def still(found: float) -> dict[str, float]:
        return {"return": found, "return, unguided": found}

    return {
        "cdiffuser": arm(WEIGHT),
        "diffuser": arm(0.0),
        "untrained": arm(WEIGHT, 0),
        "the data's policy": still(words(source, "scripted", seed, metric="return")["return"]),
        "straight to the corner": still(judged(play(Straight(), source.fresh(50), 200, seed=2000 + seed))["return"]),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""A point on a free floor of 7 by 7 cells that is paid 1 for each of 50 steps in one corner; 20,000 steps
    recorded from a noisy policy that walks to random places. Plans of 8 steps, 8 levels of noise, a U-net of two
    levels with 16 and 32 channels, {STEPS} updates of 32 plans by Adam 1e-3 for both. Positives are the best tenth
    of states, negatives the worst half, eight sequences of each for a plan; the contrast weighs {WEIGHT}, the
    most that the release gives it by task. Guided, both draw four plans with one step along the
    value's gradient at each level; unguided, one plan. Returns of 20 and 40 episodes. The paper measures D4RL.""",
    claims=(
        Claim("CDiffuser earns more than Diffuser", "cdiffuser", "diffuser", "return"),
        Claim("It does so without guidance", "cdiffuser", "diffuser", "return, unguided", role="ablation"),
        Claim(
            "Its plans are not further from what actions lead to, by more than 0.1 cells",
            "cdiffuser",
            "diffuser",
            "error of plans",
            better="lower",
            margin=-0.1,
            role="sanity",
        ),
        Claim("CDiffuser beats the untrained agent", "cdiffuser", "untrained", "return, unguided", role="sanity"),
    ),
)
