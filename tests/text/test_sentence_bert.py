"""Sentence-BERT: what each objective reads of a batch, and that it learns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar.reproductions.arms import build, train
from nearfar.text.data import Sentences, load
from nearfar.text.evaluation import evaluate


@pytest.fixture(scope="module")
def pairs() -> Sentences:
    found = load("grammar-pairs", examples=1500)
    assert isinstance(found, Sentences)
    return found


def test_every_hard_negative_is_a_candidate_of_every_anchor(tmp_path: Path) -> None:
    mined = [{f"negative_{k}": f"n{k}{i}" for k in (2, 1, 10)} for i in range(4)]
    rows = [{"query": f"q{i}", "positive": f"p{i}", **negatives} for i, negatives in enumerate(mined)]
    path = tmp_path / "mined.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    data = load(path)
    batch = data.batch(np.array([2, 0]))
    assert batch.negatives == ["n12", "n10"]
    assert batch.more_negatives == [["n22", "n20"], ["n102", "n100"]]
    method = build("sentence-bert", data, 0, dropout=0.0)
    views = method.views(batch)
    assert [len(column) for column in views.sentences] == [2] * 5
    with torch.no_grad():
        units = [torch.nn.functional.normalize(method.encoder(column)) for column in views.sentences]
        logits = 20 * units[0] @ torch.cat(units[1:]).t()
        expected = torch.nn.functional.cross_entropy(logits, torch.arange(2))
        torch.testing.assert_close(method.loss(views), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("objective", ["cosine", "cosent"])
def test_judgements_are_learned(objective: str, pairs: Sentences) -> None:
    method = build("sentence-bert", pairs, 0, objective=objective)
    before = evaluate(method.eval(), pairs)
    train("sentence-bert", method.train(), pairs, 0, steps=60)
    after = evaluate(method, pairs)
    assert after["sts test"] > before["sts test"] + 5
    assert after["effective_rank"] > 3


@pytest.mark.parametrize("objective", ["softmax", "triplet", "pair-margin", "online-pair-margin"])
def test_other_objectives_have_gradients(objective: str) -> None:
    if "margin" in objective:
        data = Sentences(["a b", "c d", "h i"], scored=(["a e", "f g", "h j"], np.array([1.0, 0.0, 0.0])))
    else:
        data = load("grammar-entailment", examples=40)
    method = build("sentence-bert", data, 0, objective=objective)
    value = method.loss(method.views(data.batch(np.arange(3))))
    value.backward()
    assert value > 0
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.encoder.parameters())


def test_what_an_objective_lacks_is_said(tmp_path: Path, pairs: Sentences) -> None:
    alone = load(["one", "two"]).batch(np.arange(2))
    with pytest.raises(ValueError, match="the objective ranking needs a positive for each sentence"):
        build("sentence-bert", pairs, 0).views(alone)
    with pytest.raises(ValueError, match="the objective cosent needs pairs with scores, and this data has none"):
        build("sentence-bert", pairs, 0, objective="cosent").views(alone)
    with pytest.raises(ValueError, match="needs a positive and a negative"):
        build("sentence-bert", pairs, 0, objective="triplet").views(alone._replace(positives=["a", "b"]))
    with pytest.raises(ValueError, match="objective must be one of ranking"):
        build("sentence-bert", pairs, 0, objective="mse")
    method = build("sentence-bert", pairs, 0, objective="softmax")
    with pytest.raises(ValueError, match="class numbers from 0 to 2 as scores"):
        method.loss(method.views(pairs.batch(np.arange(8))))
    path = tmp_path / "a.tsv"
    path.write_text("sentence1\tsentence2\tscore\nx\ty\t2.5\nz\tw\t0\n")
    found = load(path, scored_pairs=True).batch(np.array([1, 0]))
    assert (found.sentences, found.seconds, found.scores.tolist()) == (["z", "x"], ["w", "y"], [0, 2.5])
    path.write_text("sentence1\tsentence2\nx\ty\n")
    with pytest.raises(ValueError, match="has no scored pairs: those are sentence1, sentence2 and a score"):
        load(path, scored_pairs=True)
    with pytest.raises(ValueError, match="seconds has 1 entries for 2 sentences"):
        Sentences(["x", "y"], scored=(["z"], np.zeros(2)))
