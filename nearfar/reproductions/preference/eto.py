"""ETO: an agent of words that learns from its failures does better than one that imitates an expert for longer."""

from __future__ import annotations

from typing import Any

from nearfar.preference.data import rooms
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction


def run(seed: int) -> dict[str, dict[str, float]]:
    data = rooms(500, seed)
    measure = lambda method: method.evaluate(data, seed=seed)  # noqa: E731
    before = measure(build("eto", data, seed).eval())
    steps = {"steps": 500, "batch_size": 16}
    only: dict[str, Any] = {"imitation": 1.0, "optimization": build("eto", data, seed).optimization}
    return {
        "eto": arm("eto", data, seed, measure, settings=steps),
        "imitation for longer": arm("eto", data, seed, measure, settings=steps, **only),
        "imitation alone": arm("eto", data, seed, measure, settings={**steps, "steps": 400}, **only),
        "untrained": before,
        "expert": {"reward": 1.0, "success": 1.0},
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""Rooms of 5 x 5 cells described in words, a key and a door; shortest ways through 500 rooms, and a Llama
    of three layers that starts from chance. ETO imitates for 400 steps of 16 and then explores and compares for two
    rounds of 50; the baseline imitates for all 500. Judged by the likeliest words in 100 rooms that nobody saw. The
    paper's agents are a model of seven billion weights in a shop, a laboratory and a household.""",
    claims=(
        Claim("ETO succeeds in more unseen rooms than imitation for as many steps", "eto", "imitation for longer",
              "success"),
        Claim("The rounds of exploring add to the imitation that they begin from", "eto", "imitation alone", "success",
              role="ablation"),
        Claim("Imitation finds more than an untrained model", "imitation alone", "untrained", "reward", role="sanity"),
    ),
)  # fmt: skip
