"""Ranking measures against their definitions and scikit-learn: ties, exclusions, every form of relevance."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.metrics import average_precision_score, ndcg_score

from nearfar.evaluation import paired_retrieval, retrieval

KS = (1, 3, 10)


def slow(scores, grades, ks=KS, gain=lambda g: g):
    """Straight from the definitions, one position after another."""
    table = {}
    for row, grade in zip(scores, grades, strict=True):
        order = sorted(range(len(row)), key=lambda j: -row[j])
        ranked = [grade[j] for j in order]
        total = sum(g > 0 for g in ranked)
        if not total:
            continue
        first = next(i for i, g in enumerate(ranked, 1) if g > 0)
        ideal = sorted(ranked, reverse=True)
        hits, precisions = 0, []
        for i, g in enumerate(ranked, 1):
            if g > 0:
                hits += 1
                precisions.append((i, hits / i))
        dcg = lambda items: sum(gain(g) / np.log2(i + 1) for i, g in enumerate(items, 1))  # noqa: E731
        found = {
            "mrr": 1 / first,
            "map": sum(p for _, p in precisions) / total,
            "map@r": sum(p for i, p in precisions if i <= total) / total,
            "r_precision": sum(g > 0 for g in ranked[:total]) / total,
            "ndcg": dcg(ranked) / dcg(ideal),
            "median_rank": first,
        }
        for k in ks:
            inside = sum(g > 0 for g in ranked[:k])
            found |= {
                f"hit@{k}": float(inside > 0),
                f"recall@{k}": inside / total,
                f"precision@{k}": inside / k,
                f"mrr@{k}": 1 / first if first <= k else 0,
                f"ndcg@{k}": dcg(ranked[:k]) / dcg(ideal[:k]),
            }
        for name, value in found.items():
            table.setdefault(name, []).append(value)
    result = {name: np.median(v) if name == "median_rank" else np.mean(v) for name, v in table.items()}
    return result | {"queries": len(table["mrr"])}


def example(ties, seed=0, queries=25, documents=40):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 4, (queries, documents)) / 2 if ties else rng.normal(size=(queries, documents))
    grades = rng.integers(1, 4, (queries, documents)) * (rng.random((queries, documents)) < 0.15)
    grades[3] = 0
    return scores, grades


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_all_measures_agree_with_their_definitions(ties, gain):
    scores, grades = example(ties)
    found = retrieval(scores, grades, ks=KS, gain=gain)
    expected = slow(scores, grades, gain=(lambda g: g) if gain == "linear" else (lambda g: 2.0**g - 1))
    assert found == pytest.approx(expected, abs=1e-12)
    assert found["queries"] == 24


def test_agrees_with_scikit_learn_where_both_exist():
    scores, grades = example(ties=False)
    keep = grades.any(1)
    found = retrieval(scores, grades, ks=KS)
    for k in KS:
        assert found[f"ndcg@{k}"] == pytest.approx(ndcg_score(grades[keep], scores[keep], k=k))
    precisions = [average_precision_score(g > 0, s) for g, s in zip(grades[keep], scores[keep], strict=True)]
    assert found["map"] == pytest.approx(np.mean(precisions))


def test_every_form_of_relevance_says_the_same():
    scores, grades = example(ties=True)
    queries, documents = [f"q{i}" for i in range(25)], [f"d{j:02}" for j in range(40)]
    judged = {
        q: {d: int(g) for d, g in zip(documents, row, strict=True)} for q, row in zip(queries, grades, strict=True)
    }
    ids = {"query_ids": queries, "document_ids": documents}
    expected = retrieval(scores, grades, ks=KS)
    assert retrieval(scores, csr_matrix(grades), ks=KS) == expected
    assert retrieval(torch.tensor(scores), torch.tensor(grades), ks=KS) == expected
    assert retrieval(scores, judged, ks=KS, **ids) == expected
    only_names = {q: [d for d, g in found.items() if g] for q, found in judged.items()}
    assert retrieval(scores, only_names, ks=KS, **ids) == retrieval(scores, grades > 0, ks=KS)
    a, b = np.arange(25) % 6, np.arange(40) % 5
    assert retrieval(scores, (a, b), ks=KS) == retrieval(scores, a[:, None] == b, ks=KS)


def test_embeddings_are_compared_in_tiles(monkeypatch):
    rng = np.random.default_rng(0)
    queries, documents = rng.normal(size=(25, 8)), rng.normal(size=(40, 8))
    _, grades = example(ties=False)
    cosines = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        documents / np.linalg.norm(documents, axis=1, keepdims=True)
    ).T
    assert retrieval((queries, documents), grades) == pytest.approx(retrieval(cosines, grades))
    dots = retrieval((queries, documents), grades, similarity="dot")
    assert dots == pytest.approx(retrieval(queries @ documents.T, grades))
    assert dots["map"] != pytest.approx(retrieval(cosines, grades)["map"])
    monkeypatch.setattr("nearfar.evaluation._arrays.TILE_ELEMENTS", 90)
    assert retrieval((queries, documents), grades) == pytest.approx(retrieval(cosines, grades))


def test_rotation_and_monotone_transforms_do_not_matter():
    rng = np.random.default_rng(0)
    queries, documents = rng.normal(size=(25, 8)), rng.normal(size=(40, 8))
    scores, grades = example(ties=True)
    q = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    assert retrieval((queries @ q, documents @ q), grades) == pytest.approx(retrieval((queries, documents), grades))
    assert retrieval(np.exp(scores) - 5, grades) == retrieval(scores, grades)


def test_a_set_searched_within_itself_leaves_the_query_out_by_id():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), rng.integers(0, 5, 30)
    ids = np.array([f"item{i:02}" for i in range(30)])
    order = rng.permutation(30)
    with_self = retrieval((x, x), (y, y))
    assert with_self["precision@1"] == 1
    found = retrieval((x, x[order]), (y, y[order]), query_ids=ids, document_ids=ids[order])
    cosines = (x @ x.T) / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(x, axis=1))
    np.fill_diagonal(cosines, -np.inf)
    same = (y[:, None] == y) & ~np.eye(30, dtype=bool)
    assert found == pytest.approx(slow(cosines, same, ks=(1, 5, 10)), abs=1e-12)


def test_ties_go_by_document_id_whatever_the_order_of_documents():
    scores, grades = example(ties=True)
    ids = np.random.default_rng(1).permutation(40)
    queries = np.arange(100, 125)
    by_id = np.argsort(ids)
    expected = retrieval(scores[:, by_id], grades[:, by_id], ks=KS)
    assert retrieval(scores, grades, ks=KS, query_ids=queries, document_ids=ids) == expected
    assert retrieval(scores, grades, ks=KS) != expected


def test_perfect_random_and_constant_rankers():
    labels = np.repeat(np.arange(10), 10)
    perfect = retrieval(np.eye(10)[labels] @ np.eye(10)[labels].T, (labels, labels))
    for name in ("hit@1", "precision@10", "recall@10", "mrr", "map", "map@r", "ndcg", "r_precision"):
        assert perfect[name] == pytest.approx(1)
    rng = np.random.default_rng(0)
    assert retrieval(rng.random((100, 100)), (labels, labels))["precision@10"] == pytest.approx(0.1, abs=0.02)
    collapsed = np.ones((50, 3))
    assert paired_retrieval(collapsed, collapsed)["a_to_b@1"] == pytest.approx(1 / 50)


def test_infinitely_bad_scores_remove_documents():
    scores = np.array([[3.0, -np.inf, 1.0, -np.inf]])
    assert retrieval(scores, np.array([[0, 0, 1, 0]]), ks=(1, 2))["mrr"] == 0.5


def test_captions_and_images():
    rng = np.random.default_rng(0)
    images, owner = rng.normal(size=(12, 6)), np.repeat(np.arange(12), 5)
    captions = images[owner] + rng.normal(size=(60, 6))
    shuffle = rng.permutation(60)
    captions, owner = captions[shuffle], owner[shuffle]
    found = paired_retrieval(images, captions, ks=(1, 5), owner=owner)
    cosines = (images / np.linalg.norm(images, axis=1, keepdims=True)) @ (
        captions / np.linalg.norm(captions, axis=1, keepdims=True)
    ).T
    for k in (1, 5):
        forth = [bool(set(np.argsort(-cosines[i])[:k]) & set(np.flatnonzero(owner == i))) for i in range(12)]
        back = [owner[j] in np.argsort(-cosines[:, j])[:k] for j in range(60)]
        assert found[f"a_to_b@{k}"] == pytest.approx(np.mean(forth))
        assert found[f"b_to_a@{k}"] == pytest.approx(np.mean(back))
    hits = [found[f"{way}@{k}"] for way in ("a_to_b", "b_to_a") for k in (1, 5)]
    assert found["rsum"] == pytest.approx(100 * sum(hits))
    same = paired_retrieval(images, 2 * images, ks=(1,))
    assert (same["rsum"], same["a_to_b_median_rank"]) == (pytest.approx(200), 1)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: retrieval(np.full((2, 3), np.nan), np.ones((2, 3)), ks=(1,)), "scores must not contain NaN"),
        (lambda: retrieval(np.ones((2, 3)), np.ones((3, 2)), ks=(1,)), "relevance must have shape"),
        (lambda: retrieval(np.ones((2, 3)), -np.ones((2, 3)), ks=(1,)), "grades of at least 0"),
        (lambda: retrieval(np.ones((2, 3)), np.zeros((2, 3)), ks=(1,)), "at least one query"),
        (
            lambda: retrieval(np.ones((2, 3)), np.ones((2, 3)), ks=(5,)),
            "ks must be an integer between 1 and 3",
        ),
        (
            lambda: retrieval((np.ones((2, 3)), np.ones((2, 4))), np.ones((2, 2)), ks=(1,)),
            "queries must have 4",
        ),
        (lambda: retrieval(np.ones((2, 3)), np.ones((2, 3)), ks=(1,), query_ids=[0, 1]), "given together"),
        (lambda: retrieval(np.ones((2, 3)), {0: [7]}, ks=(1,)), "not in document_ids"),
        (
            lambda: retrieval(np.ones((1, 2)), [[1, 1]], ks=(1,), query_ids=[5], document_ids=[1, 1]),
            "document_ids must all be different",
        ),
        (lambda: paired_retrieval(np.ones((2, 3)), np.ones((4, 3)), ks=(1,)), "owner"),
        (
            lambda: paired_retrieval(np.ones((2, 3)), np.ones((2, 3)), ks=(1,), owner=[0, 2]),
            "row numbers of a",
        ),
    ],
)
def test_bad_input(call, named):
    with pytest.raises(ValueError, match=named):
        call()
