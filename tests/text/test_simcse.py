"""Sentences: tokens, encoders, sources, and SimCSE."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from nearfar.encoders import TextEncoder, text_encoder
from nearfar.encoders.tokens import MASK, PADDING, START, HashTokenizer, Tokens
from nearfar.reproductions.arms import build, train
from nearfar.text.data import Sentences, load
from nearfar.text.evaluation import evaluate
from tests.parity import ParityCase, parity


@pytest.fixture(scope="module")
def corpus() -> Sentences:
    found = load(examples=2000)
    assert isinstance(found, Sentences)
    return found


def test_tokens_are_stable_padded_and_cut() -> None:
    tokenizer = HashTokenizer(buckets=100, max_length=5)
    tokens = tokenizer(["A dog barks.", "a DOG", "", "one two three four five six seven"])
    assert tokens.input_ids.shape == (4, 5)
    assert tokens.input_ids[0, 1] == tokens.input_ids[1, 1]
    assert (tokens.input_ids[:, 0] == START).all()
    assert tokens.attention_mask.sum(1).tolist() == [5, 3, 1, 5]
    assert (tokens.input_ids[tokens.attention_mask == 0] == PADDING).all()
    words = tokens.input_ids[:, 1:][tokens.attention_mask[:, 1:] == 1]
    assert words.min() > MASK
    assert words.max() < 100
    assert torch.equal(HashTokenizer(100, 5)(["a dog barks."]).input_ids, tokens.input_ids[:1])
    with pytest.raises(TypeError, match="expected sentences as strings, got a int"):
        tokenizer([3])  # type: ignore[list-item]


@pytest.mark.parametrize("pooling", ["cls", "avg", "avg_first_last", "avg_top2", "last_token"])
def test_padding_does_not_change_an_embedding(pooling: str) -> None:
    torch.manual_seed(0)
    encoder = text_encoder("tiny-bert", pooling=pooling).eval()  # type: ignore[arg-type]
    short, long = "a short one", "a much longer sentence that makes the batch wide"
    with torch.no_grad():
        alone, together = encoder([short]), encoder([short, long])
    assert torch.allclose(alone[0], together[0], atol=1e-5)


class Layers(torch.nn.Module):
    """A network whose layers said what they say."""

    def __init__(self, states: list[torch.Tensor]) -> None:
        super().__init__()
        self.states = states
        self.config = SimpleNamespace(hidden_size=states[0].shape[2])

    def forward(self, **given: Any) -> Any:
        return SimpleNamespace(last_hidden_state=self.states[-1], hidden_states=self.states)


@pytest.mark.parametrize("case", parity("simcse", "pooler"))
def test_pooling_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    layers = [a[f"in_hidden_{layer}"].detach() for layer in range(4)]
    tokens = Tokens(torch.zeros_like(a["in_mask"]), a["in_mask"])
    for name in ("cls_before_pooler", "avg", "avg_top2", "avg_first_last"):
        pooling = "cls" if name == "cls_before_pooler" else name
        encoder = TextEncoder(Layers(layers), HashTokenizer(), pooling=pooling)  # type: ignore[arg-type]
        torch.testing.assert_close(encoder(tokens), a[f"out_{name}"], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("pooling", ["avg_first_last", "avg_top2"])
def test_layers_are_mixed_alike_without_padding(pooling: str) -> None:
    torch.manual_seed(0)
    encoder = text_encoder("tiny-bert", pooling=pooling).eval()  # type: ignore[arg-type]
    tokens = encoder.tokenize(["a short one", "a much longer sentence that makes the batch wide"])
    with torch.no_grad():
        output = encoder.model(**tokens._asdict(), output_hidden_states=True)
        other = output.hidden_states[1 if pooling == "avg_first_last" else -2]
        weights = tokens.attention_mask[..., None].float()
        expected = ((other + output.last_hidden_state) / 2 * weights).sum(1) / weights.sum(1)
        torch.testing.assert_close(encoder(tokens), expected, rtol=1e-4, atol=1e-5)


def test_a_sentence_gets_two_dropout_masks_in_training_and_none_in_evaluation(corpus: Sentences) -> None:
    method = build("simcse", corpus, 0)
    sentence = corpus.sentences[0]
    with torch.no_grad():
        a, b = method.encoder([sentence, sentence])
        assert not torch.allclose(a, b)
        method.eval()
        a, b = method.encoder([sentence, sentence])
        assert torch.allclose(a, b, atol=1e-6)
    method = build("simcse", corpus, 0, dropout=0.0)
    with torch.no_grad():
        a, b = method.encoder([sentence, sentence])
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.long
def test_simcse_spreads_sentences_and_orders_pairs_better(corpus: Sentences) -> None:
    method = build("simcse", corpus, 0)
    before = evaluate(method.eval(), corpus)
    method.train()
    train("simcse", method, corpus, 0, steps=60)
    after = evaluate(method, corpus)
    assert after["uniformity"] < before["uniformity"] - 0.3
    assert after["sts test"] > before["sts test"] + 1
    assert after["effective_rank"] > 4


def test_supervision_is_used_when_the_data_has_it() -> None:
    triplets = load("grammar-entailment", examples=40)
    method = build("simcse", triplets, 0)
    views = method.views(triplets.batch(np.arange(8)))
    assert [len(v) for v in views] == [8, 8, 8]
    assert views[0] != views[1]
    assert len(method.views(load(examples=40).batch(np.arange(8)))) == 2


def test_the_head_is_dropped_after_unsupervised_training_and_kept_after_supervised(corpus: Sentences) -> None:
    batch = corpus.batch(np.arange(3))
    for keep in (False, True):
        method = build("simcse", corpus, 0, keep_head=keep).eval()
        with torch.no_grad():
            plain = method.encoder(batch.sentences)
            expected = method.head(plain) if keep else plain  # type: ignore[operator]
            assert torch.allclose(method.encode(batch), expected, atol=1e-6)


def test_sources(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("one\n\n  two \nthr\xff".encode("latin-1"))
    with pytest.warns(UserWarning, match=r"1 of 3 sentences .* line 4: byte 0xff at position 4 is not UTF-8"):
        assert load(tmp_path / "a.txt", max_bad=0.5).sentences == ["one", "two"]
    (tmp_path / "b.tsv").write_text("premise\tentailment\tcontradiction\nx\ty\tz\n")
    found = load(tmp_path / "b.tsv")
    assert found.batch(np.array([0])).negatives == ["z"]
    pq.write_table(pa.table({"text": ["x", "y"], "label": ["p", "q"]}), tmp_path / "c.parquet")
    assert load(tmp_path / "c.parquet").labels.tolist() == ["p", "q"]
    assert len(load(["x", "y"])) == 2
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(ValueError, match="it has no row"):
        load(tmp_path / "empty.txt")
    pq.write_table(pa.table({"n": [1]}), tmp_path / "d.parquet")
    with pytest.raises(ValueError, match="no column of sentences"):
        load(tmp_path / "d.parquet")
    with pytest.raises(TypeError, match="sentence 1 is a int"):
        Sentences(["x", 3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="labels has 1 entries for 2"):
        Sentences(["x", "y"], np.array([1]))


def test_wrong_encoders_are_named() -> None:
    with pytest.raises(ValueError, match="unknown encoder 'huge-bert'"):
        text_encoder("huge-bert")
    with pytest.raises(TypeError, match="wrap a module"):
        text_encoder(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="dropout must be in"):
        text_encoder("tiny-bert", dropout=1.0)
    small = text_encoder("tiny-bert")
    assert text_encoder(small) is small
    with pytest.raises(ValueError, match="pooling must be one of"):
        TextEncoder(small.model, small.tokenizer, "max")  # type: ignore[arg-type]
