"""Ranked lists by ids: the numbers of trec_eval, and those of whole rankings."""

from __future__ import annotations

import numpy as np
import pytest

from nearfar.evaluation import ranked_retrieval, retrieval

EXPECTED = {
    "map": 0.333333333333,
    "recip_rank": 0.5,
    "P_5": 0.4,
    "recall_5": 0.666666666667,
    "ndcg_cut_3": 0.264993014861,
    "ndcg_cut_5": 0.536321825021,
}


def drawn(seed: int, queries: int = 9, documents: int = 40, listed: int = 40) -> tuple[dict, dict, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.permutation(queries * documents).reshape(queries, documents).astype(float)
    relevance = {
        f"q{q}": {f"d{d:02d}": int(rng.integers(0, 4)) for d in rng.choice(documents, 6, replace=False)}
        for q in range(queries)
    }
    relevance["q3"] = dict.fromkeys(relevance["q3"], 0)
    ranked = {f"q{q}": [f"d{d:02d}" for d in np.argsort(-scores[q])[:listed]] for q in range(queries)}
    return ranked, relevance, scores


def test_whole_lists_agree_with_rankings_of_scores() -> None:
    ranked, relevance, scores = drawn(0)
    whole = retrieval(
        scores,
        relevance,
        ks=(1, 5, 10),
        query_ids=[f"q{q}" for q in range(9)],
        document_ids=[f"d{d:02d}" for d in range(40)],
    )
    found = ranked_retrieval(ranked, relevance, ks=(1, 5, 10))
    for name, value in found.items():
        assert value == pytest.approx(whole[name], rel=1e-12), name


@pytest.mark.parametrize("listed", [3, 12])
def test_numbers_are_those_of_trec_eval(listed: int) -> None:
    trec = pytest.importorskip("pytrec_eval")
    ranked, relevance, _ = drawn(1, listed=listed)
    run = {q: {d: float(-place) for place, d in enumerate(of)} for q, of in ranked.items()}
    measures = {"ndcg_cut.10": "ndcg@10", "recall.10": "recall@10", "P.10": "precision@10", "map": "map"}
    judged = trec.RelevanceEvaluator(relevance, {*measures, "recip_rank"}).evaluate(run)
    found = ranked_retrieval(ranked, relevance, ks=(10, 12))
    counted = [of for q, of in judged.items() if any(relevance[q].values())]
    assert len(counted) == found["queries"]
    for theirs, ours in {**measures, "recip_rank": "mrr@12"}.items():
        assert found[ours] == pytest.approx(np.mean([of[theirs.replace(".", "_")] for of in counted]), rel=1e-9), ours


def test_values_that_trec_eval_gave() -> None:
    """Of one list, kept from pytrec_eval 0.5.11: grades 3, 2 and 1, found at places 2 and 4 of five."""
    found = ranked_retrieval({"q": ["x", "b", "y", "a", "z"]}, {"q": {"a": 3, "b": 2, "c": 1, "x": 0}}, ks=(3, 5))
    assert found["ndcg@5"] == pytest.approx(EXPECTED["ndcg_cut_5"])
    assert found["ndcg@3"] == pytest.approx(EXPECTED["ndcg_cut_3"])
    assert found["recall@5"] == pytest.approx(EXPECTED["recall_5"])
    assert found["precision@5"] == pytest.approx(EXPECTED["P_5"])
    assert found["map"] == pytest.approx(EXPECTED["map"])
    assert found["mrr@5"] == pytest.approx(EXPECTED["recip_rank"])


def test_a_query_without_a_list_counts_and_wrong_lists_are_named() -> None:
    found = ranked_retrieval({"a": ["x"]}, {"a": {"x": 1}, "b": {"x": 1}}, ks=(1,))
    assert found["ndcg@1"] == found["map"] == 0.5
    with pytest.raises(ValueError, match="the list of query 'a' names a document twice"):
        ranked_retrieval({"a": ["x", "x"]}, {"a": {"x": 1}})
    with pytest.raises(ValueError, match="grades of query 'a' must be at least 0"):
        ranked_retrieval({"a": ["x"]}, {"a": {"x": -1}})
    with pytest.raises(ValueError, match="at least one query a relevant document"):
        ranked_retrieval({"a": ["x"]}, {"a": {"x": 0}})
