"""Where sentences come from: text files, tables, lists, and a generated corpus whose meaning is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import TABLES, Table, labels_of, read_lines, read_table, why_no_text
from nearfar.text.data.sentences import Sentences
from nearfar.training import Data

__all__ = ["EMBEDDED", "Sentences", "load"]

COLUMNS = ("sentence", "text", "anchor", "premise", "sentence1")
POSITIVES, NEGATIVES = ("positive", "entailment"), ("negative", "contradiction")

EMBEDDED = {
    "grammar": "sentences from a grammar with synonyms, paraphrases and negation, meaning known",
    "grammar-entailment": "the same with entailed and contradicting partners, for supervised training",
}


def load(
    data: str | Path | Sequence[str] | Data | None = None,
    *,
    examples: int = 8000,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """Sentences from wherever they are.

    Args:
        data: a ``.txt`` file with a sentence per line, a ``.parquet``, ``.csv``, ``.tsv``, ``.json`` or ``.jsonl``
            table, a list of strings, or an embedded name; ``grammar`` when nothing is given. Of a table the column
            ``sentence`` (or ``text``, ``anchor``, ``premise``) is read, with ``positive``/``entailment``,
            ``negative``/``contradiction`` and ``label`` where present.
        examples: number of sentences that embedded sets generate.
        strict: stop at the first line or row that cannot be used, instead of leaving it out and listing it. Empty
            lines are no sentences and count nowhere; equal sentences are kept.
        max_bad: largest share of lines or rows that may be unusable, in [0, 1]; more stop the run.
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
    table = _sentences(path) if path.suffix.lower() in TABLES else read_lines(path)
    skipped = Skipped(len(table.places) + len(table.bad), strict=strict, max_bad=max_bad, kind="sentences")
    skipped.set_aside(table.bad, str(path))
    if not table.places:
        raise ValueError(f"{path} holds no sentence: {': '.join(table.bad[0]) if table.bad else 'every line is empty'}")
    sentences = table.first(*COLUMNS)
    assert sentences is not None
    return Sentences(
        sentences,
        labels_of(table.first("label", "labels", "intent", "class")),
        positives=table.first(*POSITIVES),
        negatives=table.first(*NEGATIVES),
        name=path.stem,
        skipped=skipped,
    )


def _sentences(path: Path) -> Table:
    """The rows of a table that have a sentence, and partners where the table has them."""
    table = read_table(path)
    sentences = table.first(*COLUMNS)
    if sentences is None:
        raise ValueError(
            f"{path} has no column of sentences: its columns are {', '.join(table.columns)}; expected sentence, text, "
            "anchor or premise"
        )
    texts = [column for column in (sentences, table.first(*POSITIVES), table.first(*NEGATIVES)) if column is not None]
    return table.without(lambda row: next(filter(None, (why_no_text(column[row]) for column in texts)), ""))


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
