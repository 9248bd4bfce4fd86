"""What the reproductions of decoders share: a world of a seed with its model, and several decoders on its test part."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nearfar.decoding.data import Prompts, load
from nearfar.decoding.data.worlds import made
from nearfar.decoding.evaluation import accuracy, answers_of
from nearfar.decoding.method import Decodes
from nearfar.encoders.causal import CausalLM


def bed(world: str, seed: int, model: str | None = None, examples: int = 2000) -> tuple[Prompts, CausalLM]:
    """The prompts of a world of this seed and the model that was taught it."""
    data = load(world, examples=examples, world_seed=seed)
    assert isinstance(data, Prompts)
    return data, made(f"made:{model or world}/{seed}")


def measured(decoders: Mapping[str, Decodes], data: Prompts, seed: int) -> dict[str, dict[str, float]]:
    """Accuracy of each decoder on the held-out prompts, of all and of each kind."""
    held = data.held_out()
    return {name: dict(accuracy(answers_of(each, held, seed=seed), held)) for name, each in decoders.items()}


def mixes(scores: Mapping[str, float], conflict: str, rest: list[str]) -> dict[str, float]:
    """Accuracy in sets of which 0, 25, 50, 75 and 100% are conflicts, and the mean of the five."""
    plain = float(np.mean([scores[f"accuracy {kind}"] for kind in rest]))
    found = {
        f"accuracy at {share:.0%} conflict": share * scores[f"accuracy {conflict}"] + (1 - share) * plain
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    }
    return {**found, "mean over mixes": float(np.mean([*found.values()]))}
