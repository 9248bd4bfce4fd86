"""Systems in the terms of two reviews: what is similar, where negatives come from, how encoders move, which loss.

The terms are those of Jaiswal et al., 2020, arXiv 2011.00362 (pretext tasks; end-to-end, bank, momentum, clustering)
and Le-Khac et al., 2020, arXiv 2010.05113 (similarity, encoder update, head, loss). A row's ``tags`` say them outright;
otherwise they are read from the words of its five parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from nearfar.system import Entry

TERMS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "views": {
        "crop": ("crop", "patch", "window", "slice"),
        "colour": ("colour", "color", "blur", "solaris", "jitter", "tint"),
        "masking": ("mask", "hidden", "dropped", "dropout", "corrupt", "drop"),
        "mixing": ("mix", "interpolat"),
        "labels": ("class", "label", "same speaker", "same subject"),
        "modalities": ("caption", "text", "sentence and", "image and", "audio and", "modalit"),
        "time": ("time", "date", "frame", "future", "past", "next", "clip"),
        "neighbours": ("neighbour", "nearest", "cluster"),
        "attack": ("attack", "trigger", "adversarial", "poison"),
    },
    "loss": {
        "InfoNCE": ("infonce", "nt-xent", "info-nce", "contrast", "supcon", "softmax", "nce"),
        "margin": ("triplet", "margin", "hinge", "ranking"),
        "regression": ("cos", "regression", "mse", "l2", "squared", "distance", "byol"),
        "redundancy": ("barlow", "vicreg", "covariance", "correlation", "variance", "whiten"),
        "clustering": ("swapped", "prototype", "cluster", "assignment", "sinkhorn", "words"),
        "reconstruction": ("reconstruct", "pixel", "masked", "autoencod", "predict"),
        "cross-entropy": ("cross-entropy", "classif", "logistic", "cross entropy", "binary", "sigmoid"),
        "mutual information": ("mutual information", "mine", "jensen", "donsker", "kl"),
        "preference": ("preference", "dpo", "reward"),
    },
    "negatives": {
        "queue": ("queue",),
        "bank": ("bank", "memory", "stored"),
        "prototypes": ("prototype", "centre", "centroid"),
        "synthetic": ("synthetic",),
        "batch": (
            *("infonce", "nt-xent", "info-nce", "contrast", "supcon", "softmax", "nce", "triplet", "margin"),
            *("all pairs", "every pair", "pairs of the batch"),
        ),
    },
    "update": {
        "momentum": ("momentum", "target network", "teacher", "moving", "ema"),
        "clustering": ("cluster", "k-means", "mixture"),
        "frozen": ("frozen", "fixed", "pre-trained"),
        "in turns": ("in turns", "critic", "adversar"),
        "end-to-end": ("gradients only", "temperature"),
    },
    "head": {
        "prediction": ("predict",),
        "quantisation": ("prototype", "codebook", "quantis", "words"),
        "contextualisation": ("context", "attention", "recurrent", "pool", "transformer"),
        "projection": ("mlp", "project", "linear", "layer", "head"),
    },
}
"""Of every question its answers, each with the beginnings of words that speak of it."""

_READ = {
    "views": ("views",),
    "loss": ("loss",),
    "negatives": ("update", "loss", "head"),
    "update": ("update",),
    "head": ("head",),
}
REST = {"views": "other", "loss": "other", "negatives": "none", "update": "end-to-end", "head": "none"}
"""The answer where nothing else is said."""


def terms(entry: Entry) -> dict[str, tuple[str, ...]]:
    """The answers of a system to every question of :data:`TERMS`; empty for what has no parts.

    The first answer to ``negatives`` and ``update`` is the only one: a queue that holds a batch's keys is a queue.
    """
    if entry.parts is None:
        return {}
    parts = vars(entry.parts)
    found = {}
    for question, answers in TERMS.items():
        if question in entry.tags:
            said = entry.tags[question]
            found[question] = (said,) if isinstance(said, str) else tuple(said)
            continue
        text = " ".join(str(parts[name]).lower() for name in _READ[question])
        matching = [answer for answer, words in answers.items() if _beginning(words).search(text)]
        if question in ("negatives", "update"):
            matching = matching[:1]
        found[question] = tuple(matching) or (REST[question],)
    return found


@cache
def _beginning(words: tuple[str, ...]) -> re.Pattern[str]:
    """Finds a word that begins with one of these, and not what is inside another, as nce is in distance."""
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})")


def grouped(entries: Iterable[Entry], question: str) -> dict[str, list[Entry]]:
    """Systems by their answers to one question, the commonest answer first."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        for answer in terms(entry).get(question, ()):
            groups.setdefault(answer, []).append(entry)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def answers(question: str) -> list[str]:
    """What may be asked for: the answers of a question."""
    return [*dict.fromkeys([*TERMS[question], REST[question]])]
