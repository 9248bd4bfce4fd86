"""Mixture of experts: each text its domain's layers and nobody else's, tables, and that it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from nearfar import losses
from nearfar.encoders import TextEncoder, hashed_bert
from nearfar.encoders.experts import Experts, TokenExperts, add_experts, add_token_experts
from nearfar.encoders.tokens import HashTokenizer, Tokens
from nearfar.evaluation import best_f1
from nearfar.reproductions.arms import build, train
from nearfar.text.data import load
from nearfar.text.data.domains import DomainPairs, made
from nearfar.text.methods.moe_embeddings import MoEEmbeddings
from nearfar.text.routing import RoutedEncoder, TokenRoutedEncoder
from nearfar.training import Optimization


def small() -> TextEncoder:
    return hashed_bert(2, 16, heads=2, words=60, max_length=12)


def modern() -> TextEncoder:
    config = AutoConfig.for_model(
        "modernbert",
        vocab_size=60,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0),
    )
    return TextEncoder(AutoModel.from_config(config), HashTokenizer(60, 12))


@pytest.mark.parametrize("make", [small, modern])
def test_equal_copies_are_the_dense_model_and_different_ones_are_their_own(make: object) -> None:
    torch.manual_seed(0)
    dense: TextEncoder = make().eval()  # type: ignore[operator]
    tokens = dense.tokenize(["a b c", "d", "e f", "g h i j"])
    with torch.no_grad():
        expected = dense(tokens)
        routed = RoutedEncoder(dense, 3, None, marked=False).eval()
        domains = torch.tensor([2, 0, 2, 1])
        torch.testing.assert_close(routed.routed(tokens, domains), expected, rtol=1e-4, atol=1e-5)
        experts = [m for m in routed.modules() if isinstance(m, Experts)]
        for layer in experts:
            for weight in layer.copies[2].parameters():
                weight.mul_(-5)
        found = routed.routed(tokens, domains)
        torch.testing.assert_close(found[[1, 3]], expected[[1, 3]], rtol=1e-4, atol=1e-6)
        assert ((found - expected)[[0, 2]].abs().amax(1) > 1e-4).all()
        alone = routed.routed(Tokens(*(part[[0, 2]] for part in tokens)), domains[[0, 2]])
        torch.testing.assert_close(alone, found[[0, 2]], rtol=1e-4, atol=1e-6)


def test_only_the_experts_of_the_batch_learn_and_unasked_ones_have_zero_gradients() -> None:
    torch.manual_seed(0)
    routed = RoutedEncoder(small(), 3, None, marked=True)
    routed.routed(routed.tokenize(["a b", "c d"]), torch.tensor([0, 2])).square().sum().backward()
    for layer in (m for m in routed.modules() if isinstance(m, Experts)):
        moved = [any(p.grad.any() for p in copy.parameters() if p.grad is not None) for copy in layer.copies]
        assert moved == [True, False, True]
        assert all(p.grad is not None for p in layer.parameters())
    grads = routed.model.get_input_embeddings().weight.grad
    assert [bool(grads[60 + domain].any()) for domain in range(3)] == [True, False, True]
    assert not grads[1].any()
    table = routed.model.get_input_embeddings().weight
    assert all(torch.equal(table[60 + domain], table[1]) for domain in range(3))


def test_some_layers_only_and_models_without_any() -> None:
    encoder = small()
    add_experts(encoder.model, 2, (1,))
    assert sum(isinstance(m, Experts) for m in encoder.modules()) == 2
    with pytest.raises(RuntimeError, match="2 examples need a route of as many experts"):
        encoder(["a", "b"])
    with pytest.raises(ValueError, match=r"layers go from 0 to 1, got \[2\]"):
        add_experts(small().model, 2, (2,))
    with pytest.raises(ValueError, match="a Linear has no feed-forward layers that can be copied"):
        add_experts(nn.Linear(2, 2), 2)


def test_targets_are_the_pairs_own_but_for_doubles_and_long_ones() -> None:
    torch.manual_seed(0)
    a = torch.randn(5, 8, dtype=torch.float64, requires_grad=True)
    b = torch.randn(5, 8, dtype=torch.float64)
    value = losses.likeness_ranking(a, b, normalize=True, temperature=0.2)
    torch.testing.assert_close(value, losses.info_nce(a, b, temperature=0.2, symmetric=True))
    assert torch.autograd.gradcheck(lambda x: losses.likeness_ranking(x, b), (a,))
    long = torch.tensor([[1.0, 0.0], [9.0, 1.0], [0.0, 1.0]])
    logits = long @ long.t()
    expected = nn.functional.cross_entropy(logits, torch.tensor([1, 1, 1]))
    forth_and_back = nn.functional.cross_entropy(logits.t(), (logits.softmax(1)).argmax(0))
    torch.testing.assert_close(losses.likeness_ranking(long, long), (expected + forth_and_back) / 2)
    with pytest.raises(ValueError, match="temperature must be"):
        losses.likeness_ranking(a, b, temperature=0.0)


def test_the_best_f1_is_that_of_every_threshold() -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=60).round(1), rng.integers(2, size=60)
    every = []
    for threshold in set(scores):
        called = scores >= threshold
        right = (called & (labels == 1)).sum()
        every.append(2 * right / (called.sum() + labels.sum()))
    assert best_f1(scores, labels) == pytest.approx(max(every))


def test_pairs_come_from_tables(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("domain,sentence1,sentence2,score\nx,a,b,1\ny,c,d,0\ny,e,f,1.0\nx,g,h,0.5\n")
    with pytest.warns(UserWarning, match="1 of 4 pairs .*its score is neither 0 nor 1"):
        found = load(path, max_bad=0.5)
    assert isinstance(found, DomainPairs)
    assert (found.sentences, found.positives, found.domains) == (["a", "e"], ["b", "f"], ["x", "y"])
    assert found.judged is not None
    assert found.judged[2].tolist() == [1, 0, 1]
    assert found.facts == {"domains": ["x", "y"]}
    assert found.batch(np.array([1])).domains == ["y"]
    path.write_text("domain,sentence1,sentence2\nx,a,b\n")
    assert load(path).judged is None
    with pytest.raises(ValueError, match="has no judged pairs"):
        MoEEmbeddings(small(), domains=["x"]).evaluate(load(path))


def test_swapped_sides_stay_pairs_and_domains_follow() -> None:
    data = made(60)
    method = build("moe-embeddings", data, 0, encoder=small())
    batch = data.batch(np.arange(40))
    views = method.views(batch)
    assert views.domains.tolist() == views.domains[:40].tolist() * 2
    lists = [
        method.encoder.tokenize([*batch.sentences, *batch.positives]).input_ids[rows]
        for rows in (range(40), range(40, 80))
    ]
    kept = (views.tokens.input_ids[:40] == lists[0]).all(1)
    turned = (views.tokens.input_ids[:40] == lists[1]).all(1)
    assert (kept ^ turned).all()
    assert 8 < kept.sum() < 32
    assert torch.equal(views.tokens.input_ids[40:][kept], lists[1][kept])


def test_it_learns_pairs_of_every_domain() -> None:
    data = made(400)
    torch.manual_seed(0)
    fast = Optimization("adamw", lr=3e-3, weight_decay=0.0, schedule="linear", warmup=0.05)
    method = build("moe-embeddings", data, 0, encoder=hashed_bert(1, 32, words=1024), optimization=fast)
    before = method.evaluate(data)
    assert {name for name in before if name.startswith("f1 test d")} == {f"f1 test domain {n}" for n in range(4)}
    train("moe-embeddings", method, data, 0, steps=45, batch_size=32)
    after = method.evaluate(data)
    assert after["f1 test"] > before["f1 test"] + 0.03
    assert after["ratio test"] > before["ratio test"]


def test_domains_that_nobody_knows_are_named() -> None:
    with pytest.raises(ValueError, match="needs the names of the domains"):
        MoEEmbeddings(small())
    method = MoEEmbeddings(small(), domains=["x", "y"])
    with pytest.raises(ValueError, match="there is no expert for the domain 'z'; there are x, y"):
        method.vectors(["a"], ["z"])
    with pytest.raises(ValueError, match="reads texts by their domain; give a column domain"):
        method.encode(load(["a", "b"]).batch(np.arange(2)))
    with pytest.raises(ValueError, match=r"swap in \[0, 1\], got 'likeness' and 2.0"):
        MoEEmbeddings(small(), domains=["x"], swap=2.0)


@pytest.mark.parametrize("make", [small, modern])
def test_a_router_between_equal_copies_is_the_dense_model(make: object) -> None:
    torch.manual_seed(0)
    dense: TextEncoder = make().eval()  # type: ignore[operator]
    tokens = dense.tokenize(["a b c", "d", "e f", "g h i j"])
    with torch.no_grad():
        expected = dense(tokens)
        routed = TokenRoutedEncoder(dense, 3, 2, None).eval()
        found, logits = routed.guessed(tokens)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert logits.shape == (4, 3)


def test_each_token_is_the_weighted_sum_of_the_experts_that_its_router_gives_most() -> None:
    torch.manual_seed(0)
    layer = TokenExperts(nn.Linear(4, 5), 3, 2, 4)
    for expert in layer.copies:
        nn.init.normal_(expert.weight)
    x = torch.randn(2, 6, 4, requires_grad=True)
    found = layer(x)
    for row in range(2):
        for place in range(6):
            shares = layer.router(x[row, place]).softmax(0)
            best = shares.argsort(descending=True)[:2]
            parts = [shares[i] * layer.copies[i](x[row, place]) for i in best]
            torch.testing.assert_close(found[row, place], sum(parts) / shares[best].sum())
    found.square().sum().backward()
    assert layer.router.weight.grad.abs().min() > 0


def test_a_router_learns_the_domains_that_it_is_taught_and_texts_are_read_without_theirs() -> None:
    torch.manual_seed(0)
    data = made(120)
    names = sorted(set(data.domains))
    method = MoEEmbeddings(
        hashed_bert(1, 16, heads=2, words=2000, max_length=12),
        domains=names,
        router="tokens",
        router_weight=1.0,
        normalize=True,
        temperature=0.1,
        optimization=Optimization("adam", lr=3e-2, schedule="constant"),
    )
    first = method.loss(method.views(data.batch(np.arange(64))))["router"].detach()  # type: ignore[index]
    train("moe-embeddings", method, data, 0, steps=30, batch_size=32)
    last = method.loss(method.views(data.batch(np.arange(64))))["router"].detach()  # type: ignore[index]
    assert last < 0.8 * first
    assert method.vectors(["a text of a domain that nobody told"], None).shape == (1, 16)


def test_bad_routers_are_named() -> None:
    with pytest.raises(ValueError, match="1 to 3 of 3 experts, got 4"):
        add_token_experts(small().model, 3, 4)
    with pytest.raises(ValueError, match="router must be domain, or tokens with experts"):
        MoEEmbeddings(small(), domains=["a", "b"], experts=False, router="tokens")
