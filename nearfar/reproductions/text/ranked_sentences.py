"""Ranking-sentence refinement: the order of rewrites improves an embedder that contrast trained."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from nearfar.encoders import TextEncoder, hashed_bert
from nearfar.reproductions.arms import arm, build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.text.data import grammar, load
from nearfar.text.data.chains import Chains
from nearfar.text.evaluation import evaluate
from nearfar.training import Method


def shuffled(chains: list[list[str]], seed: int) -> list[list[str]]:
    """Every list with its rewrites in an order that says nothing."""
    rng = np.random.default_rng(seed)
    return [[chain[0], *(chain[1 + row] for row in rng.permutation(len(chain) - 1))] for chain in chains]


def run(seed: int) -> dict[str, dict[str, float]]:
    corpus = load("grammar", examples=4000)
    held_out = load("grammar-chains", examples=8).splits()
    torch.manual_seed(seed)
    base = build("simcse", corpus, seed, encoder=hashed_bert(2, 64, words=2048))
    train("simcse", base, corpus, seed, steps=150)
    lists = grammar.chains(600, seed=seed + 40)
    data, unordered = (Chains(found, splits=held_out) for found in (lists, shuffled(lists, seed)))

    def measure(method: Method) -> dict[str, float]:
        return dict(evaluate(method, data))

    def start() -> TextEncoder:
        return copy.deepcopy(base.encoder)  # type: ignore[return-value]

    def refined(lists: Chains = data, **changes: Any) -> dict[str, float]:
        settings = {"steps": 100, "batch_size": 6}
        return arm(
            "ranked-sentences", lists, seed, measure, encoder=start(), teacher=start(), settings=settings, **changes
        )

    return {
        "ranked sentences": refined(),
        "teacher alone": refined(omega=0.0),
        "shuffled lists": refined(unordered),
        "base": measure(base.eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    setting="""600 lists of nine sentences of the generated grammar, each next one with one more slot of the meaning
    changed and in other words: what a language model's drifting rewrites are in the paper, with a drift that is known.
    The embedder to refine is a two-layer transformer of width 64 that SimCSE trained for 150 steps of 64 on 4,000
    sentences, and is its own teacher; 100 steps of six lists for every arm. Measured are 500 judged pairs, and how well
    cosines order 100 other lists.""",
    claims=(
        Claim("lists improve the embedder on judged pairs", "ranked sentences", "base", "sts test"),
        Claim("they improve its order of other lists", "ranked sentences", "base", "order lists", role="ablation"),
        Claim("more than the teacher's order does", "ranked sentences", "teacher alone", "sts test", role="ablation"),
        Claim("it is the order of the lists", "ranked sentences", "shuffled lists", "order lists", role="sanity"),
    ),
)
