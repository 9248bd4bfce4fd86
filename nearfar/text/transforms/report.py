"""Whether a transform keeps what texts mean and changes how they look, measured on unlabelled texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.common.randomness import derive_seed
from nearfar.encoders import TextEncoder
from nearfar.evaluation import edit_distance
from nearfar.losses import info_nce
from nearfar.system import Scores
from nearfar.text.transforms import Lexicon, Transform, changed, transform_of
from nearfar.text.transforms.states import changed_words

__all__ = ["transform_report"]


def transform_report(
    transform: str | Transform,
    texts: Sequence[str],
    judge: TextEncoder,
    *,
    strength: float | None = None,
    lexicon: Lexicon | None = None,
    says: Callable[[str], Any] | None = None,
    seed: int = 0,
) -> Scores:
    """The two requirements on a transform in numbers.

    Args:
        transform: by name, or one of the user's own.
        texts: at least two strings.
        judge: an encoder whose cosines tell what means the same. What works inside an encoder works inside this one;
            ``dropout`` is its own dropout.
        strength, lexicon: as in :func:`nearfar.text.transforms.changed`.
        says: what a text says, such as the class that a model gives it; texts for which it is another one afterwards
            are ``flipped``.
        seed: of what is drawn.

    Returns:
        ``preservation``, the mean cosine of a text and what became of it; ``diversity``, 1 minus Jaccard's similarity
        of their words; ``edits``, the words edited, divided by those of the longer; ``hardness``, the InfoNCE loss at
        temperature 0.05 of finding a text by what became of it; and ``flipped``, a share, where it can be known.

    Raises:
        ValueError: fewer than two texts.
    """
    if len(texts) < 2:
        raise ValueError(f"a report needs at least two texts, got {len(texts)}")
    transform = transform_of(transform)
    seeds = [derive_seed(seed, "transform", row) for row in range(len(texts))]
    made = changed(texts, transform, seeds, strength=strength, lexicon=lexicon)
    mode = judge.training
    try:
        with torch.no_grad():
            before = judge.eval()([*texts])
            after = _after(judge, transform, made, strength, seed)
    finally:
        judge.train(mode)
    old, new = ([text.lower().split() for text in side] for side in (texts, made))
    shared = [len({*a} & {*b}) / max(len({*a} | {*b}), 1) for a, b in zip(old, new, strict=True)]
    edits = [edit_distance(a, b) / max(len(a), len(b), 1) for a, b in zip(old, new, strict=True)]
    found = Scores(
        {
            "preservation": float(F.cosine_similarity(before, after).mean()),
            "diversity": 1 - sum(shared) / len(shared),
            "edits": sum(edits) / len(edits),
            "hardness": float(info_nce(after, before, temperature=0.05)),
        },
        neither=["hardness", "edits"],
    )
    if says is not None:
        flipped = sum(says(a) != says(b) for a, b in zip(texts, made, strict=True)) / len(texts)
        found.add(Scores({"flipped": flipped}, lower=["flipped"] if transform.keeps else []))
    return found


def _after(judge: TextEncoder, transform: Transform, made: list[str], strength: float | None, seed: int) -> Tensor:
    if not transform.inside:
        return judge(made)
    tokens = judge.tokenize(made)
    device = tokens.input_ids.device
    if transform.change is None:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            return judge.train()(tokens)
    generator = torch.Generator(device).manual_seed(seed)
    change, amount = transform.change, transform.strength if strength is None else strength

    def draw(*sizes: int) -> Tensor:
        return torch.rand(*sizes, generator=generator, device=device)

    with changed_words(judge, lambda states: change(states, tokens.attention_mask, draw, amount)):
        return judge(tokens)
