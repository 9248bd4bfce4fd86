"""Mined negatives: the released ids, and what each rule promises."""

from __future__ import annotations

import pytest
import torch

from nearfar.text import mining
from nearfar.text.mining import mine_hard_negatives
from tests.parity import ParityCase, parity

RULES = {"absolute_margin": "margin", "num_negatives": "count", "range_min": "shift"}


@pytest.mark.parametrize("case", [c for c in parity("nv-retriever") if "slip" not in str(c.id)])
def test_ids_as_released(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the case of several positives, which shows the released slip."""
    a = case.load()
    how = {RULES.get(name, name): value for name, value in case.hyper.items()}
    relative = how.pop("relative_margin", None)
    how["percentage"] = None if relative is None else 1 - relative
    pairs = a["in_pairs"].tolist()
    own = [[row for query, row in pairs if query == q] for q in range(len(a["in_queries"]))]
    for entries in (1 << 24, 1):
        monkeypatch.setattr(mining, "BLOCK_ENTRIES", entries)
        found = mine_hard_negatives(a["in_queries"].detach(), a["in_corpus"].detach(), own, **how)
        assert torch.equal(found.rows, a["out_neg_ids"])
        torch.testing.assert_close(
            found.scores.double(), a["out_neg_scores"].double(), rtol=1e-5, atol=1e-6, equal_nan=True
        )


def test_no_rule_lets_a_positive_or_a_nearer_passage_through() -> None:
    torch.manual_seed(0)
    queries, corpus = torch.randn(9, 4), torch.randn(60, 4)
    own = [[q, q + 9] if q % 2 else [q] for q in range(9)]
    cosines = torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(corpus).t()
    least = torch.stack([cosines[q, rows].min() for q, rows in enumerate(own)])
    assert (least < 0).any()
    for how in ({"percentage": 0.9}, {"percentage": None, "margin": 0.1}):
        found = mine_hard_negatives(queries, corpus, own, count=5, **how)
        bound = least - 0.1 * least.abs() if how["percentage"] else least - 0.1
        assert not any(row in rows for q, rows in enumerate(own) for row in found.rows[q].tolist())
        there = found.rows >= 0
        assert there.any()
        assert (found.scores <= bound.unsqueeze(1) + 1e-6)[there].all()
    first = mine_hard_negatives(queries, corpus, own, count=5, percentage=None)
    assert torch.equal(
        first.rows[:, 2:], mine_hard_negatives(queries, corpus, own, count=3, percentage=None, shift=2).rows
    )
    drawn = mine_hard_negatives(
        queries, corpus, own, count=3, percentage=None, pool=5, generator=torch.Generator().manual_seed(1)
    )
    assert all({*d} < {*f} for d, f in zip(drawn.rows.tolist(), first.rows.tolist(), strict=True))
    assert not torch.equal(drawn.rows, first.rows[:, :3])


def test_wrong_input_is_named() -> None:
    x = torch.eye(3)
    with pytest.raises(ValueError, match=r"the positives of query 1 must be rows from 0 to 2, got \[3\]"):
        mine_hard_negatives(x, x, [[0], [3], [1]])
    with pytest.raises(ValueError, match="positives has 1 entries for 3 queries"):
        mine_hard_negatives(x, x, [[0]])
    with pytest.raises(ValueError, match="count must be at least 1, shift 0 and pool 4; got 4, 0 and 2"):
        mine_hard_negatives(x, x, [[0], [1], [2]], pool=2)
    few = mine_hard_negatives(x, x, [[0], [1], [2]], percentage=None)
    assert (few.rows >= 0).sum(1).tolist() == [2, 2, 2]
    assert few.scores.isnan().sum(1).tolist() == [2, 2, 2]
