"""MPO: with noisy labels, DPO on comparisons that are easy to tell and then reinforcement beat each alone."""

from __future__ import annotations

from typing import Any

from nearfar.preference.data import reply_pairs
from nearfar.preference.data.world import reply_world
from nearfar.preference.evaluation import evaluate
from nearfar.preference.methods.mpo import MPO
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Phase


class Reinforced(MPO):
    """Reinforcement on every prompt from the first model on, without DPO."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.phases = (self.phases[0], Phase("reinforce"))


class Easy(MPO):
    """DPO on the easy comparisons, without reinforcement."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.phases = (self.phases[0], Phase("dpo"))


def run(seed: int) -> dict[str, dict[str, float]]:
    world = reply_world(seed)
    data = reply_pairs(world, 4000, seed, noise=0.5)
    measure = lambda method: evaluate(method, data, seed=seed)  # noqa: E731
    before = evaluate(build("mpo", data, seed).eval(), data, seed=seed)
    same = {"steps": 500, "batch_size": 32}
    return {
        "mpo": arm("mpo", data, seed, measure, settings=same),
        "dpo, all": arm("dpo", data, seed, measure, settings=same),
        "dpo, easy": arm("mpo", data, seed, measure, cls=Easy, model=world.model, settings=same),
        "reinforced": arm("mpo", data, seed, measure, cls=Reinforced, model=world.model, settings=same),
        "reference": before,
        "optimum": {"objective": before["objective"] + before["regret"]},
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""The world of known replies of the DPO reproduction; 4,000 pairs, half the labels of the half with the
    closest rewards turned round; beta 1, 500 steps of 32. MPO and its parts give the first 150 steps to the model of
    rewards; DPO on all pairs has all 500. Reinforcement alone begins from the first model. The exact reward - KL
    judges. What the paper shows on dialogues and summaries needs models and judges too large for a processor.""",
    claims=(
        Claim("MPO reaches a better reward - KL than DPO on all comparisons", "mpo", "dpo, all", "objective"),
        Claim("MPO reaches a better reward - KL than reinforcement alone", "mpo", "reinforced", "objective"),
        Claim("Reinforcement after DPO adds to DPO on the easy comparisons", "mpo", "dpo, easy", "objective",
              role="ablation"),
        Claim("MPO's replies earn more than the reference's", "mpo", "reference", "reward", role="sanity"),
    ),
)  # fmt: skip
