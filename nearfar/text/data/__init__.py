"""Where sentences come from: text files, tables, lists, and a generated corpus whose meaning is known."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.text.data.sentences import Sentences
from nearfar.training import Data

__all__ = ["EMBEDDED", "Sentences", "load"]

EMBEDDED = {
    "grammar": "sentences from a grammar with synonyms, paraphrases and negation, meaning known",
    "grammar-entailment": "the same with entailed and contradicting partners, for supervised training",
}


def load(data: str | Path | Sequence[str] | Data | None = None, *, examples: int = 8000) -> Data:
    """Sentences from wherever they are.

    Args:
        data: a ``.txt`` file with a sentence per line, a ``.parquet``, ``.csv`` or ``.tsv`` table, a list of
            strings, or an embedded name; ``grammar`` when nothing is given. Of a table the column ``sentence``
            (or ``text``, ``anchor``, ``premise``) is read, with ``positive``/``entailment``,
            ``negative``/``contradiction`` and ``label`` where present.
        examples: number of sentences that embedded sets generate.
    """
    if isinstance(data, Data):
        return data
    if data is None or (isinstance(data, str) and data in EMBEDDED):
        return _grammar(str(data or "grammar"), examples)
    if not isinstance(data, str | Path):
        return Sentences([*data])
    path = Path(data)
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no file {path}, and no embedded data of that name; embedded are {', '.join(EMBEDDED)}"
        )
    if path.suffix in (".parquet", ".pq", ".csv", ".tsv"):
        return _table(path)
    return _lines(path)


def _lines(path: Path) -> Sentences:
    raw = path.read_bytes()
    text = raw.decode("utf-8", errors="replace")
    if "\ufffd" in text and b"\xef\xbf\xbd" not in raw:
        warnings.warn(f"{path} is not valid UTF-8 everywhere; unreadable bytes became U+FFFD")
    lines = [line.strip() for line in text.splitlines()]
    kept = [line for line in lines if line]
    if not kept:
        raise ValueError(f"{path} holds no sentence: every line is empty")
    return Sentences(kept, name=path.stem)


def _table(path: Path) -> Sentences:
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    if path.suffix in (".parquet", ".pq"):
        table = pq.read_table(path)
    else:
        table = csv.read_csv(path, parse_options=csv.ParseOptions(delimiter="\t" if path.suffix == ".tsv" else ","))
    columns: dict[str, Any] = {name.lower(): table.column(name).to_pylist() for name in table.column_names}

    def first(*names: str) -> Any:
        return next((columns[n] for n in names if n in columns), None)

    sentences = first("sentence", "text", "anchor", "premise", "sentence1")
    if sentences is None:
        raise ValueError(
            f"{path} has no column of sentences: its columns are {', '.join(columns)}; expected sentence, text, "
            "anchor or premise"
        )
    labels = first("label", "labels", "intent", "class")
    return Sentences(
        sentences,
        None if labels is None else np.asarray(labels),
        positives=first("positive", "entailment"),
        negatives=first("negative", "contradiction"),
        name=path.stem,
    )


def _grammar(name: str, examples: int) -> Sentences:
    from nearfar.text.data import grammar

    labelled, intents = grammar.intents(1200, seed=101)
    held_out = Sentences(
        labelled, intents, pairs=grammar.similarity_pairs(1000, seed=102), name="intents and similarity pairs"
    )
    if name == "grammar-entailment":
        anchors, positives, negatives = grammar.triplets(examples, seed=0)
        return Sentences(anchors, positives=positives, negatives=negatives, name=name, splits={"test": held_out})
    corpus = grammar.grammar_corpus(examples, seed=0)
    return Sentences(corpus.sentences, name=name, splits={"test": held_out})
