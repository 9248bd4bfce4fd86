"""CAD: a model follows its context against its memory where greedy decoding does not."""

from __future__ import annotations

from nearfar.decoding.method import Decoder, Writing
from nearfar.decoding.methods import CAD
from nearfar.reproductions.decoding.beds import bed, measured
from nearfar.reproductions.harness import Claim, Reproduction

SHORT = Writing(max_new_tokens=3, batch_size=100)


def run(seed: int) -> dict[str, dict[str, float]]:
    data, lm = bed("facts", seed)
    return measured(
        {
            "greedy": Decoder(lm, writing=SHORT),
            "cad": CAD(lm, writing=SHORT),
            "cad, weight 0.5": CAD(lm, weight=0.5, writing=SHORT),
            "cad, plausible words only": CAD(lm, alpha=0.1, writing=SHORT),
        },
        data,
        seed,
    )


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting="""Made facts: a two-layer Llama of width 64 remembers the values of 48 keys, and was taught to follow a
    context that contradicts its memory in a share of the cases that is the key's own (0.2 to 0.8). 400 held-out
    questions, of which a fifth each have no context, one that agrees, one that contradicts (with values that training
    did not pair with the key), one that tells the group of the value, and one about another key. Greedy; the value of
    the context counts where it contradicts, the remembered one elsewhere.""",
    claims=(
        Claim(
            "CAD follows contradicting contexts at least 15 points more often than greedy decoding",
            "cad",
            "greedy",
            "accuracy conflict",
            margin=0.15,
        ),
        Claim(
            "A larger weight follows them more often", "cad", "cad, weight 0.5", "accuracy conflict", role="ablation"
        ),
        Claim(
            "A context that agrees costs nothing: not more than two points",
            "cad",
            "greedy",
            "accuracy agree",
            margin=-0.02,
            role="sanity",
        ),
    ),
    explanation="""What CAD costs is reported and not claimed: where the context speaks of another key it makes the
    model take that key's value (accuracy other), which is the over-correction that AdaCAD is about.""",
)
