"""NCA and InfoNCA: rewards say more than which reply is the best, and NCA does not push the best one down."""

from __future__ import annotations

import numpy as np

from nearfar.preference.data import Pairs, Rated, rated_replies
from nearfar.preference.data.world import reply_world
from nearfar.preference.evaluation import evaluate
from nearfar.reproductions.arms import arm
from nearfar.reproductions.harness import Claim, Reproduction


def best_against_another(data: Rated, seed: int) -> Pairs:
    """Each prompt's best reply against a random other one, as DPO is given rated replies in the paper."""
    rng = np.random.default_rng(seed)
    best = data.rewards.argmax(1)
    other = (best + rng.integers(1, data.rewards.shape[1], len(best))) % data.rewards.shape[1]
    pick = lambda places: [each[place] for each, place in zip(data.replies, places, strict=True)]  # noqa: E731
    return Pairs(data.prompts, pick(best), pick(other), world=data.world)


def run(seed: int) -> dict[str, dict[str, float]]:
    data = rated_replies(reply_world(seed), 2000, seed)
    measure = lambda method: evaluate(method, data, seed=seed)  # noqa: E731
    same = {"steps": 300, "batch_size": 32}
    return {
        "nca": arm("nca", data, seed, measure, settings=same),
        "infonca": arm("nca", data, seed, measure, settings=same, form="infonca"),
        "dpo": arm("dpo", best_against_another(data, seed), seed, measure, settings=same),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""The world of two-word replies with known rewards (see dpo): 2,000 prompts with four replies each, beta 1,
    temperature 1 (the scale of the rewards; the released 1e-4 would make the labels hard), 300 steps of 32 prompts,
    AdamW 3e-4. DPO is given each prompt's best reply against a random other one, as in the paper, with the same steps.
    Of the best reply the mean log-ratio to the reference on held-out prompts is read; the objective is reward - KL.""",
    claims=(
        Claim("InfoNCA, which is told rewards, reaches a better reward - KL than DPO", "infonca", "dpo", "objective"),
        Claim("NCA, which is told rewards, reaches a better reward - KL than DPO", "nca", "dpo", "objective"),
        Claim("NCA holds the best reply up where DPO lets it fall", "nca", "dpo", "chosen"),
        Claim("NCA holds the best reply higher than InfoNCA", "nca", "infonca", "chosen", role="ablation"),
    ),
)  # fmt: skip
