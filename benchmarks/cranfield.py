"""Retrieval on Cranfield by a run that never saw its queries, beside BM25: ``python benchmarks/cranfield.py``.

1,400 abstracts of aeronautics, 225 questions, judged by people; ``NEARFAR_DATA`` names the folder that holds
``cranfield``. The run is Sentence-BERT's ranking from random weights on a processor: a title, and each of an abstract's
first sentences, finds the rest of its abstract among those of the batch. Questions and judgements are read after
training alone. BM25 has k1 = 1.2 and b = 0.75 and whole lower-cased words, neither stemmed nor stopped. The last line
is the sum of both scores, each scaled to unit spread per question, which is not tuned either.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from nearfar.evaluation import retrieval
from nearfar.text.data.retrieval import Passages, Texts
from nearfar.text.data.sentences import Sentences
from nearfar.text.methods.sentence_bert import SentenceBERT
from nearfar.training import Optimization, Training, embed, fit

K1, B = 1.2, 0.75
_WORD = re.compile(r"\w+")


def cranfield() -> Passages:
    """Abstracts that have words, the questions, and which answer them: grades 1 to 3 (4 is of minimum interest)."""
    folder = Path(os.environ["NEARFAR_DATA"]) / "cranfield"
    docs, queries, judged = (pd.read_parquet(folder / f"{name}.parquet") for name in ("docs", "queries", "qrels"))
    docs = docs[docs.text.str.strip().str.len() > 0]
    relevance: dict[str, dict[str, float]] = {}
    kept = set(docs.doc_id.astype(str))
    for query, doc, grade in judged.itertuples(index=False):
        if 1 <= grade <= 3 and str(doc) in kept:
            relevance.setdefault(str(query), {})[str(doc)] = 1.0
    passages = Texts([*docs.doc_id.astype(str)], [*docs.text])
    return Passages(passages, Texts([*queries.query_id.astype(str)], [*queries.text]), relevance, name="cranfield")


def pairs(texts: list[str], most: int = 5) -> Sentences:
    """Sentences of abstracts, the title first, and the rest of their abstract."""
    anchors, positives = [], []
    for text in texts:
        parts = [part.strip() for part in text.split(" . ") if len(part.split()) > 3]
        for place in range(min(len(parts), most) if len(parts) > 1 else 0):
            anchors.append(parts[place])
            positives.append(" . ".join(parts[:place] + parts[place + 1 :]))
    return Sentences(anchors, positives=positives, name="parts of abstracts")


def bm25(queries: list[str], texts: list[str]) -> np.ndarray:
    """Scores (Q, N) by Robertson's formula, with the logarithm of Lucene that is never negative."""
    read = [_WORD.findall(text.lower()) for text in texts]
    column = {word: number for number, word in enumerate({word for words in read for word in words})}
    counts = np.zeros((len(texts), len(column)), np.float32)
    for row, words in enumerate(read):
        np.add.at(counts[row], [column[word] for word in words], 1)
    lengths = counts.sum(1, keepdims=True)
    found = (counts > 0).sum(0)
    rarity = np.log1p((len(texts) - found + 0.5) / (found + 0.5))
    weights = rarity * counts * (K1 + 1) / (counts + K1 * (1 - B + B * lengths / lengths.mean()))
    scores = np.zeros((len(queries), len(texts)), np.float32)
    for row, query in enumerate(queries):
        asked = [column[word] for word in set(_WORD.findall(query.lower())) if word in column]
        scores[row] = weights[:, asked].sum(1)
    return scores


def scored(method: SentenceBERT, data: Passages) -> np.ndarray:
    passages, queries = (embed(method, Sentences(side.texts)).array for side in (data.passages, data.queries))
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, passages)]
    return unit[0] @ unit[1].T


def spread(scores: np.ndarray) -> np.ndarray:
    return (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)


def measured(scores: np.ndarray, data: Passages) -> dict[str, float]:
    ids = {"query_ids": data.queries.ids, "document_ids": [f"d{name}" for name in data.passages.ids]}
    relevance = {query: {f"d{doc}": grade for doc, grade in of.items()} for query, of in data.relevance.items()}
    found = retrieval(scores, relevance, ks=(10, 100), **ids)
    return {name: round(found[name], 4) for name in ("ndcg@10", "mrr@10", "recall@100", "map")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--encoder", default="tiny-bert")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = cranfield()
    torch.manual_seed(given.seed)
    method = SentenceBERT(
        given.encoder,
        max_length=96,
        optimization=Optimization("adam", lr=1e-3, weight_decay=0.0, schedule="linear", warmup=0.1),
    )
    found: dict[str, Any] = {"untrained": measured(scored(method, data), data)}
    learned = pairs(data.passages.texts)
    begun = time.process_time()
    fit(method, learned, Training(epochs=given.epochs, batch_size=64, seed=given.seed), progress=False)
    found["processor seconds"] = round(time.process_time() - begun)
    ours, theirs = scored(method, data), bm25(data.queries.texts, data.passages.texts)
    found["run"], found["bm25"] = measured(ours, data), measured(theirs, data)
    found["both"] = measured(spread(ours) + spread(theirs), data)
    print(json.dumps(found, indent=1))
    if given.json:
        settings = {"encoder": given.encoder, "epochs": given.epochs, "seed": given.seed, "pairs": len(learned)}
        given.json.write_text(json.dumps({**settings, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
