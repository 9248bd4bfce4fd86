"""ST-DIM: contrast between steps, at every place, makes what is true of a frame easier to read."""

from __future__ import annotations

from typing import Any

from nearfar.control.data import load
from nearfar.control.evaluation import probe_states
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction

STEPS = 300


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("pixel-cartpole-frames", recorded=4000)

    def trained(**changes: Any) -> dict[str, float]:
        settings = {"steps": STEPS, "batch_size": 64}
        return arm("st-dim", data, seed, lambda m: probe_states(m, data), settings=settings, **changes)

    return {
        "st-dim": trained(),
        "without time": trained(time=False),
        "random network": probe_states(build("st-dim", data, seed).eval(), data),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""4,000 frames of a drawn pole on a cart (84 by 84, half of the actions random), {STEPS} updates of
    64 pairs; the encoder of the release's downsampled option. Place, speed, angle and turn are read by ridge
    regression from the frozen representation and measured on 1,000 frames of other episodes. Speeds cannot be
    read from one frame, so the mean has a ceiling below 1. The paper probes the memory of 22 Atari games
    (`--env ALE/Pong-v5` does so here).""",
    claims=(
        Claim("ST-DIM beats a random network of the same shape", "st-dim", "random network", "mean R2"),
        Claim("The step before helps", "st-dim", "without time", "mean R2", role="ablation"),
    ),
)
