"""MEOW and AdaMEOW: weighted contrast, linked graphs, training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from nearfar import workflow
from nearfar.graph.data import LinkedGraph, load
from nearfar.graph.data.linked import path_counts, strongest
from nearfar.graph.linked_encoder import attended
from nearfar.graph.methods.meow import MEOW, PairWeights
from nearfar.losses import cluster_contrast, concentration, info_nce, together_weights, weighted_contrast
from nearfar.reproductions.arms import build, shared, train
from nearfar.training import Optimization, Training
from tests.graph.learning import accuracy
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("meow", "weighted_infonce"))
def test_meows_contrast_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    weights = together_weights(a["in_assign"])
    assert (weights.diagonal() == 0).all()
    tau = case.hyper["tau"]
    assert_parity(case, a, weighted_contrast(a["in_a"], a["in_b"], weights, temperature=tau, normalize=False))


@pytest.mark.parametrize("case", parity("meow", "adameow_loss"))
def test_adameows_contrast_is_the_released_one(case: ParityCase) -> None:
    a = case.load()

    def weights(rows: torch.Tensor, everything: torch.Tensor, first: int) -> torch.Tensor:
        hidden = torch.tanh((rows[:, None] + everything[None]) @ a["in_w1"].T + a["in_b1"])
        return torch.sigmoid(hidden @ a["in_w2"].T + a["in_b2"]).squeeze(2)

    tau = case.hyper["tau"]
    assert_parity(case, a, weighted_contrast(a["in_a"], a["in_b"], weights, temperature=tau, normalize=False))
    own = PairWeights(a["in_a"].shape[1]).double()
    own.first.weight.data, own.first.bias.data = a["in_w1"].detach(), a["in_b1"].detach()
    own.second.weight.data, own.second.bias.data = a["in_w2"].detach(), a["in_b2"].detach()
    torch.testing.assert_close(own(a["in_a"], a["in_b"]), weights(a["in_a"], a["in_b"], 0))


@pytest.mark.parametrize("case", parity("meow", "proto_nce"))
def test_the_contrast_with_centres_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    each = [cluster_contrast(a["in_a"], a[f"in_assign_{r}"], a[f"in_cent_{r}"], a[f"in_phi_{r}"]) for r in range(2)]
    assert_parity(case, a, torch.stack(each).mean())


@pytest.mark.parametrize("case", parity("meow", "view_attention"))
def test_the_attention_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    found = attended(a["in_z"], a["in_w"], a["in_b"], a["in_q"])
    torch.testing.assert_close(found, a["out_out"])
    assert_parity(case, a, found.square().sum())


def test_equal_weights_are_info_nce_in_blocks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from nearfar.losses.engine import blocks, tiles

    a, b = (torch.randn(20, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    expected = info_nce(a, b, temperature=0.5)
    ones = torch.ones(20, 20)
    for entries in (1 << 20, 0):
        monkeypatch.setattr(tiles, "SINGLE_TILE_ENTRIES", entries)
        monkeypatch.setattr(blocks, "BLOCK_ENTRIES", {"cpu": 60})
        torch.testing.assert_close(weighted_contrast(a, b, ones, temperature=0.5), expected)
        weights = PairWeights(5).double()
        value = weighted_contrast(a, b, weights, temperature=0.5)
        assert torch.isfinite(torch.autograd.grad(value, weights.first.weight)[0]).all()
    assert torch.isfinite(weighted_contrast(a, b, torch.zeros(20, 20), temperature=0.5))
    with pytest.raises(ValueError, match="weights must have shape"):
        weighted_contrast(a, b, ones[:3], temperature=0.5)


def test_concentrations_have_the_temperature_as_their_mean() -> None:
    closeness = torch.rand(50, dtype=torch.float64)
    assignment = torch.arange(50) % 7
    found = concentration(closeness, assignment, 9, temperature=0.4)  # two clusters are empty
    assert found.mean().item() == pytest.approx(0.4)
    assert found[7] == found[8] == found.max()
    by_hand = np.array(
        [closeness[assignment == c].sqrt().mean() / np.log((assignment == c).sum() + 5) for c in range(7)]
    )
    by_hand = np.append(by_hand, [by_hand.max()] * 2)
    by_hand = np.clip(by_hand, *np.percentile(by_hand, [10, 90]))
    np.testing.assert_allclose(found.numpy(), 0.4 * by_hand / by_hand.mean())


def test_paths_are_counted_and_the_strongest_kept() -> None:
    links = sparse.csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 0, 0]]))
    counts = path_counts(links)
    assert counts.toarray().tolist() == [[2, 2, 1, 0], [2, 2, 1, 0], [1, 1, 2, 0], [0, 0, 0, 0]]
    kept = strongest(counts, 2).toarray()
    assert kept.tolist() == [[2, 2, 0, 0], [2, 2, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("negatives", ["clusters", "learned"])
def test_it_learns_topics(negatives: str) -> None:
    data = load("library", nodes=240)
    learned = negatives == "learned"  # its loss has no lower bound, and its rate is small for that
    slow = Optimization("adam", lr=3e-4 if learned else 2e-3, weight_decay=0.0, schedule="constant")
    method = build("meow", data, 0, negatives=negatives, temperature=1.0 if learned else 0.4, optimization=slow)
    before = accuracy(method, data)
    train("meow", method, data, 0, steps=25)
    assert accuracy(method, data) > (before - 0.03 if learned else before + 0.02)
    with method.frozen():
        assert torch.linalg.matrix_rank(method.encode(data.graph)) > 4


def test_general_methods_run_on_linked_graphs_and_others_are_refused(tmp_path: Path) -> None:
    data = load("library", nodes=80)
    method = build("grace", data, 0, hidden=8)
    assert torch.isfinite(method.loss(method.views(data.graph)))
    with pytest.raises(TypeError, match="meow takes one graph of several kinds"):
        build("meow", load(nodes=150), 0)
    settings = Training(steps=2)
    arguments = {"dim": 8, "clusters": (4,), "most": 10}
    options = {"nodes": 80}
    method, run = workflow.train(
        "meow", out=tmp_path / "r", data="library", data_options=options, arguments=arguments, training=settings,
        progress=False,
    )  # fmt: skip
    assert run is not None
    _, again, _ = workflow.load_run(run.path)
    with method.frozen(), again.frozen():
        assert torch.equal(method.encode(data.graph), again.encode(data.graph))
    with pytest.raises(ValueError, match="has no links"):
        LinkedGraph(np.ones((3, 2)), {})
    with pytest.raises(ValueError, match="negatives must be"):
        MEOW(2, {"a": 3}, 5, negatives="none")  # type: ignore[arg-type]


@pytest.mark.skipif(not shared("acm/acm.npz"), reason="NEARFAR_DATA names no folder with acm")
def test_acm_has_its_published_size() -> None:
    found = load(shared("acm/acm.npz"))
    assert isinstance(found, LinkedGraph)
    assert found.graph.x.shape == (4019, 1902)
    assert {kind: matrix.shape for kind, matrix in found.links.items()} == {
        "author": (4019, 7167),
        "subject": (4019, 60),
    }
