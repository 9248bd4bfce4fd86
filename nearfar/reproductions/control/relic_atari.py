"""ReLIC beside an agent: the invariance of its prediction against contrast alone, also on a background never seen."""

from __future__ import annotations

from typing import Any

from nearfar.control.pixel_sac import SAC
from nearfar.reproductions.control.probing import agent_read, episodes
from nearfar.reproductions.harness import Claim, Reproduction

STEPS = 300
SETTINGS = SAC(hidden=128, discount=0.97, encoder_tau=0.01)


def run(seed: int) -> dict[str, dict[str, float]]:
    source, _ = episodes("pixel-pendulum", 5000, seed)

    def arm(slug: str = "relic-atari", steps: int = STEPS, **changes: Any) -> dict[str, float]:
        return agent_read(slug, source, seed, steps=steps, name="pixel-pendulum", dark=60, sac=SETTINGS, **changes)

    return {
        "relic": arm(pad=2),
        "contrast alone": arm(pad=2, alpha=0.0),
        "agent alone": arm("drq", pad=2, targets=1, regressions=1),
        "untrained": arm(pad=2, steps=0),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""5,000 recorded steps of a drawn pendulum (32 by 32, three frames), {STEPS} updates of 64 stacks for
    all agents, shifts of up to 2 pixels. The state is read from the frozen encoder by ridge regression on 300
    labelled stacks and measured on 1,000 stacks of other episodes, and on others with a lighter background than
    any in training. The paper measures R2D2 on 57 Atari games, which is out of reach here.""",
    claims=(
        Claim("ReLIC makes the state easier to read than the agent's loss alone", "relic", "agent alone", "R2"),
        Claim(
            "Invariance helps on another background",
            "relic",
            "contrast alone",
            "R2 on another background",
            role="ablation",
        ),
        Claim("ReLIC beats the untrained encoder", "relic", "untrained", "R2", role="sanity"),
    ),
)
