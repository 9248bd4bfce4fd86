"""ListConRanker: what sees what in a list, rounds, files of lists, and that it learns to put the right ones first."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar.losses import circle_loss
from nearfar.reproductions.arms import build, train
from nearfar.system import require
from nearfar.text.data import load
from nearfar.text.data.lists import ListBatch, Lists
from nearfar.text.reranking import ListTransformer, in_rounds, padded


@pytest.fixture
def reader() -> ListTransformer:
    torch.manual_seed(0)
    return ListTransformer(6, width=8, layers=2, heads=2, hidden=12).double().eval()


def given(n: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    q, p = (torch.randn(*shape, generator=g, dtype=torch.float64) for shape in ((2, 6), (2, n, 6)))
    return q, p, torch.ones(2, n, dtype=torch.bool)


def test_order_and_padding_do_not_matter_and_the_list_does(reader: ListTransformer) -> None:
    q, p, there = given()
    found = reader(q, p, there)
    turned = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(reader(q, p[:, turned], there), found[:, turned])
    more = torch.cat([p, torch.full((2, 3, 6), 9.0, dtype=torch.float64)], 1)
    longer = reader(q, more, torch.cat([there, torch.zeros(2, 3, dtype=torch.bool)], 1))
    torch.testing.assert_close(longer[:, :5], found)
    other = torch.cat([p[:, :4], p[:, 4:] + 1], 1)
    assert not torch.allclose(reader(q, other, there)[:, :4], found[:, :4], atol=1e-6)
    alone = ListTransformer(6, width=8, heads=2, hidden=12, together=False).double().eval()
    torch.testing.assert_close(alone(q, other, there)[:, :4], alone(q, p, there)[:, :4])


def test_a_query_does_not_see_its_passages(reader: ListTransformer) -> None:
    seen: list[Tensor] = []
    reader.lists.register_forward_hook(lambda m, args, out: seen.append(out[:, 0]))
    q, p, there = given()
    reader(q, p, there)
    reader(q, p.flip(0) * 3, there)
    torch.testing.assert_close(seen[0], seen[1])


def test_scores_are_the_formula(reader: ListTransformer) -> None:
    """One passage and one layer's worth of arithmetic, written out."""
    one = ListTransformer(3, width=4, layers=1, heads=1, hidden=5, dropout=0.0).double().eval()
    q, p = torch.randn(1, 3, dtype=torch.float64), torch.randn(1, 1, 3, dtype=torch.float64)
    x = torch.stack([q[0], p[0, 0]]) @ one.entrance.weight.t() + one.entrance.bias
    u = torch.relu(one.before.weight @ torch.cat([x[0], x[1]]) + one.before.bias)
    y = one.norm(x + one.kind.weight[[1, 0]])
    layer = one.lists.layers[0]
    qkv = y @ layer.self_attn.in_proj_weight.t() + layer.self_attn.in_proj_bias
    a, k, v = qkv.chunk(3, 1)
    near = a @ k.t() / 2
    near[0, 1] = -torch.inf
    y = layer.norm1(y + layer.self_attn.out_proj(near.softmax(1) @ v))
    y = layer.norm2(y + layer.linear2(torch.nn.functional.gelu(layer.linear1(y))))
    w = torch.relu(one.after.weight @ torch.cat([y[0], y[1]]) + one.after.bias)
    expected = one.score.weight[0] @ torch.cat([u, w]) + one.score.bias[0]
    found = one(q, p, torch.ones(1, 1, dtype=torch.bool))
    torch.testing.assert_close(found[0, 0], expected)


def test_rounds_set_the_worst_aside() -> None:
    asked: list[int] = []
    worth = torch.linspace(0, 1, 45)[torch.randperm(45, generator=torch.Generator().manual_seed(0))]

    def score(rows: list[int]) -> Tensor:
        asked.append(len(rows))
        return worth[rows]

    found = in_rounds(score, 45, most=20)
    assert asked == [45, 35, 25, 15]
    assert torch.equal(found.argsort(), worth.argsort())
    assert torch.equal(found.floor().clamp_max(3).unique(), torch.arange(4.0))
    assert torch.equal(in_rounds(score, 12), worth[:12])
    tied = in_rounds(lambda rows: torch.full((len(rows),), 0.5), 30)
    assert torch.equal(tied, torch.full((30,), 0.5))
    with pytest.raises(ValueError, match="most and least must be at least 1"):
        in_rounds(score, 12, most=0)


@pytest.fixture(scope="module")
def lists() -> Lists:
    return load("grammar-lists", examples=64)  # type: ignore[return-value]


def test_the_loss_is_the_circle_loss_of_sigmoids_and_the_encoder_moves_late(lists: Lists) -> None:
    method = build("listconranker", lists, 0, dropout=0.0, frozen=0.0)
    batch = lists.batch(np.arange(3))
    uneven = ListBatch(
        batch.queries, [batch.passages[0][:4], *batch.passages[1:]], [batch.right[0][:4], *batch.right[1:]]
    )
    rows = method.encoder([*uneven.queries, *itertools.chain(*uneven.passages)])
    passages, there = padded(rows[3:], [4, 10, 10])
    scores = method.reader(rows[:3], passages, there).sigmoid()
    right = torch.tensor([row + [False] * (10 - len(row)) for row in uneven.right])
    expected = circle_loss(scores, right, there & ~right, margin=0.1, scale=10.0)
    value = method.loss(method.views(uneven))
    torch.testing.assert_close(value, expected)
    value.backward()
    assert method.encoder.model.embeddings.word_embeddings.weight.grad.abs().sum() > 0
    held = build("listconranker", lists, 0, frozen=1.0)
    held.loss(uneven).backward()
    assert all(p.grad is None for p in held.encoder.parameters())
    assert held.reader.score.weight.grad is not None
    for objective in ("softmax", "pointwise"):
        other = build("listconranker", lists, 0, objective=objective, dropout=0.0, frozen=0.0).loss(uneven)
        assert torch.isfinite(other)
        assert other > 0


def coloured(count: int, seed: int) -> Lists:
    """Of four things of different colours the one of the colour that is asked for is right."""
    rng = np.random.default_rng(seed)
    colours, things = ("red", "blue", "green", "grey"), ("ring", "box", "rope", "sea")
    drawn = [([colours[c] for c in rng.permutation(4)], rng.integers(4, size=4)) for _ in range(count)]
    said = [[f"a {c} {things[t]}" for c, t in zip(*each, strict=True)] for each in drawn]
    return Lists([f"{each[0][0]} please" for each in drawn], [s[:1] for s in said], [s[1:] for s in said])


def test_it_learns_to_rank() -> None:
    test = coloured(40, 1)
    method = build("listconranker", test, 0, frozen=0.0, width=32, heads=2, hidden=32, dropout=0.0)
    before = method.eval().evaluate(test)
    train("listconranker", method, coloured(300, 0), 0, steps=60)
    after = method.evaluate(test)
    assert {*after} == {"map data", "mrr@10 data", "ndcg@10 data"}
    assert after["map data"] > before["map data"] + 0.2
    rows, scores = method.rank((["a", "b"], [["x", "y", "z"], ["only"]]), 2)
    assert rows.shape == scores.shape == (2, 2)
    assert rows[1].tolist() == [0, -1]
    assert np.isnan(scores[1, 1])
    assert scores[0, 0] >= scores[0, 1]
    with pytest.raises(TypeError, match="ListConRanker is no system that embeds; it ranks"):
        require(method, "embeds")


def test_lists_are_read_from_columns_and_from_lists(tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    rows = [
        {"query": "q1", "positive": ["a", "b"], "negative": ["c"]},
        {"query": "q2", "positive": "d", "negative": ["e", "f"]},
        *({"query": f"q{n}", "positive": "d", "negative": "e"} for n in range(3, 12)),
        {"query": "q12", "positive": [], "negative": ["e"]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.warns(UserWarning, match=r"1 of 12 lists of .* were left out, the first: line 12"):
        data = load(path, lists=True)
    batch = data.batch(np.arange(2))
    assert batch.passages == [["a", "b", "c"], ["d", "e", "f"]]
    assert batch.right == [[True, True, False], [True, False, False]]
    assert len(data) == 11
    table = tmp_path / "t.csv"
    table.write_text("query,positive,negative,negative_1\nq,a,b,c\nr,d,e,f\n")
    assert load(table, lists=True).batch(np.arange(1)).passages == [["a", "b", "c"]]
    table.write_text("query,answer\nq,a\n")
    with pytest.raises(ValueError, match="has no lists: a row is a query with right and wrong passages"):
        load(table, lists=True)


def test_wrong_settings_are_named(lists: Lists) -> None:
    with pytest.raises(ValueError, match="objective must be one of circle, softmax, pointwise"):
        build("listconranker", lists, 0, objective="squared")
    with pytest.raises(ValueError, match="heads divide 10, got 2 and 4"):
        build("listconranker", lists, 0, width=10)
    with pytest.raises(ValueError, match="query 1 has no passage"):
        Lists(["a", "b"], [["x"], []], [[], []])
