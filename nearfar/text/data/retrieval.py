"""Queries, passages and which passages answer which query: BEIR's folders, single files, and a generated set."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from nearfar.sources.fingerprint import digest_of
from nearfar.sources.tables import TABLES, Table, read_lines, read_table, suffix_of, why_no_text
from nearfar.text.data import grammar
from nearfar.text.data.sentences import Sentences
from nearfar.text.method import TextBatch
from nearfar.training import Data

__all__ = ["Passages", "Texts", "beir", "grammar_retrieval", "is_beir", "texts_of"]

IDS = ("_id", "id", "query_id", "doc_id", "docid", "pid", "qid")
TEXTS = ("text", "sentence", "query", "passage", "question", "content", "body", "positive")
NEAR_MISSES = 2
"""Passages of the generated set that say nearly what a query asks for, for each query."""


class Texts(NamedTuple):
    """Ids and texts, N of each."""

    ids: list[str]
    texts: list[str]


class Passages(Data):
    """Passages, and queries that some of them answer: what retrieval is measured on.

    Args:
        passages: N of them; they are the examples of this collection.
        queries: Q of them.
        relevance: ``query id -> {passage id: grade}``; a grade of 0 is no answer. Queries without one are not measured.
        name: what to call it.

    Raises:
        ValueError: an id that is there twice.
    """

    gives = TextBatch

    def __init__(
        self, passages: Texts, queries: Texts, relevance: Mapping[str, Mapping[str, float]], *, name: str = "passages"
    ) -> None:
        for what, found in (("passages", passages), ("queries", queries)):
            if len(set(found.ids)) < len(found.ids):
                raise ValueError(f"ids of {what} must all be different")
        self.passages, self.queries, self.relevance, self.name = passages, queries, relevance, name

    def __len__(self) -> int:
        return len(self.passages.texts)

    def batch(self, indices: np.ndarray) -> TextBatch:
        return TextBatch([self.passages.texts[i] for i in indices], torch.as_tensor(indices))

    @property
    def ids(self) -> np.ndarray:
        return np.asarray(self.passages.ids)

    def contents(self) -> Mapping[str, str]:
        return {
            "passages": digest_of([*self.passages]),
            "queries": digest_of([*self.queries]),
            "relevance": digest_of(sorted((q, d, g) for q, of in self.relevance.items() for d, g in of.items())),
        }


def texts_of(path: Path | str) -> Texts:
    """Ids and texts of a file: a table, where an id column is looked for, or a text file, whose lines are counted.

    Of a table with ``title`` and ``text`` both are read, the title first, as BEIR does. Rows without a text are left
    out with a warning.

    Raises:
        ValueError: no column of texts, no text at all, or an id that is there twice.
    """
    path = Path(path)
    table = read_table(path) if suffix_of(path) in TABLES else read_lines(path)
    texts = table.first(*TEXTS)
    if texts is None:
        raise ValueError(
            f"{path} has no column of texts: its columns are {', '.join(table.columns)}; expected {', '.join(TEXTS)}"
        )
    titles = table.columns.get("title")
    if titles is not None:
        texts = [f"{title or ''} {text or ''}".strip() for title, text in zip(titles, texts, strict=True)]
        table = Table({**table.columns, "text": texts}, table.places, table.bad)
    ids = table.first(*IDS)
    named = [str(row) for row in range(len(texts))] if ids is None else [str(value) for value in ids]
    kept = [row for row, text in enumerate(texts) if not why_no_text(text)]
    left = len(texts) - len(kept) + len(table.bad)
    if not kept:
        raise ValueError(f"{path} holds no text")
    if left:
        warnings.warn(f"of {path} {left:,} rows have no text that can be read and are left out", stacklevel=2)
    found = Texts([named[row] for row in kept], [texts[row] for row in kept])
    if len(set(found.ids)) < len(kept):
        twice = Counter(found.ids).most_common(1)[0][0]
        raise ValueError(f"{path} has the id {twice!r} more than once")
    return found


def is_beir(path: Path | str) -> bool:
    """Whether a folder is laid out as BEIR's data sets are."""
    return (Path(path) / "corpus.jsonl").is_file() and (Path(path) / "queries.jsonl").is_file()


def beir(folder: Path | str) -> Data:
    """A folder as BEIR's: ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<part>.tsv``.

    With ``qrels/train.tsv`` the collection is the pairs of a query and a passage that answers it (grade above 0), one
    for each line, and every passage may be mined; without it, all passages. Other parts are its held-out sets.

    Raises:
        ValueError: a file that cannot be used, or no judgements at all.
    """
    folder = Path(folder)
    passages, queries = texts_of(folder / "corpus.jsonl"), texts_of(folder / "queries.jsonl")
    files = sorted((folder / "qrels").glob("*.tsv"))
    if not files:
        raise ValueError(f"{folder} has no judgements: expected qrels/test.tsv and, to train on, qrels/train.tsv")
    parts = {file.stem: _judged(file, queries, passages) for file in files}
    train = parts.pop("train", None)
    asked = dict(zip(*queries, strict=True))
    splits: dict[str, Data] = {
        part: Passages(passages, _only(queries, relevance), relevance, name=f"{folder.name} {part}")
        for part, relevance in parts.items()
    }
    if train is None:
        return Sentences(passages.texts, name=folder.name, splits=splits)
    told = dict(zip(*passages, strict=True))
    pairs = [(asked[q], told[d]) for q, of in train.items() for d, grade in of.items() if grade > 0]
    if not pairs:
        raise ValueError(f"{folder}/qrels/train.tsv has no grade above 0, so there is no pair to learn from")
    first, second = ([*column] for column in zip(*pairs, strict=True))
    return Sentences(first, positives=second, corpus=passages.texts, name=folder.name, splits=splits)


def _judged(file: Path, queries: Texts, passages: Texts) -> dict[str, dict[str, float]]:
    """Grades by ids; those of texts that are not there are left out with a warning."""
    table = read_table(file)
    asked, told = table.first("query-id", "query_id", "qid"), table.first("corpus-id", "corpus_id", "doc_id", "docid")
    grades = table.first("score", "grade", "relevance")
    if asked is None or told is None or grades is None:
        raise ValueError(
            f"{file} has the columns {', '.join(table.columns)}; expected query-id, corpus-id and score in its first "
            "line"
        )
    known = set(queries.ids), set(passages.ids)
    found: dict[str, dict[str, float]] = {}
    unknown = 0
    for place, query, passage, grade in zip(table.places, asked, told, grades, strict=True):
        try:
            value = float(grade)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{file}, {place}: {grade!r} is no grade; expected a number") from error
        if str(query) in known[0] and str(passage) in known[1]:
            found.setdefault(str(query), {})[str(passage)] = max(value, 0.0)
        else:
            unknown += 1
    if unknown:
        warnings.warn(f"{unknown:,} lines of {file} name a query or a passage that is not there", stacklevel=2)
    if not found:
        raise ValueError(f"{file} judges no query and passage that are there")
    return found


def _only(queries: Texts, relevance: Mapping[str, Any]) -> Texts:
    rows = [row for row, name in enumerate(queries.ids) if name in relevance]
    return Texts([queries.ids[row] for row in rows], [queries.texts[row] for row in rows])


def grammar_retrieval(count: int, seed: int = 0, *, said: int = 4) -> tuple[Sentences, Passages]:
    """Queries with one labelled answer each, in a corpus where as many others are right and nobody says so.

    A meaning is said ``said + 1`` times in other words: once as the query, once as its labelled answer, and the rest
    lies in the corpus unlabelled, as real collections have it. Near misses differ in one respect: whether it happened
    at all, or who did it.

    Returns:
        Pairs to learn from, whose ``corpus`` is all passages, and the same with what is really relevant.
    """
    slots = grammar.grammar_corpus(count, seed=seed).slots
    versions = [grammar.verbalize(slots, seed=seed * 100 + number) for number in range(said + 1)]
    denied, other = slots.copy(), slots.copy()
    denied[:, -1] ^= 1
    other[:, 0] = np.roll(other[:, 0], 1)
    misses = [grammar.verbalize(near, seed=seed) for near in (denied, other)][:NEAR_MISSES]
    texts = [text for column in (*versions[1:], *misses) for text in column]
    passages = Texts([f"p{row}" for row in range(len(texts))], texts)
    queries = Texts([f"q{row}" for row in range(count)], versions[0])
    relevance = {f"q{row}": {f"p{number * count + row}": 1.0 for number in range(said)} for row in range(count)}
    pairs = Sentences(versions[0], positives=versions[1], corpus=texts, name="grammar-retrieval")
    return pairs, Passages(passages, queries, relevance, name="generated passages")


def positive_rows(queries: Sequence[str], positives: Sequence[str], corpus: Sequence[str]) -> list[list[int]]:
    """For each query the rows of the corpus that hold a positive of it, or the text of one, or of the query itself."""
    places: dict[str, list[int]] = {}
    for row, text in enumerate(corpus):
        places.setdefault(text, []).append(row)
    own: dict[str, dict[int, None]] = {}
    for query, positive in zip(queries, positives, strict=True):
        own.setdefault(query, {}).update(dict.fromkeys([*places[positive], *places.get(query, ())]))
    return [[*own[query]] for query in queries]


def made(examples: int) -> Sentences:
    """Generated pairs and their corpus; passages of other queries are held out as ``test``."""
    pairs, _ = grammar_retrieval(examples)
    _, asked = grammar_retrieval(min(max(examples // 4, 10), 500), seed=1)
    return Sentences(
        pairs.sentences, positives=pairs.positives, corpus=pairs.corpus, name=pairs.name, splits={"test": asked}
    )
