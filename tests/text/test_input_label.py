"""Texts and labels as texts: candidates, matchers, both objectives, tables, and labels that were never trained on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import losses
from nearfar.reproductions.arms import build, train
from nearfar.text.data import Sentences, load
from nearfar.text.data.named import Named, made
from nearfar.text.labels_as_texts import LabelMatcher, pseudo_labels
from tests.losses.registry import draw


def test_words_are_said_of_their_own_sentences_only() -> None:
    texts = ["The dog chased a red ball", "the cat slept", "a dog and the red cat", "the"]
    found = pseudo_labels(texts, [1, 2, 3, 4], positives=2, negatives=2)
    spoken = [set(text.lower().split()) for text in texts]
    assert found.positive.sum(1).tolist() == [2, 2, 2, 1]
    for row, words in enumerate(spoken):
        for column, word in enumerate(found.texts):
            assert bool(found.negative[row, column]) == (word not in words)
            assert not found.positive[row, column] or word in words
    assert found.texts.count("the") == 1
    assert "a" not in found.texts
    again = pseudo_labels(texts, [1, 2, 3, 4], positives=2, negatives=2)
    assert again.texts == found.texts
    few = pseudo_labels(["one two three"], [0], positives=1, negatives=0)
    assert len(few.texts) == 1
    texts = ["rare one"] + ["common two"] * 9
    counts = {
        power: Counter(
            word
            for seed in range(60)
            for word in pseudo_labels(
                ["other", *texts], [seed, *range(10)], positives=1, negatives=1, power=power
            ).texts
        )
        for power in (0.0, 3.0)
    }
    assert counts[0.0]["other"] == counts[3.0]["other"] == 60


@pytest.mark.parametrize("matching", ["cosine", "bilinear", "mlp"])
def test_matchers_score_every_pair(matching: str) -> None:
    matcher = LabelMatcher(6, matching).double()  # type: ignore[arg-type]
    texts, labels = draw(4, 6), draw(3, 6, seed=1)
    found = matcher(texts, labels)
    assert found.shape == (4, 3)
    torch.testing.assert_close(matcher(texts[2:3], labels[1:2])[0, 0], found[2, 1])
    if matching == "cosine":
        cosines = torch.nn.functional.cosine_similarity(texts[:, None], labels[None], dim=2)
        torch.testing.assert_close(found, 10 * cosines - 10)
    with pytest.raises(ValueError, match="matching must be one of cosine, bilinear, mlp"):
        LabelMatcher(6, "sum")  # type: ignore[arg-type]


def test_objectives_ignore_what_is_neither_and_refuse_what_is_both() -> None:
    scores = draw(2, 3).requires_grad_()
    right = torch.tensor([[True, False, False], [False, False, False]])
    wrong = torch.tensor([[False, True, False], [False, False, False]])
    ranked = losses.ranking_nce(scores, right, wrong)
    expected = torch.nn.functional.cross_entropy(scores[:1, :2], torch.tensor([0]))
    torch.testing.assert_close(ranked, expected)
    for value in (ranked, losses.binary_nce(scores, right, wrong)):
        (gradient,) = torch.autograd.grad(value, scores)
        assert gradient[0, :2].all()
        assert not gradient[0, 2]
        assert not gradient[1].any()
    none = torch.zeros(2, 3, dtype=torch.bool)
    assert losses.binary_nce(scores, none, none) == losses.ranking_nce(scores, none, wrong) == 0
    with pytest.raises(ValueError, match="positive and negative of the same"):
        losses.ranking_nce(scores, right, right)
    with pytest.raises(TypeError, match="positive must be a boolean tensor"):
        losses.binary_nce(scores, right.long(), wrong)
    with pytest.raises(ValueError, match="log_expected must have shape"):
        losses.ranking_nce(scores, right, wrong, log_expected=torch.zeros(2, dtype=torch.float64))


def test_it_learns_labels_and_tells_ones_it_never_saw() -> None:
    """Labels share no word with their texts, and those held back are made of words of others."""
    acts = {"sell": "trade", "buy": "acquire", "see": "watch"}
    things = {"cars": "vehicles", "boats": "ships", "hats": "headwear"}
    rows = [(a, t, f"{a} the {q} {t}") for a in acts for t in things for q in ("old", "new", "red")]
    texts = [text for *_, text in rows]
    names = [f"{acts[a]} {things[t]}" for a, t, _ in rows]
    held = ("trade headwear", "acquire vehicles", "watch ships")
    data = Named(texts, ["" if n in held else n for n in names], every=sorted(set(names)))
    method = build("nlp-primer", data, 0, dropout=0.0, words_weight=0.1)
    whole = Named(texts, names)
    before = method.evaluate(whole)
    train("nlp-primer", method, data, 0, steps=16, batch_size=27)
    after = method.evaluate(whole)
    assert before["accuracy"] < 0.4
    assert after["accuracy"] > before["accuracy"] + 0.2
    assert method.evaluate(Named(texts, [n if n in held else "" for n in names]))["mrr"] > 0.4
    assert method.predict(data.batch(np.arange(2)))[0] in names
    head = build("nlp-primer", data, 0, labels="free", words_weight=0.0, objective="ranking")
    assert head.label_vectors().shape == (9, 128)
    terms = head.loss(head.views(data.batch(np.arange(18))))
    assert terms["words"] == 0 < terms["names"]
    with torch.no_grad():
        for p in method.parameters():
            p.zero_()
    assert method.evaluate(whole)["accuracy"] == 0


def test_tables_and_errors(tmp_path: Path) -> None:
    path = tmp_path / "n.csv"
    path.write_text("sentence,label_text\n" + "buy a car,buy cars\nsell it,\n" * 3)
    data = load(path)
    assert isinstance(data, Named)
    assert data.facts["names"] == ["buy cars"]
    assert data.batch(np.array([0, 1])).names == ["buy cars", ""]
    path.write_text("sentence,label_text\na b,\n")
    with pytest.raises(ValueError, match="every cell of label_text is empty"):
        load(path)
    plain = Sentences(["a b", "c d"])
    method = build("nlp-primer", plain, 0)
    assert method.loss(method.views(plain.batch(np.arange(2))))["words"] > 0
    with pytest.raises(ValueError, match="no label is known"):
        method.predict(["a"])
    with pytest.raises(TypeError, match="has no labels that are texts"):
        method.evaluate(plain)
    with pytest.raises(ValueError, match="positives must be at least 1"):
        build("nlp-primer", plain, 0, positives=0)
    with pytest.raises(ValueError, match="labels must be one of read, free"):
        build("nlp-primer", plain, 0, labels="none")
    held = made(80).splits()["test"]
    assert set(held.facts["names"]) == set(made(80).facts["names"])
    assert sum(name != "" for name in made(80).names) == 2
