"""PromCSE: only the prefix and the head move, padding stays unseen, and it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.encoders import TextEncoder, text_encoder
from nearfar.encoders.prefix import add_prefixes
from nearfar.encoders.tokens import HashTokenizer
from nearfar.reproductions.arms import build, train
from nearfar.text.data import load
from nearfar.text.evaluation import evaluate


def test_attention_sees_prefix_and_tokens_and_no_padding() -> None:
    """The first layer's attention against the formula, with a padded sentence in the batch."""
    torch.manual_seed(0)
    encoder = text_encoder("tiny-bert").eval()
    tokens = encoder.tokenize(["one two", "one two three four five"])
    add_prefixes(encoder.model, 3, 0.0)
    layer = encoder.model.encoder.layer[0].attention.self
    seen = {}
    layer.register_forward_hook(lambda m, args, kwargs, out: seen.update(x=args[0], out=out[0]), with_kwargs=True)
    with torch.no_grad():
        encoder(tokens)
        x, n = seen["x"][:1, :3], 3
        q, k, v = (part(x).view(n, 4, 32).transpose(0, 1) for part in (layer.query, layer.key, layer.value))
        k, v = torch.cat([layer.prefix.key, k], 1), torch.cat([layer.prefix.value, v], 1)
        expected = ((q @ k.transpose(1, 2) / 32**0.5).softmax(-1) @ v).transpose(0, 1).reshape(n, 128)
    torch.testing.assert_close(seen["out"][0, :3], expected, rtol=1e-4, atol=1e-5)


def test_padding_does_not_change_an_embedding() -> None:
    torch.manual_seed(0)
    encoder = text_encoder("tiny-bert").eval()
    add_prefixes(encoder.model, 4, 0.1)
    with torch.no_grad():
        alone, together = encoder(["a short one"]), encoder(["a short one", "a much longer sentence than the other"])
    torch.testing.assert_close(alone[0], together[0], rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_prefix_and_head_move_and_nothing_else() -> None:
    data = load("grammar-entailment", examples=1500)
    method = build("promcse", data, 0)
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    start = evaluate(method.eval(), data)
    terms = method.train().loss(method.views(data.batch(np.arange(16))))
    assert set(terms) == {"contrast", "hinge"}
    train("promcse", method, data, 0, steps=40)
    moved = {name for name, p in method.named_parameters() if not torch.equal(p, before[name])}
    assert moved
    assert all(".prefix." in name or name.startswith("head.") for name in moved)
    assert any(".prefix." in name for name in moved)
    after = evaluate(method, data)
    assert after["sts test"] > start["sts test"]
    assert after["effective_rank"] > 3
    alone = load(examples=50)
    assert set(method.loss(method.views(alone.batch(np.arange(16))))) == {"contrast"}


def test_wrong_settings_are_named() -> None:
    data = load(examples=40)
    with pytest.raises(ValueError, match="a prefix has at least 1 place, got 0"):
        build("promcse", data, 0, prefix=0)
    with pytest.raises(ValueError, match="hinge_weight must be at least 0, got -1"):
        build("promcse", data, 0, hinge_weight=-1.0)

    class Plain(torch.nn.Module):
        config = type("Config", (), {"hidden_size": 4})

    with pytest.raises(ValueError, match="a Plain has no attention that a prefix can join"):
        build("promcse", data, 0, encoder=TextEncoder(Plain(), HashTokenizer()))
