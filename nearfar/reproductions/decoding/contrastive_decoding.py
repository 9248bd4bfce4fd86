"""Contrastive decoding for reasoning: an amateur that knows the shortcut, and a task without one."""

from __future__ import annotations

from nearfar.decoding.data import Prompts
from nearfar.decoding.data.worlds import made
from nearfar.decoding.evaluation import answers_of, plain
from nearfar.decoding.method import Decoder, Decodes, Writing
from nearfar.decoding.methods import ContrastiveDecoding
from nearfar.reproductions.decoding.beds import bed
from nearfar.reproductions.harness import Claim, Reproduction

SHORT = Writing(max_new_tokens=7, batch_size=100)


def judged(decoder: Decodes, data: Prompts) -> dict[str, float]:
    """The share of right chains, and of those that copy the first number."""
    held = data.held_out()
    assert held.answers is not None
    assert held.others is not None
    found = [plain(text) for text in answers_of(decoder, held)]
    return {
        "exact match": sum(a == plain(b) for a, b in zip(found, held.answers, strict=True)) / len(found),
        "copies": sum(a == plain(b) for a, b in zip(found, held.others, strict=True)) / len(found),
    }


def run(seed: int) -> dict[str, dict[str, float]]:
    data, expert = bed("arithmetic", seed)
    amateur = made(f"made:arithmetic-amateur/{seed}")
    found = {"greedy": judged(Decoder(expert, writing=SHORT), data)}
    for weight in (0.0, 0.25, 0.5, 1.0):
        name = "mask only" if not weight else f"weight {weight:g}"
        decoder = ContrastiveDecoding(expert, amateur, form="reasoning", weight=weight, writing=SHORT)
        found[name] = judged(decoder, data)
    found["amateur"] = judged(Decoder(amateur, writing=SHORT), data)
    clean, clean_amateur = (made(f"made:arithmetic-{name}/{seed}") for name in ("clean", "clean-amateur"))
    found["greedy, no shortcut"] = judged(Decoder(clean, writing=SHORT), data)
    contrast = ContrastiveDecoding(clean, clean_amateur, form="reasoning", writing=SHORT)
    found["weight 0.5, no shortcut"] = judged(contrast, data)
    return found


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""Made chains of arithmetic; in three of ten lessons the steps copy the first number instead. The expert
    is a Llama of two layers of width 64 stopped early, the amateur one layer of width 16. 400 held-out chains, greedy.
    Beside it the same without a shortcut among the lessons. The task is constructed so that the amateur holds the
    error.""",
    explanation="""The premise is not met: the amateur is unsure and not wrong. It copies in 1% of the chains where
    the expert does in 18%, and so the contrast raises copies (25%). Amateurs that were taught longer, on another
    seed, learned sums as they learned to copy: of one layer of width 32 after 400 steps 13% were right and 16%
    copied, after 1,000 steps 74% and 16%. These sums are few enough to be known by heart; an amateur that can copy
    and cannot add would need larger numbers and a larger expert.""",
    claims=(
        Claim(
            "Contrastive decoding beats greedy decoding by five points",
            "weight 0.5",
            "greedy",
            "exact match",
            margin=0.05,
        ),
        Claim("It copies less", "weight 0.5", "greedy", "copies", better="lower", role="ablation"),
        Claim("It beats the plausibility constraint alone", "weight 0.5", "mask only", "exact match", role="ablation"),
        Claim(
            "Without a shortcut it loses at most two points",
            "weight 0.5, no shortcut",
            "greedy, no shortcut",
            "exact match",
            margin=-0.02,
            role="sanity",
        ),
    ),
)
