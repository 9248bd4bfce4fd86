"""REARM: its losses, graphs and networks, and training on items with two kinds of features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from nearfar import workflow
from nearfar.losses import modal_contrast, modal_orthogonality
from nearfar.recommend.data import Interactions, load
from nearfar.recommend.evaluation import evaluate
from nearfar.recommend.graphs import resembling, together
from nearfar.recommend.meta import FeatureAttention, MetaShare
from nearfar.recommend.methods import REARM
from nearfar.reproductions.arms import build, train
from nearfar.training import Training
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("rearm", "modal_contrast_loss"))
def test_the_contrast_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    tau = case.hyper["temperature"]
    assert_parity(case, a, modal_contrast(a["in_v"], a["in_t"], a["in_index"], temperature=tau), rtol=1e-6)


@pytest.mark.parametrize("case", parity("rearm", "orthogonal_loss"))
def test_the_orthogonality_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    rows = a["in_feat"][a["in_index"][:, 0]]
    v, t = rows.split(case.hyper["dim"], 1)
    assert_parity(case, a, modal_orthogonality(v, t))


@pytest.mark.parametrize("case", parity("rearm", "feature_knn_graph"))
def test_the_graph_of_resemblance_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    found = resembling(a["in_x"].detach().numpy(), case.hyper["k"]).toarray()
    np.testing.assert_allclose(found, a["out_adj"].detach().numpy(), rtol=1e-6, atol=1e-9)


def test_chosen_together() -> None:
    chosen = sparse.csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    found = together(chosen, 2).toarray()
    assert (found.diagonal() == 0)[:3].all()
    np.testing.assert_allclose(found.sum(1), 1)
    e = np.exp(1)
    np.testing.assert_allclose(found[1], [e / (1 + e), 0, 1 / (1 + e), 0])
    assert set(np.flatnonzero(found[3])) == {1, 0}  # nobody shares with it: the most active


def test_what_both_kinds_share_is_its_formula() -> None:
    torch.manual_seed(0)
    share = MetaShare(4, 2).double()
    ids, both = torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 8, dtype=torch.float64)
    told = both @ share.told.weight.T + share.told.bias

    def matrix(network: torch.nn.Sequential, rows: int) -> torch.Tensor:
        h = told @ network[0].weight.T + network[0].bias
        h = torch.where(h > 0, h, network[1].weight * h) @ network[2].weight.T + network[2].bias
        parts = (h / h.norm(dim=1, keepdim=True)).view(6, rows, -1)
        return torch.softmax(parts + parts.mean(0), 1)

    first, second = matrix(share.left, 4), matrix(share.right, 2)
    slow = [[sum(ids[n] @ first[n, :, r] * second[n, r, j] for r in range(2)) for j in range(4)] for n in range(6)]
    torch.testing.assert_close(share(ids, both), torch.stack([torch.stack(row) for row in slow]))


def test_networks_keep_shapes_and_the_constant() -> None:
    v, t = (torch.randn(7, 5, requires_grad=True) for _ in range(2))
    first, second = FeatureAttention(5)(v, t)
    assert first.shape == second.shape == (7, 5)
    share = MetaShare(5, 2)
    ids = torch.randn(7, 5, requires_grad=True)
    share(ids, torch.cat((v, t), 1)).sum().backward()
    assert v.grad is None
    assert share.told.weight.grad is None
    assert ids.grad is not None
    with pytest.raises(ValueError, match="index must name rows"):
        modal_contrast(v, t, torch.tensor([9]), temperature=0.5)


def test_it_learns_and_is_opened_again(tmp_path) -> None:  # type: ignore[no-untyped-def]
    data = load(shoppers=60)
    assert isinstance(data, Interactions)
    method = build("rearm", data, 0, dim=8)
    method.begin(data)
    before = evaluate(method.eval(), data)["recall@20"]
    method.train()
    train("rearm", method, data, 0, epochs=15, batch_size=128)
    assert evaluate(method, data)["recall@20"] > before + 0.03
    method, run = workflow.train("rearm", out=tmp_path / "r", data_options={"shoppers": 40}, arguments={"dim": 8},
                                 training=Training(steps=2, batch_size=64), progress=False)  # fmt: skip
    assert run is not None
    _, again, _ = workflow.load_run(run.path)
    other = load(shoppers=40)
    assert evaluate(again, other) == evaluate(method, other)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="rearm takes interactions with items that have features"):
        build("rearm", Interactions(np.eye(3)), 0)
    with pytest.raises(ValueError, match="two kinds of features"):
        REARM(3, 3, 3, {"image": 2})
