"""HyPO: where comparisons cover a part of the replies, replies of the policy's own hold it to its reference."""

from __future__ import annotations

from nearfar.preference.data import reply_pairs
from nearfar.preference.data.world import reply_world
from nearfar.preference.evaluation import evaluate
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction

COVERED = 4


def run(seed: int) -> dict[str, dict[str, float]]:
    world = reply_world(seed)
    data = reply_pairs(world, 6000, seed, words=COVERED)
    measure = lambda method: evaluate(method, data, seed=seed)  # noqa: E731
    before = evaluate(build("hypo", data, seed).eval(), data, seed=seed)
    same = {"steps": 300, "batch_size": 32}
    return {
        "hypo": arm("hypo", data, seed, measure, settings=same),
        "dpo": arm("dpo", data, seed, measure, settings=same),
        "reference": before,
        "optimum": {"objective": before["objective"] + before["regret"], "lost": 0.0},
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""The world of known replies of the DPO reproduction, where only replies that begin with four of the twelve
    words were compared: 6,000 pairs, beta 1, 300 steps of 32 pairs for both, HyPO with two drawn replies to a prompt
    and weight 0.1. ``lost`` is the share of the policy's replies that are no possible reply. The paper's summaries and
    chats need models and judges too large for a processor.""",
    claims=(
        Claim("HyPO reaches a better reward - KL than DPO when comparisons cover a part", "hypo", "dpo", "objective"),
        Claim("HyPO strays less to replies that nobody compared and nobody gives", "hypo", "dpo", "lost",
              better="lower"),
        Claim("HyPO ranks held-out pairs as well as DPO, to three points", "hypo", "dpo", "accuracy", margin=-0.03,
              role="sanity"),
    ),
)  # fmt: skip
