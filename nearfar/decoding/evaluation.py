"""What is measured of a decoder: whether its answers are right, and how often they are the model's own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from nearfar.decoding.data.prompts import Prompts
from nearfar.decoding.method import Decoder, Decodes
from nearfar.system import Scores


def evaluate(method: Any, data: Any, *, seed: int = 0) -> Scores:
    """``accuracy`` in [0, 1]: of prompts with choices, whether the best-rated is the right one; of the others, whether
    the text is the answer, spaces and capitals aside. ``accuracy <kind>`` where prompts have kinds. ``agreement``:
    the share of answers that greedy decoding of the same model gives too.

    Raises:
        ValueError: the prompts have no answers.
    """
    method.prepare(data)
    prompts = data.held_out()
    given = answers_of(method, prompts, seed=seed)
    scores = accuracy(given, prompts)
    own = answers_of(greedy(method), prompts, seed=seed)
    scores["agreement"] = float(np.mean([a == b for a, b in zip(given, own, strict=True)]))
    return scores.direct(neither=["agreement"])


def greedy(method: Decodes) -> Decoder:
    """Greedy decoding of a decoder's model, for as many tokens."""
    from dataclasses import replace

    return Decoder(method.lm, writing=replace(method.writing, sample=False, beams=1))


def answers_of(method: Decodes, prompts: Prompts, *, seed: int = 0) -> list[str]:
    """The choice or the written text for each prompt."""
    if prompts.choices is not None and all(prompts.choices):
        found: list[str] = []
        for first in range(0, len(prompts), method.writing.batch_size):
            batch = prompts.batch(np.arange(first, min(first + method.writing.batch_size, len(prompts))))
            found += [c[i] for c, i in zip(batch.choices, method.score(batch)["choice"], strict=True)]
        return found
    return [row["text"] for row in method.generate(prompts, seed=seed)]


def accuracy(given: Sequence[str], prompts: Prompts) -> Scores:
    """The share of right answers, of all and of each kind."""
    if prompts.answers is None:
        raise ValueError(f"{prompts.name} has no answers to measure against; give a column answer")
    right = np.array([plain(a) == plain(b) for a, b in zip(given, prompts.answers, strict=True)])
    scores = Scores({"accuracy": float(right.mean())})
    if prompts.kinds is not None:
        kinds = np.array(prompts.kinds)
        for kind in dict.fromkeys(filter(None, prompts.kinds)):
            scores[f"accuracy {kind}"] = float(right[kinds == kind].mean())
    return scores


def plain(text: str) -> str:
    """A text without what does not count."""
    return " ".join(text.lower().split()).strip(" .")


def compared(methods: dict[str, Decodes], prompts: Prompts, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """Several decoders on the same prompts: accuracy where answers are known, agreement with the first, tokens per
    second of wall time (of written answers; the first batch is written once before the clock starts)."""
    for method in methods.values():
        method.prepare(prompts)
    prompts = prompts.held_out()
    table: dict[str, dict[str, float]] = {}
    reference: list[str] | None = None
    choosing = prompts.choices is not None and all(prompts.choices)
    for name, method in methods.items():
        if choosing:
            given, speed = answers_of(method, prompts, seed=seed), {}
        else:
            next(iter(method.generate(prompts.subset(np.arange(1)), seed=seed)))
            begun = time.perf_counter()
            rows = [*method.generate(prompts, seed=seed)]
            seconds = time.perf_counter() - begun
            given = [row["text"] for row in rows]
            speed = {"tokens per second": sum(row["tokens"] for row in rows) / max(seconds, 1e-9)}
        reference = reference or given
        found = accuracy(given, prompts) if prompts.answers is not None else {}
        agreement = float(np.mean([a == b for a, b in zip(given, reference, strict=True)]))
        table[name] = {**found, "agreement": agreement, **speed}
    return table
