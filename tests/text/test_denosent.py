"""DenoSent: the released loss, the blank, what reaches the decoder, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, BertForMaskedLM

from nearfar.encoders import TextEncoder, hashed_bert, text_encoder
from nearfar.encoders.tokens import MASK, HashTokenizer, Tokens
from nearfar.encoders.word_head import with_word_head
from nearfar.reproductions.arms import build, train
from nearfar.text.blanks import BlankEncoder, BlankTokenizer
from nearfar.text.data import Sentences, load
from nearfar.text.methods.denosent import DenoSent, Read
from nearfar.text.restoring import Restoring
from tests.parity import ParityCase, assert_parity, parity

SHAPE = Restoring(layers=2, heads=1, hidden=16, dropout=0.0)


def small_bert() -> TextEncoder:
    return hashed_bert(1, 8, heads=1, words=40, max_length=16)


def small(kind: str, **shape: int) -> TextEncoder:
    return TextEncoder(AutoModel.from_config(AutoConfig.for_model(kind, vocab_size=40, **shape)), HashTokenizer(40, 8))


class Times(nn.Module):
    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.mask


@pytest.mark.parametrize("case", parity("denosent", "denosent_loss"))
def test_both_terms_as_released(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    method = DenoSent(
        small_bert(),
        pooling="avg",
        restoring=SHAPE,
        temperature=h["temperature"],
        contrast_weight=h["contrastive_weight"],
        denoising_weight=h["generative_weight"],
    ).double()
    weights = {name[7:]: value for name, value in a.items() if name.startswith("in_dec_")}
    ids, head = a["in_ids"], a
    replaced = {f"restorer.decoder.{name}": value for name, value in weights.items()}
    replaced |= {"projector.weight": a["in_proj_w"], "projector.bias": a["in_proj_b"]}
    method.restorer.noise = Times(a["in_noise_mask"].detach())
    method.word_head = nn.Linear(8, 11).double()
    replaced |= {"word_head.weight": head["in_head_w"], "word_head.bias": head["in_head_b"]}
    views = Read(Tokens(ids.repeat(2, 1), (ids != 0).long().repeat(2, 1)), 2)
    # The sentence's own embedded words take no part.
    embedded = torch.cat([torch.full_like(a["in_embeddings"], torch.nan), a["in_embeddings"]])

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.method = method

        def forward(self, vectors: torch.Tensor) -> dict[str, torch.Tensor]:
            return self.method.terms(vectors, embedded, views)

    inputs = {f"method.{name}": value for name, value in replaced.items()}
    terms = torch.func.functional_call(Loss(), inputs, (torch.cat([a["in_h0"], a["in_h1"]]),))
    torch.testing.assert_close(terms["contrast"] / 5, a["out_con"])
    torch.testing.assert_close(terms["denoising"] / 7, a["out_gen"])
    assert_parity(case, a, terms["contrast"] + terms["denoising"], rtol=1e-9)


def test_the_vector_is_the_blanks_state_whatever_the_padding() -> None:
    torch.manual_seed(0)
    template = 'say "{sentence}" as [MASK] .'
    words = BlankTokenizer(HashTokenizer(40, 32), template, 3)
    tokens = words(["a b c d e", "a"])
    assert tokens.attention_mask.sum(1).tolist() == [10, 8]
    assert (tokens.input_ids == MASK).nonzero().tolist() == [[0, 8], [1, 6]]
    encoder = BlankEncoder(small_bert().model, words).eval()
    with torch.no_grad():
        states = encoder.hidden(tokens)
        expected = states[tokens.input_ids == MASK]
        torch.testing.assert_close(encoder(tokens), expected)
        torch.testing.assert_close(encoder(["a"]), expected[1:], rtol=1e-4, atol=1e-5)
    for wrong in ("{sentence}", "[MASK] is {sentence}", "[MASK] {sentence} [MASK]"):
        with pytest.raises(ValueError, match=r"template must hold \{sentence\} once and then \[MASK\] once"):
            BlankTokenizer(HashTokenizer(), wrong, 3)
    with pytest.raises(ValueError, match="a blank needs a tokenizer with a mask token; a object has none"):
        BlankTokenizer(object(), template, 3)


def test_the_head_scores_words_as_the_masked_language_model_does() -> None:
    torch.manual_seed(0)
    encoder, head = with_word_head(small_bert())
    lm = BertForMaskedLM(encoder.model.config).eval()
    lm.bert, lm.cls = encoder.eval().model, head.eval()
    tokens = encoder.tokenize(["one two three"])
    with torch.no_grad():
        torch.testing.assert_close(head(encoder.hidden(tokens)), lm(**tokens._asdict()).logits)
    table = encoder.model.embeddings.word_embeddings.weight
    assert any(p is table for p in head.parameters())
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    for kind in ("roberta", "modernbert"):
        more = {"pad_token_id": 0, "max_position_embeddings": 16}
        encoder, head = with_word_head(small(kind, **shape, **more))
        assert head(torch.randn(2, 3, 8)).shape == (2, 3, 40)
    with pytest.raises(ValueError, match="a GPT2Model has no masked language model"):
        with_word_head(small("gpt2", n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(ValueError, match="the head of a DistilBertForMaskedLM is no chain of modules"):
        with_word_head(small("distilbert", dim=8, n_layers=1, n_heads=1, hidden_dim=8))


def test_embedded_words_get_no_gradient_and_the_vector_does() -> None:
    torch.manual_seed(0)
    method = DenoSent(small_bert(), restoring=SHAPE, contrast_weight=0.0)
    views = method.views(load(["a b c", "d e f g"]).batch(np.arange(2)))
    assert views.lists == 2
    vectors = torch.randn(4, 8, requires_grad=True)
    tokens = views.tokens
    embedded = torch.randn(*tokens.input_ids.shape, 8, requires_grad=True)
    terms = method.terms(vectors, embedded, views)
    assert set(terms) == {"denoising"}
    terms["denoising"].backward()
    assert embedded.grad is None
    assert vectors.grad is not None
    assert vectors.grad[:2].abs().sum() > 0
    assert not vectors.grad[2:].any()
    other = DenoSent(small_bert(), restoring=SHAPE, restored="sentence", contrast_weight=0.0)
    vectors = torch.randn(4, 8, requires_grad=True)
    other.terms(vectors, embedded, views)["denoising"].backward()
    assert vectors.grad is not None
    assert vectors.grad[2:].abs().sum() > 0
    assert not vectors.grad[:2].any()


def test_it_restores_words_and_spreads_sentences() -> None:
    data = load(examples=300)
    assert isinstance(data, Sentences)
    torch.manual_seed(0)
    settings = {"restoring": Restoring(layers=1, hidden=64)}
    encoder = hashed_bert(1, 64, words=512)
    method = build("denosent", data, 0, encoder=encoder, **settings)
    batch = data.batch(np.arange(64))

    def terms() -> dict[str, float]:
        torch.manual_seed(1)
        method.train()
        with torch.no_grad():
            return {name: float(value) for name, value in method.loss(method.views(batch)).items()}

    before = terms()
    train("denosent", method, data, 0, steps=30, batch_size=32)
    after = terms()
    assert after["contrast"] < before["contrast"]
    assert after["denoising"] < before["denoising"] - 3.5
    vectors = nn.functional.normalize(method.eval().encode(batch), dim=1)
    assert float((vectors @ vectors.t()).detach().mean()) < 0.9


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="restored must be one of partner, sentence; got 'both'"):
        DenoSent("tiny-bert", restored="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"at least 0 and not both 0; got 0.0 and 0.0"):
        DenoSent("tiny-bert", contrast_weight=0.0, denoising_weight=0.0)
    with pytest.raises(ValueError, match=r"restoring.noise and restoring.dropout must be in \[0, 1\), got 1.0 and 0.1"):
        Restoring(noise=1.0)
    with pytest.raises(ValueError, match=r"restoring.heads must divide the encoder's width 128, got 3"):
        DenoSent(text_encoder("tiny-bert"), restoring=Restoring(heads=3))
