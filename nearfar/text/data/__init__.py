"""Where sentences come from: text files, tables, lists, and a generated corpus whose meaning is known."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.sources.opening import nothing_there
from nearfar.sources.splits import by_split, split_of_file
from nearfar.sources.tables import (
    TABLES,
    Table,
    labels_of,
    read_lines,
    read_tables,
    read_text_file,
    suffix_of,
    why_no_text,
)
from nearfar.text.data.kinds import KINDS, made, of_table
from nearfar.text.data.lists import lists_of
from nearfar.text.data.retrieval import beir, is_beir
from nearfar.text.data.sentences import Sentences
from nearfar.training import Data

__all__ = ["EMBEDDED", "Sentences", "load"]

COLUMNS = (
    *("sentence", "text", "anchor", "premise", "sentence1", "sent0", "s1", "query", "question", "review", "content"),
    *("body", "utterance", "comment", "tweet", "abstract", "description", "title"),
)
POSITIVES = ("positive", "entailment", "sent1", "pos", "answer")
NEGATIVES = ("negative", "contradiction", "hard_neg", "neg", "negative_0", "negative_1")
_NUMBERED = re.compile(r"(negative|neg)_\d+")
SECONDS = ("sentence2", "s2", "hypothesis")
SCORES = ("score", "similarity", "gold", "similarity_score", "gold_score", "relatedness_score")
LABELS = ("label", "labels", "intent", "class", "category", "topic")

EMBEDDED = {
    "grammar": "sentences from a grammar with synonyms, paraphrases and negation, meaning known",
    "grammar-entailment": "the same with entailed and contradicting partners, for supervised training",
    "grammar-pairs": "pairs of such sentences, scored from 0 to 1 by the meaning that they share",
    **{name: kind.about for name, kind in KINDS.items()},
}


def load(
    data: str | Path | Sequence[str] | Data | None = None,
    *,
    examples: int = 8000,
    text_column: str | None = None,
    pair_column: str | None = None,
    score_column: str | None = None,
    label_column: str | None = None,
    scored_pairs: bool = False,
    lists: bool = False,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """Sentences from wherever they are.

    Args:
        data: a ``.txt`` file with a sentence per line; a ``.parquet``, ``.csv``, ``.tsv``, ``.json`` or ``.jsonl``
            table (all but the first may be packed, ``.gz``); a folder, of which every ``.txt`` file is one text,
            labelled by the folder that it lies in, or of which tables and text files named ``train``, ``test`` and so
            on are those parts (:mod:`nearfar.sources.splits`), several files of a part being one table
            (``train-00000-of-00004.parquet``), or of nothing but tables, which are one then, or that holds queries,
            passages and judgements as BEIR's do (:func:`nearfar.text.data.retrieval.beir`); a list of strings, or a
            mapping or data frame of columns; or an embedded name, ``grammar`` when nothing is given. Of a table the
            column ``sentence`` (or ``text``, ``anchor``, ``premise``, ``query``, ``question``, ``review``, ``content``,
            ``title``) is read, with ``positive``/``entailment``, ``negative``/``contradiction`` and ``label``
            (``intent``, ``class``, ``category``) where present; further hard negatives of a row are ``negative_1``,
            ``negative_2`` and so on. ``sentence1`` and ``sentence2`` are both sentences; with a ``score`` they are
            pairs for evaluation too. Tables of ``source`` and ``target`` are what is read and what is to be written of
            it.
        examples: number of sentences that embedded sets generate.
        text_column: the column of sentences, if not one of those.
        pair_column: the column of second sentences, if not ``sentence2`` or the like.
        score_column: the column of how alike the two are, if not ``score`` or the like.
        label_column: the column of labels, if not one of those.
        scored_pairs: keep ``sentence1``, ``sentence2`` and ``score`` together as pairs to train on, which regression
            and ordering of judgements need, instead of taking every sentence by itself. A ``score`` beside
            ``positive`` is that of the sentence and its positive, and ``negative`` is kept.
        lists: keep each row of a table as a list: a ``query`` with its passages, right ones (``positive``) and wrong
            ones (``negative``), several of either in further columns or, in ``.jsonl``, as lists of texts.
        strict: stop at the first line or row that cannot be used, instead of leaving it out and listing it. Empty
            lines are no sentences and count nowhere. Equal sentences are kept, and kept apart in training: as far from
            one another in each epoch as their number allows.
        max_bad: largest share of lines or rows that may be unusable, in [0, 1]; more stop the run.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, str) and data in KINDS:
        return made(data, examples)
    if data is None or (isinstance(data, str) and data in EMBEDDED):
        return _grammar(str(data or "grammar"), examples)
    wanted = {"text": text_column, "label": label_column, "second": pair_column, "score": score_column}
    wanted["scored"] = "score" if scored_pairs else None
    wanted["lists"] = "lists" if lists else None
    checks: dict[str, Any] = {"strict": strict, "max_bad": max_bad}
    if isinstance(data, Mapping) or hasattr(data, "to_dict"):
        columns = data if isinstance(data, Mapping) else data.to_dict("list")
        return _from_table(_memory_table(columns), "the table", "table", wanted, {}, **checks)
    if not isinstance(data, str | Path):
        return Sentences(_listed(data))
    path = Path(data)
    if not path.exists():
        raise nothing_there(path, EMBEDDED)
    if not path.is_dir():
        return _file([path], wanted, {}, **checks)
    if is_beir(path):
        return beir(path)
    files = [p for p in sorted(path.iterdir()) if p.is_file() and suffix_of(p) in (*TABLES, ".txt")]
    parts, _ = by_split(files, lambda p: split_of_file(p.relative_to(path)))
    tables = [p for p in files if suffix_of(p) in TABLES]
    if not parts and tables and len(tables) == len(files):
        parts = {"train": tables}
    if parts:
        held = {name: _file(of, wanted, {}, **checks) for name, of in parts.items() if name != "train"}
        return _file(parts["train"], wanted, held, **checks)
    return _texts(path, **checks)


def _listed(data: Any) -> list[str]:
    try:
        found = [*data]
    except TypeError as error:
        raise TypeError(
            f"sentences are a list of strings, a path, or a table of columns; got {type(data).__name__}"
        ) from error
    return [str(each) if isinstance(each, np.str_) else each for each in found]


def _memory_table(columns: Mapping[str, Any]) -> Table:
    named = {str(name).lower(): [*values] for name, values in columns.items()}
    lengths = {len(values) for values in named.values()}
    if len(lengths) != 1:
        raise ValueError(f"the columns of a table must be of one length, got {sorted(lengths)}")
    return Table(named, [f"row {row}" for row in range(lengths.pop())], [])


def _file(paths: Sequence[Path], wanted: Mapping[str, str | None], splits: Mapping[str, Data], **checks: Any) -> Data:
    """The files of one part: shards of a table, or the first of other kinds."""
    path = paths[0]
    table = read_tables(paths) if suffix_of(path) in TABLES else read_lines(path)
    return _from_table(table, str(path), path.stem, wanted, splits, **checks)


def _texts(folder: Path, **checks: Any) -> Data:
    """Every ``.txt`` file below a folder as one text, labelled by the folder it lies in where there are several."""
    paths = sorted(p for p in folder.rglob("*.txt") if not any(part.startswith(".") for part in p.parts))
    if not paths:
        raise ValueError(f"{folder} holds no .txt files, and no tables named train; those are read of a folder")
    texts, labels, places, bad = [], [], [], []
    for path in paths:
        name = str(path.relative_to(folder))
        try:
            text = read_text_file(path).decode("utf-8-sig").strip()
            reason = why_no_text(text)
        except (UnicodeDecodeError, ValueError, OSError) as error:
            text, reason = "", f"it cannot be read: {error}"
        if reason:
            bad.append((name, reason))
        else:
            places.append(name)
            texts.append(text)
            labels.append(str(path.parent.relative_to(folder)))
    columns = {"sentence": texts, **({"label": labels} if len(set(labels)) > 1 else {})}
    return _from_table(Table(columns, places, bad), str(folder), folder.name, {}, {}, **checks)


def _from_table(
    table: Table, where: str, name: str, wanted: Mapping[str, str | None], splits: Mapping[str, Data], **checks: Any
) -> Data:
    """The rows of a table that have a sentence, with partners, scores and labels where the table has them.

    Tables of more than sentences are read as what their columns say; see :mod:`nearfar.text.data.kinds`."""
    if not wanted.get("text") and (found := of_table(table, where, name, splits, checks)) is not None:
        return found
    if wanted.get("lists"):
        return lists_of(table, where, name, splits, **checks)
    read = {
        "sentence": _column(table, wanted.get("text"), COLUMNS, where),
        "label": _column(table, wanted.get("label"), LABELS, where),
        "positive": _column(table, None, POSITIVES, where),
        "negative": _column(table, None, NEGATIVES, where),
        "second": _column(table, wanted.get("second"), SECONDS, where),
        "score": _column(table, wanted.get("score"), SCORES, where),
    }
    if read["sentence"] is None:
        raise ValueError(
            f"{where} has no column of sentences: its columns are {', '.join(table.columns)}; expected "
            f"{', '.join(COLUMNS)}, or --text-column"
        )
    texts = [table.columns[c] for part, c in read.items() if c is not None and part not in ("label", "score")]
    texts += [table.columns[c] for c in _numbered_negatives(table, read["negative"])]
    table = table.without(lambda row: next(filter(None, (why_no_text(column[row]) for column in texts)), ""))
    skipped = table.set_aside(where, kind="sentences", nothing="sentence", **checks)
    negatives = _numbered_negatives(table, read["negative"])
    left = [column for column in table.columns if column not in (*read.values(), *negatives)]
    taken = ", ".join(f"{column} as {part}" for part, column in read.items() if column)
    if left and len(table.columns) > 1:
        warnings.warn(f"of {where} are read {taken}; left out are {', '.join(left)}", stacklevel=4)
    said = f"columns: {taken}" if table.columns.keys() != {"sentence"} else ""

    def values(part: str) -> list[Any] | None:
        column = read[part]
        return None if column is None else table.columns[column]

    sentences, seconds, labels = values("sentence") or [], values("second"), labels_of(values("label"))
    pairs = None
    if wanted.get("scored"):
        gold, others = _numbers(values("score")), seconds or values("positive")
        if others is None or gold is None:
            raise ValueError(
                f"{where} has no scored pairs: those are sentence1, sentence2 and a score that is a number in every "
                f"row; its columns are {', '.join(table.columns)}"
            )
        contradicted = values("negative") if seconds is None else None
        judged: dict[str, Any] = {"scored": (others, gold), "pairs": (sentences, others, gold)}
        scored = Sentences(sentences, negatives=contradicted, **judged, name=name, splits=splits, skipped=skipped)
        scored.taken = said
        return scored
    if seconds is not None:
        pairs = (sentences, seconds, gold) if (gold := _numbers(values("score"))) is not None else None
        use = "pairs with scores, for evaluation, and both" if pairs else "both"
        warnings.warn(f"{where} holds two columns of sentences: {use} are sentences to train on", stacklevel=4)
        sentences = [*dict.fromkeys([*sentences, *seconds])]
        labels = None
    found = Sentences(
        sentences,
        labels,
        positives=None if seconds is not None else values("positive"),
        negatives=None if seconds is not None else values("negative"),
        more_negatives=() if seconds is not None else [table.columns[column] for column in negatives],
        pairs=pairs,
        name=name,
        splits=splits,
        skipped=skipped,
    )
    found.taken = said
    return found


def _column(table: Table, wanted: str | None, usual: Sequence[str], where: str) -> str | None:
    """The name of the column that is asked for, or of the first usual one."""
    if wanted is None:
        return next((name for name in usual if name in table.columns), None)
    return table.named(wanted, where)


def _numbered_negatives(table: Table, first: str | None) -> list[str]:
    """The columns of further hard negatives, by their number; none without a first."""
    found = {} if first is None else {name: _NUMBERED.fullmatch(name) for name in table.columns if name != first}
    return sorted((name for name, match in found.items() if match), key=lambda name: int(name.rpartition("_")[2]))


def _numbers(values: Sequence[Any] | None) -> np.ndarray | None:
    """Gold similarities; ``None`` where there are none, or something else stands in the column."""
    try:
        found = None if values is None else np.array([float(value) for value in values])
    except (TypeError, ValueError):
        return None
    return found if found is not None and np.isfinite(found).all() else None


def _grammar(name: str, examples: int) -> Sentences:
    from nearfar.text.data import grammar

    labelled, intents = grammar.intents(1200, seed=101)
    held_out = Sentences(
        labelled, intents, pairs=grammar.similarity_pairs(1000, seed=102), name="intents and similarity pairs"
    )
    if name == "grammar-entailment":
        anchors, positives, negatives = grammar.triplets(examples, seed=0)
        return Sentences(anchors, positives=positives, negatives=negatives, name=name, splits={"test": held_out})
    if name == "grammar-pairs":
        first, second, gold = grammar.similarity_pairs(examples, seed=0)
        return Sentences(first, scored=(second, gold / 5), name=name, splits={"test": held_out})
    corpus = grammar.grammar_corpus(examples, seed=0)
    return Sentences(corpus.sentences, name=name, splits={"test": held_out})
