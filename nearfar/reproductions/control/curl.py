"""CURL: contrast beside the agent's loss makes the state easier to read from the encoder than that loss alone."""

from __future__ import annotations

from typing import Any

from nearfar.control.pixel_sac import SAC
from nearfar.reproductions.control.probing import agent_read, episodes
from nearfar.reproductions.harness import Claim, Reproduction

STEPS = 300
SETTINGS = SAC(hidden=128, discount=0.97)


def run(seed: int) -> dict[str, dict[str, float]]:
    source, _ = episodes("pixel-pendulum", 5000, seed)

    def arm(steps: int = STEPS, **changes: Any) -> dict[str, float]:
        return agent_read("curl", source, seed, steps=steps, name="pixel-pendulum", sac=SETTINGS, **changes)

    return {"curl": arm(), "without contrast": arm(weight=0.0), "untrained": arm(steps=0)}


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""5,000 recorded steps of a drawn pendulum (32 by 32, three frames, half of the actions random),
    {STEPS} updates of 64 stacks for both agents, the same networks and crops of 27 by 27. Measured is the R2
    with which cosine, sine and speed are read from the frozen encoder by ridge regression on 300 labelled
    stacks, on 1,000 stacks of other episodes. The paper measures returns after 100,000 steps of the DeepMind
    control suite, which needs a renderer and hours.""",
    claims=(
        Claim("Contrast makes the state easier to read", "curl", "without contrast", "R2"),
        Claim("CURL beats the untrained encoder", "curl", "untrained", "R2", role="sanity"),
    ),
)
