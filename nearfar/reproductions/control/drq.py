"""DrQ: random shifts, averaged over, against the same agent without them and against CURL."""

from __future__ import annotations

from nearfar.control.data import load
from nearfar.control.pixel_sac import SAC
from nearfar.reproductions.control.learning import agent_arm, still, words
from nearfar.reproductions.harness import Claim, Reproduction

STEPS = 2500
SETTINGS = SAC(hidden=128, discount=0.97, tau=0.01, encoder_tau=0.01, tanh=True, alpha_rate=1e-3)


def run(seed: int) -> dict[str, dict[str, float]]:
    def arm(slug: str, **changes):  # type: ignore[no-untyped-def]
        source = load("pixel-pendulum", envs=2, random_steps=1000)
        return agent_arm(slug, source, seed, steps=STEPS, batch_size=64, metric="return", **changes)

    source = load("pixel-pendulum")
    return {
        "drq": arm("drq", pad=2, sac=SETTINGS),
        "one shift": arm("drq", pad=2, targets=1, regressions=1, sac=SETTINGS),
        "no shift": arm("drq", pad=0, targets=1, regressions=1, sac=SETTINGS),
        "curl": arm("curl", sac=SAC(hidden=128, discount=0.97)),
        "untrained": still("drq", source, seed, metric="return", sac=SETTINGS),
        "scripted": words(source, "scripted", seed, metric="return"),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""A drawn pendulum (32 by 32, three frames) that is swung up in 200 steps, two environments,
    {STEPS:,} updates of 64 with one step of each environment between two, after 1,000 random steps; all arms
    have networks of the same sizes. Return of the mean action over 200 episodes, and on the way.""",
    claims=(
        Claim("DrQ earns more than the same agent without shifts", "drq", "no shift", "return"),
        Claim("DrQ earns more than CURL", "drq", "curl", "return"),
        Claim("Averaging over views helps beside shifting", "drq", "one shift", "return", role="ablation"),
    ),
)
