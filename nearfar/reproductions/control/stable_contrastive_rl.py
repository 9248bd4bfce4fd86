"""Stabilizing Contrastive RL against its base, offline from pictures."""

from __future__ import annotations

from typing import Any

from nearfar.control.data import load
from nearfar.reproductions.control.learning import QUICK, agent_arm, still, words
from nearfar.reproductions.harness import Claim, Reproduction

SHARED: dict[str, Any] = {"hidden": (128, 128), "features": 16, "critics": 2, "bc": 0.05, "discount": 0.9}
RATES: dict[str, Any] = {"optimization": QUICK, "actor_optimization": QUICK}
STEPS = 600


def run(seed: int) -> dict[str, dict[str, float]]:
    def source():  # type: ignore[no-untyped-def]
        return load("pixel-maze-episodes", recorded=10_000)

    def arm(slug: str, **changes):  # type: ignore[no-untyped-def]
        return agent_arm(slug, source(), seed, steps=STEPS, batch_size=128, **{**SHARED, **RATES, **changes})

    return {
        "stable": arm("stable-contrastive-rl", loss="mc"),
        "base": arm("contrastive-rl", random_goals=0),
        "unit weights": arm("stable-contrastive-rl", loss="mc", negative_weight="unit"),
        "untrained": still("contrastive-rl", source(), seed, **SHARED),
        "scripted": words(source(), "scripted", seed),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""Pictures of 16 by 16 of a point in a U-shaped maze; 10,000 steps recorded from a noisy policy that
    walks to random places; goals are pictures. Every arm makes {STEPS} updates of 128 transitions with the same
    widths (128, 128), codes of 16, two critics, imitation 0.05, discount 0.9 and Adam 1e-3. Base: Contrastive
    RL as released for pictures. The stable form adds layer norm, a last layer that begins at almost 0, balanced
    negatives, a policy of fixed width and shifted pictures for imitation. Success over 200 episodes of 50
    steps.""",
    claims=(
        Claim("The stable form reaches more goals than its base", "stable", "base", "success"),
        Claim("Balanced negatives help", "stable", "unit weights", "success", role="ablation"),
        Claim("It beats the untrained agent", "stable", "untrained", "success", role="sanity"),
    ),
)
