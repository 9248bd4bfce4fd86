"""What a generator writes for the sources of a collection, and how far it is what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.text.overlap import bleu
from nearfar.training import Data


def written(method: Any, data: Data) -> Iterator[dict[str, Any]]:
    """What ``method.write`` makes of each source of the held-out part, or of everything.

    Yields:
        ``id``, ``source``, ``text`` and, where it is known, ``target``.
    """
    held = data.splits().get("test", data)
    for rows, batch in in_order(held, 32):
        with method.frozen():
            texts = method.write(batch.sentences)
        targets = batch.positives or [None] * len(texts)
        for row, text, source, target in zip(rows.tolist(), texts, batch.sentences, targets, strict=True):
            yield {"id": row, "source": source, "text": text, **({} if target is None else {"target": target})}


def writing_scores(made: Sequence[Mapping[str, Any]], data: Data) -> Scores:
    """``bleu`` of words, ``exact``: the share of texts that are their target, and ``words``: how long they are.

    Args:
        made: what :func:`written` gave of ``data``.

    Raises:
        ValueError: there are no targets.
    """
    if "target" not in made[0]:
        raise ValueError(f"{data.name} has no targets to compare with; give a table of source and target")
    texts, targets = [row["text"] for row in made], [row["target"] for row in made]
    scores = Scores(neither=["words"])
    scores["bleu"] = bleu(texts, targets)
    scores["exact"] = sum(a == b for a, b in zip(texts, targets, strict=True)) / len(texts)
    scores["words"] = sum(len(text.split()) for text in texts) / len(texts)
    return scores
