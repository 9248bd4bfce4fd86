"""kNN against a slow loop, with ties, in tiles, through faiss, and under rotation."""

import sys

import numpy as np
import pytest
import torch

from nearfar.evaluation import knn, knn_predict, nearest_neighbours


def slow_knn(x, y, z, k, temperature, exclude_self=False):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    predictions = []
    for i, query in enumerate(z):
        cosines = x @ query
        order = [j for j in sorted(range(len(x)), key=lambda j: -cosines[j]) if not (exclude_self and j == i)]
        votes = dict.fromkeys(np.unique(y), 0.0)
        for j in order[:k]:
            votes[y[j]] += np.exp(cosines[j] / temperature)
        predictions.append(max(votes, key=votes.get))
    return np.array(predictions)


@pytest.mark.parametrize("k", [1, 5, 60])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_agrees_with_a_slow_loop(k, temperature):
    rng = np.random.default_rng(k)
    x, z, y, t = (
        rng.normal(size=(60, 4)),
        rng.normal(size=(40, 4)),
        rng.integers(0, 5, 60),
        rng.integers(0, 5, 40),
    )
    expected = slow_knn(x, y, z, k, temperature)
    assert np.array_equal(knn_predict(x, y, z, k=k, temperature=temperature), expected)
    assert knn(x, y, z, t, k=k, temperature=temperature) == np.mean(expected == t)


def test_leaving_oneself_out():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), rng.integers(0, 10, 50)
    assert knn(x, y, x, y, k=1) == 1
    for index in ("exact", "faiss"):
        predictions = knn_predict(x, y, x, k=3, exclude_self=True, index=index)
        assert np.array_equal(predictions, slow_knn(x, y, x, 3, 0.07, exclude_self=True))
    with pytest.raises(ValueError, match="same examples on both sides"):
        knn(x, y, x[:4], y[:4], exclude_self=True)


def test_equally_near_rows_are_taken_in_order():
    bank = np.repeat(np.eye(2), 10, axis=0)
    similarity, neighbours = nearest_neighbours(np.array([[1.0, 0.0], [0.0, 2.0]]), bank, 4)
    assert neighbours.tolist() == [[0, 1, 2, 3], [10, 11, 12, 13]]
    assert similarity == pytest.approx(np.ones((2, 4)))
    assert nearest_neighbours(np.array([[1.0, 1.0]]), bank, 12)[1].tolist() == [list(range(12))]
    assert nearest_neighbours(np.array([[1.0, 0.0]]), bank, 20)[1].tolist() == [list(range(20))]


def test_tiles_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    x, z = rng.integers(-1, 2, (70, 3)) + 0.5, rng.integers(-1, 2, (30, 3)) + 0.5
    y = rng.integers(0, 4, 70)
    whole = nearest_neighbours(z, x, 9)[1], knn_predict(x, y, z, k=9)
    monkeypatch.setattr("nearfar.evaluation._arrays.TILE_ELEMENTS", 150)
    assert np.array_equal(nearest_neighbours(z, x, 9)[1], whole[0])
    assert np.array_equal(knn_predict(x, y, z, k=9), whole[1])


def test_faiss_finds_the_same():
    rng = np.random.default_rng(0)
    x, z, y = rng.normal(size=(200, 8)), rng.normal(size=(50, 8)), rng.integers(0, 5, 200)
    exact, fast = (nearest_neighbours(z, x, 10, index=index) for index in ("exact", "faiss"))
    assert np.array_equal(exact[1], fast[1])
    np.testing.assert_allclose(exact[0], fast[0], atol=1e-6)
    assert np.array_equal(knn_predict(x, y, z, index="faiss"), knn_predict(x, y, z, index="exact"))


def test_faiss_with_duplicates_still_leaves_oneself_out():
    x = np.ones((30, 4), np.float32)
    _, neighbours = nearest_neighbours(x, x, 5, index="faiss", exclude_self=True)
    assert neighbours.shape == (30, 5)
    assert not (neighbours == np.arange(30)[:, None]).any()


def test_auto_takes_faiss_only_when_large_and_installed(monkeypatch):
    module = sys.modules["nearfar.evaluation.probing.knn"]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 4))
    calls = []
    search = module._search_faiss
    monkeypatch.setattr(module, "_search_faiss", lambda *a: calls.append(1) or search(*a))
    nearest_neighbours(x, x, 3)
    assert not calls
    monkeypatch.setattr(module, "_LARGE", 100)
    nearest_neighbours(x, x, 3)
    assert calls == [1]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    nearest_neighbours(x, x, 3)
    assert calls == [1]
    with pytest.raises(ImportError, match=r"nearfar\[search\]"):
        nearest_neighbours(x, x, 3, index="faiss")


def test_rotation_and_row_scale_do_not_matter():
    rng = np.random.default_rng(0)
    x, z, y = rng.normal(size=(100, 6)), rng.normal(size=(40, 6)), rng.integers(0, 3, 100)
    q = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    scaled = x * rng.uniform(0.1, 10, (100, 1))
    assert np.array_equal(knn_predict(x, y, z), knn_predict(scaled @ q, y, 7 * z @ q))


def test_small_temperatures_do_not_overflow():
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float16)
    y = np.array(["a", "b"] * 10)
    assert np.array_equal(knn_predict(x, y, x, k=5, temperature=1e-4), y)
