"""PromptEOL: what is read, whose state it is, and what moves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from nearfar.encoders import TextEncoder, text_encoder
from nearfar.encoders.causal import causal_model, left_padded, positions_of, word_tokenizer
from nearfar.parts.lora import Lora
from nearfar.reproductions.arms import build, train
from nearfar.text.data import load
from nearfar.text.evaluation import evaluate
from nearfar.text.prompts import Prompt, PromptTokenizer, best_example, prompted_encoder

SPACED = Prompt('say " {sentence} " in one word : "', tidy=False)


def test_prompts_are_those_of_the_paper() -> None:
    prompt = Prompt()
    assert prompt.around("A man runs") == 'This sentence : "A man runs." means in one word:"'
    assert prompt.around('Did "he" run?') == 'This sentence : "Did \'he\' run." means in one word:"'
    assert prompt.around("He said 'no'") == 'This sentence : "He said \'no\'" means in one word:"'
    shown = Prompt(example="A jockey riding a horse.", word="Equestrian").around("It rains.")
    assert shown == (
        'This sentence : "A jockey riding a horse." means in one word:"Equestrian". '
        'This sentence : "It rains." means in one word:"'
    )
    with pytest.raises(ValueError, match=r"prompt\.template must hold \{sentence\} once"):
        Prompt("in one word")
    with pytest.raises(ValueError, match=r"prompt\.example and prompt.word are given together"):
        Prompt(example="A horse.")


@pytest.fixture(scope="module")
def small() -> TextEncoder:
    """A model of few words, which reads none of them yet."""
    torch.manual_seed(0)
    lm = causal_model("tiny-llama", tokenizer=word_tokenizer([*"abcdefgh", *SPACED.template.split(), "full", "stop"]))
    return TextEncoder(lm.model.model, PromptTokenizer(lm.tokenizer, SPACED, 3), "last_token").eval()


def test_the_embedding_is_the_last_tokens_state_as_with_padding_before(small: TextEncoder) -> None:
    texts = ["a", "b c d e f"]
    words = small.tokenizer.tokenizer  # type: ignore[attr-defined]
    rows = [
        words(SPACED.around(text))["input_ids"] for text in ("a", "b c d")
    ]  # the sentence is cut, the prompt is not
    ids, mask = left_padded(rows, words.pad_token_id)
    with torch.no_grad():
        found = small(texts)
        states = small.model(input_ids=ids, attention_mask=mask, position_ids=positions_of(mask)).last_hidden_state
        torch.testing.assert_close(found, states[:, -1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(small(texts[:1]), found[:1], rtol=1e-4, atol=1e-5)


def test_only_adapters_move_and_it_learns() -> None:
    data = load("grammar-entailment", examples=120)
    lm = causal_model("tiny-llama", tokenizer=word_tokenizer(w for s in data.sentences for w in s.split()))
    encoder = TextEncoder(lm.model.model, PromptTokenizer(lm.tokenizer, SPACED, 32), "last_token")
    method = build("prompteol", data, 0, encoder=encoder, prompt=SPACED, lora=Lora(4, 16.0, dropout=0.05))
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    start = method.eval().loss(method.views(data.batch(np.arange(32))))
    optimization = dataclasses.replace(method.optimization, lr=3e-3)
    method.optimization = optimization
    train("prompteol", method, data, 0, steps=30)
    moved = {name for name, p in method.named_parameters() if not torch.equal(p, before[name])}
    assert moved
    assert all("lora_" in name for name in moved)
    assert method.eval().loss(method.views(data.batch(np.arange(32)))) < start - 0.1
    assert evaluate(method, data)["effective_rank"] > 3


def test_the_best_example_is_chosen_by_agreement(small: TextEncoder) -> None:
    left, right = ["a", "a b", "c", "d", "b c", "e", "f", "g h"], ["a", "a c", "e", "b", "c b", "e f", "h", "d"]
    pairs = (left, right, [7.0, 6.0, 1.0, 0.0, 5.0, 4.0, 2.0, 3.0])
    plain = small.tokenizer.prompt  # type: ignore[attr-defined]
    prompt, found = best_example(small, [("f g", "h"), ("a", "b"), ("e", "c")], pairs)
    assert (prompt.example, prompt.word) == [("f g", "h"), ("a", "b"), ("e", "c")][int(np.argmax(found))]
    assert len(set(found)) > 1
    assert small.tokenizer.prompt == prompt  # type: ignore[attr-defined]
    small.tokenizer.prompt = plain  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="an example is chosen of at least one"):
        best_example(small, [], pairs)


def test_what_reads_no_prompts_is_named() -> None:
    with pytest.raises(ValueError, match="a prompt needs a language model with its tokenizer"):
        prompted_encoder("tiny-bert", Prompt(), 8, None)
    with pytest.raises(ValueError, match="a prompt needs a language model with its tokenizer"):
        prompted_encoder(text_encoder("tiny-bert"), Prompt(), 8, None)
    with pytest.raises(ValueError, match=r"lora.dropout must be in \[0, 1\), got 1"):
        Lora(1, dropout=1.0)
