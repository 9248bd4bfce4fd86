"""CLC: a recogniser tuned on dialogs of which few are written down, with and without what dialogs give away."""

from __future__ import annotations

from typing import Any

from nearfar.audio.data.dialogs import SpokenDialogs, made
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Method

DIALOGS, FIRST, STEPS = 200, 100, 80


def run(seed: int) -> dict[str, dict[str, float]]:
    data = made(DIALOGS, held_out=100, seed=seed)
    assert isinstance(data, SpokenDialogs)

    def measure(method: Method) -> dict[str, float]:
        return dict(method.evaluate(data))  # type: ignore[operator]

    none: dict[str, Any] = {"past_weight": 0.0, "nbest_weight": 0.0}
    before = train("clc", build("clc", data, seed, **none), data, seed, steps=FIRST)

    def tuned(**weights: float) -> dict[str, float]:
        method = build("clc", data, seed, **{**none, **weights})
        method.load_state_dict(before.state_dict())
        return measure(train("clc", method, data, seed + 1, steps=STEPS))

    return {
        "clc": tuned(past_weight=0.1, nbest_weight=0.1),
        "past and future": tuned(past_weight=0.1),
        "n-best": tuned(nbest_weight=0.1),
        "words alone": tuned(),
        "before": measure(before),
    }


REPRODUCTION = Reproduction(
    run=run,
    setting=f"""{DIALOGS} generated dialogs of three or so turns by one voice each, of which a quarter is written down:
    words of vowels and hisses, two of one of four topics in a turn. Two turns of five are lost in noise and said again,
    with four hypotheses that hold the right one. 100 dialogs of other voices are recognised, the best letter at a time
    and without a language model. A recogniser of width 128 learns the written words for {FIRST} steps of 16 dialogs,
    and every arm goes on for {STEPS} more. OD3 is licensed for no commercial use and not at hand; weights and forms of
    the losses are reconstructions.""",
    claims=(
        Claim("what dialogs give away lowers the errors of plain tuning", "clc", "words alone", "wer", better="lower"),
        Claim("also where turns failed", "clc", "words alone", "wer failed", better="lower", role="ablation"),
        Claim("past and future alone do", "past and future", "words alone", "wer", better="lower", role="ablation"),
        Claim("hypotheses alone do", "n-best", "words alone", "wer", better="lower", role="ablation"),
        Claim("tuning helps", "words alone", "before", "wer", better="lower", role="sanity"),
    ),
)
