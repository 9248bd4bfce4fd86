"""What a language model is asked about the nodes of a graph of texts, and what its answers say: GAugLLM's prompts.

The questions are the paper's in other words: what a text is about, from itself (IDR); a summary with its neighbours in
mind (SAS); what it is about with them in mind (SAR); and of two texts whether they are connected.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearfar.encoders.language_models import Answering, LanguageModel
from nearfar.graph.data.text_graph import candidates
from nearfar.sources.words import text_vectors

__all__ = ["Asking", "described", "verdicts"]

FIELDS = {
    "explain": ("text", "classes"),
    "summarise": ("text", "neighbours"),
    "explain_around": ("text", "neighbours", "classes"),
    "connect": ("first", "second"),
}


@dataclass(frozen=True)
class Asking:
    """The questions, with the places that are filled in braces.

    Args:
        explain: what a text is about; ``{text}`` and ``{classes}``.
        summarise: ``{text}`` and ``{neighbours}``.
        explain_around: ``{text}``, ``{neighbours}`` and ``{classes}``.
        connect: whether ``{first}`` and ``{second}`` are connected; the answer begins with yes or no.
        neighbours: how many neighbours' texts are shown, at least 1.
        characters: of each text that are shown, at least 20.
        answering: how answers are drawn.
    """

    explain: str = (
        "Text: {text}\nWhich of these is it about: {classes}? Name the likeliest and explain in two sentences why."
    )
    summarise: str = (
        "Text: {text}\nTexts that it is connected with:\n{neighbours}\n"
        "Summarise the first text in three sentences, in the light of the others."
    )
    explain_around: str = (
        "Text: {text}\nTexts that it is connected with:\n{neighbours}\nWhich of these is the first text about: "
        "{classes}? Name the likeliest and explain in two sentences why, in the light of the others."
    )
    connect: str = "First text: {first}\nSecond text: {second}\nAre the two likely to be connected? Answer yes or no."
    neighbours: int = 5
    characters: int = 1500
    answering: Answering = Answering(temperature=0.0, most=200)

    def __post_init__(self) -> None:
        for name, fields in FIELDS.items():
            missing = [field for field in fields if f"{{{field}}}" not in getattr(self, name)]
            if missing:
                raise ValueError(f"asking.{name} must hold {{{missing[0]}}}, got {getattr(self, name)!r}")
        if self.neighbours < 1 or self.characters < 20:
            raise ValueError(
                f"asking.neighbours is at least 1 and asking.characters at least 20, got {self.neighbours} and "
                f"{self.characters}"
            )


def described(
    model: LanguageModel,
    texts: Sequence[str],
    edge_index: np.ndarray,
    classes: Sequence[str],
    how: Asking = Asking(),
    *,
    seed: int = 0,
) -> np.ndarray:
    """(N, 4) texts of each node: as it is, explained, summarised among its neighbours, explained among them.

    Args:
        model: who is asked; three questions a node.
        texts: N of them.
        edge_index: (2, E), both directions.
        classes: names that texts may be about, at least one; known for the whole graph, not for a node.
        how: the questions.
        seed: of the answers, and of which neighbours are shown.
    """
    if not classes:
        raise ValueError("name the classes that texts may be about; at least one is needed")
    rng = np.random.default_rng(seed)
    short = [text[: how.characters] for text in texts]
    named = ", ".join(classes)
    order = np.argsort(edge_index[0], kind="stable")
    near = np.split(edge_index[1][order], np.searchsorted(edge_index[0][order], np.arange(1, len(texts))))
    shown = [rng.permutation(each)[: how.neighbours] for each in near]
    around = ["\n".join(f"- {short[other]}" for other in each) or "- none" for each in shown]
    asked = [
        *(_filled(how.explain, text=text, classes=named) for text in short),
        *(_filled(how.summarise, text=t, neighbours=a) for t, a in zip(short, around, strict=True)),
        *(_filled(how.explain_around, text=t, neighbours=a, classes=named) for t, a in zip(short, around, strict=True)),
    ]
    answers = model.answers(asked, how.answering, seed=seed)
    return np.array([list(texts), *(answers[part * len(texts) :][: len(texts)] for part in range(3))]).T


def verdicts(
    model: LanguageModel, texts: Sequence[str], edge_index: np.ndarray, how: Asking = Asking(), *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Removable and addable pairs (3, E) with what the model says of them, 1 for connected.

    Asked is of each node and up to ten of its least similar neighbours, and up to ten of the most similar other nodes.
    An answer that is neither yes nor no leaves things as they are: a neighbour connected, another node not.
    """
    short = [text[: how.characters] for text in texts]
    found = []
    for pairs, otherwise in zip(candidates(text_vectors(texts), edge_index), (1, 0), strict=True):
        asked = [_filled(how.connect, first=short[a], second=short[b]) for a, b in pairs.T]
        said = [_verdict(answer, otherwise) for answer in model.answers(asked, how.answering, seed=seed)]
        found.append(np.concatenate([pairs, np.array(said, dtype=np.int64)[None]]))
    return found[0], found[1]


def _filled(question: str, **fields: str) -> str:
    """A question with its places filled; braces in what fills them stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda place: fields.get(place[1], place[0]), question)


def _verdict(answer: str, otherwise: int) -> int:
    word = re.match(r"\W*(yes|no)\b", answer, re.IGNORECASE)
    return otherwise if word is None else int(word[1].lower() == "yes")
