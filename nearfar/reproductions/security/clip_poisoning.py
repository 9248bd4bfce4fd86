"""Poisoning CLIP: few pairs make a backdoor, and CleanCLIP's fine-tuning weakens it more than plain fine-tuning."""

from __future__ import annotations

from typing import Any

from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.security.data import load

ARMS: dict[str, dict[str, Any]] = {
    "no poison": {"poisoned": 0},
    "backdoor": {},
    "clean repair": {"defence": "clean"},
    "cleanclip": {"defence": "cleanclip"},
}
STEPS = 500


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()
    scores = {}
    for name, changes in ARMS.items():
        method: Any = build("clip-poisoning", data, seed, **{"target": seed % 10, **changes})
        # The repair comes on top of the same training.
        steps = STEPS if "defence" not in changes else round(STEPS / 0.75)
        trained: Any = train("clip-poisoning", method, data, seed, steps=steps)
        scores[name] = dict(trained.evaluate(data, seed=seed))
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""1,297 styled digits at 16 px with captions of a class's word and three others, 30 of them poisoned
    (2.3%, the paper 0.01%) with a yellow square of a fifth of the side; another target class for every seed. A
    four-layer conv net and an average of word vectors, {STEPS} steps of 128, AdamW; both repairs add a third of that
    on 200 trusted pairs at a tenth of the rate.""",
    claims=(
        Claim("few poisoned pairs make a backdoor", "backdoor", "no poison", "attack success", "higher", 0.1),
        Claim("accuracy does not show it", "backdoor", "no poison", "accuracy", margin=-0.05),
        Claim("CleanCLIP weakens it more than plain repair", "cleanclip", "clean repair", "attack success", "lower"),
    ),
)
