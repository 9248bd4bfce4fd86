"""miCSE: the attention of the two views, and that the regulariser makes them alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.losses import attention_mutual_information
from nearfar.reproductions.arms import build, train
from nearfar.text.data import load
from nearfar.text.evaluation import evaluate
from nearfar.training.gradient_cache import in_chunks


def test_attention_is_that_of_the_vectors_and_hides_padding() -> None:
    method = build("micse", load(examples=40), 0).eval()
    tokens = method.encoder.tokenize(["one two", "one two three four"])
    with torch.no_grad():
        vectors, attention = method.encoder.attended(tokens, 0, 2)
        torch.testing.assert_close(vectors, method.encoder(tokens))
    assert attention.shape == (2, 2, 4, 5, 5)
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 2, 4, 5))
    assert (attention[0, ..., 3:] == 0).all()


def test_chunks_make_the_same_loss_without_dropout() -> None:
    data = load(examples=40)
    method = build("micse", data, 0, dropout=0.1)
    method.encoder.eval()
    views = method.views(data.batch(np.arange(8)))
    values = []
    for chunk in (0, 3):
        method.generator.manual_seed(0)
        with in_chunks(method, chunk):
            values.append(method.loss(views))
    for name in ("contrast", "attention"):
        torch.testing.assert_close(values[0][name], values[1][name])


@pytest.mark.long
def test_two_views_attend_more_alike_and_sentences_spread() -> None:
    data = load(examples=256)
    found = {}
    for weight in (0.0, 1.0):
        method = build("micse", data, 0, attention_weight=weight)
        before = evaluate(method.eval(), data)
        train("micse", method.train(), data, 0, steps=40)
        torch.manual_seed(0)
        tokens = method.train().encoder.tokenize(data.sentences[:64] * 2)
        with torch.no_grad():
            _, attention = method.encoder.attended(tokens, 0, 2)
            found[weight] = float(attention_mutual_information(*attention.chunk(2)))
        assert evaluate(method.eval(), data)["uniformity"] < before["uniformity"]
    assert found[1.0] > found[0.0]


def test_wrong_layers_are_named() -> None:
    for first, last in ((0, 3), (1, 2), (2, 2)):
        with pytest.raises(ValueError, match=f"an even number of the encoder's 2 layers; got {first} to {last}"):
            build("micse", load(examples=40), 0, first_layer=first, last_layer=last)
