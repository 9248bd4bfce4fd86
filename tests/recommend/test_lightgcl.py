"""LightGCL and LightGCN: propagation, losses, negatives, training, runs that are opened again, recommendations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from scipy import sparse

from nearfar import workflow
from nearfar.cli import main
from nearfar.losses import bpr, full_contrast
from nearfar.parts import SparseMatrix
from nearfar.recommend.data import Interactions, load
from nearfar.recommend.encoders import normalised
from nearfar.recommend.evaluation import evaluate, per_user, recall_and_ndcg
from nearfar.recommend.methods import LightGCL, LightGCN
from nearfar.recommend.ranking import best_items
from nearfar.reproductions.arms import build, train
from nearfar.training import Training
from tests.parity import ParityCase, assert_parity, parity


@pytest.fixture(scope="module")
def shoppers() -> Interactions:
    return load(shoppers=120)


def from_adjacency(adjacency: torch.Tensor, method: LightGCN | LightGCL) -> None:
    """Make the method's graph the released, already normalised one."""
    method.double()
    method.encoder.graph.fill(sparse.csr_matrix(adjacency.detach().numpy()))


@pytest.mark.parametrize("case", parity("lightgcl", "lightgcl_loss"))
def test_lightgcl_is_the_released_loss(case: ParityCase) -> None:
    a = case.load()
    adjacency, hyper = a["in_adj"], case.hyper
    method = LightGCL(
        *adjacency.shape,
        int((adjacency != 0).sum()),
        dim=a["in_eu"].shape[1],
        layers=hyper["layers"],
        rank=hyper["q"],
        temperature=hyper["temp"],
        weight=hyper["lambda_1"],
        l2=hyper["lambda_2"],
    )
    from_adjacency(adjacency, method)
    method.low_users, method.low_items = (a["in_u"] * a["in_s"]).detach(), a["in_v"].detach()
    del method.encoder.users, method.encoder.items
    method.encoder.users, method.encoder.items = a["in_eu"], a["in_ei"]  # type: ignore[assignment]
    terms = method.loss(_triples(a, "uids"))
    torch.testing.assert_close(terms["bpr"], a["out_loss_r"])
    torch.testing.assert_close(terms["contrast"], a["out_loss_s_scaled"])
    assert_parity(case, a, sum(terms.values()))


@pytest.mark.parametrize("case", parity("lightgcl", "lightgcn_bpr"))
def test_lightgcn_is_the_released_loss(case: ParityCase) -> None:
    a = case.load()
    adjacency = a["in_adj"]
    method = LightGCN(
        *adjacency.shape,
        int((adjacency != 0).sum()),
        dim=a["in_eu"].shape[1],
        layers=case.hyper["layers"],
        decay=case.hyper["decay"],
    )
    from_adjacency(adjacency, method)
    del method.encoder.users, method.encoder.items
    method.encoder.users, method.encoder.items = a["in_eu"], a["in_ei"]  # type: ignore[assignment]
    users, items = method.encoder()
    torch.testing.assert_close(users, a["out_users_out"])
    torch.testing.assert_close(items, a["out_items_out"])
    assert_parity(case, a, sum(method.loss(_triples(a, "users")).values()))


def _triples(a: dict[str, torch.Tensor], users: str):  # type: ignore[no-untyped-def]
    from nearfar.recommend.method import Triples

    return Triples(a[f"in_{users}"], a["in_pos"], a["in_neg"])


def test_the_contrast_in_tiles_is_the_plain_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    from nearfar.losses.engine import tiles

    generator = torch.Generator().manual_seed(0)
    anchors, everything = (torch.randn(50, 7, generator=generator, dtype=torch.float64) for _ in range(2))
    index = torch.randint(50, (80,), generator=generator)
    anchors.requires_grad_()
    everything.requires_grad_()

    def plain() -> torch.Tensor:
        logits = anchors[index] @ everything.T / 0.3
        own = logits[torch.arange(80), index].clamp(-5, 5)
        return (torch.log(logits.exp().sum(1) + 1e-8) - own).mean()

    expected = torch.autograd.grad(plain(), (anchors, everything))
    for tile in (1 << 20, 0):
        monkeypatch.setattr(tiles, "SINGLE_TILE_ENTRIES", tile)
        monkeypatch.setattr(tiles, "TILE", {"cpu": (8, 16)})
        value = full_contrast(anchors, everything, index, temperature=0.3)
        torch.testing.assert_close(value, plain())
        for found, right in zip(torch.autograd.grad(value, (anchors, everything)), expected, strict=True):
            torch.testing.assert_close(found, right)
    assert torch.isfinite(full_contrast(anchors * 1e3, everything, index, temperature=0.1))


def test_losses_refuse_what_does_not_fit() -> None:
    x = torch.randn(4, 3)
    with pytest.raises(ValueError, match="equally many scores"):
        bpr(torch.randn(3), torch.randn(4))
    with pytest.raises(TypeError, match="whole numbers"):
        full_contrast(x, x, torch.tensor([0.0]), temperature=1.0)
    with pytest.raises(ValueError, match="names rows 0 to 4 of 4"):
        full_contrast(x, x, torch.tensor([0, 4]), temperature=1.0)
    with pytest.raises(ValueError, match="row i is node i"):
        full_contrast(x, x[:2], torch.tensor([0]), temperature=1.0)
    assert bpr(torch.zeros(2), torch.zeros(2)).item() == pytest.approx(np.log(2))


def test_the_sparse_product_and_its_gradients_are_those_of_the_dense_one() -> None:
    dense = sparse.random(9, 6, 0.3, random_state=0).toarray()
    matrix = SparseMatrix(9, 6, int((dense != 0).sum())).double()
    matrix.fill(sparse.csr_matrix(dense))
    full = torch.from_numpy(dense)
    x = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    y = torch.randn(9, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(matrix, x)
    assert torch.autograd.gradgradcheck(matrix, x)
    torch.testing.assert_close(matrix(x), full @ x)
    torch.testing.assert_close(matrix(y, transposed=True), full.T @ y)
    kept = matrix.thinned(0.5, torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda z: matrix(z, kept=kept), x)
    assert 0 < (kept[0] == 0).sum() < len(kept[0])
    with pytest.raises(ValueError, match="9 x 6 with"):
        matrix.fill(sparse.csr_matrix(np.ones((9, 6))))


def test_propagation_is_normalised_by_both_degrees() -> None:
    chosen = sparse.csr_matrix(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]]))
    found = normalised(chosen).toarray()
    np.testing.assert_allclose(found, [[2**-0.5, 0.5, 0], [0, 2**-0.5, 0], [0, 0, 0]])


def test_negatives_are_never_what_the_user_chose(shoppers: Interactions) -> None:
    method = build("lightgcn", shoppers, 0)
    method.begin(shoppers)
    batch = shoppers.batch(np.arange(len(shoppers)))
    assert shoppers.learn.nnz == len(shoppers)
    for _ in range(3):
        other = method.views(batch).other.numpy()
        assert not shoppers.learn.toarray()[batch.users.numpy(), other].any()
    everything = Interactions(np.ones((2, 3)))
    method = LightGCN(2, 3, 6)
    method.begin(everything)
    assert method.views(everything.batch(np.arange(6))).other.max() < 3  # nothing is left, and it still ends


def test_the_best_items_are_those_of_a_full_sort() -> None:
    rng = np.random.default_rng(0)
    users, items = (rng.normal(size=(n, 5)).astype(np.float32) for n in (300, 41))
    chosen = sparse.random(300, 41, 0.3, format="csr", random_state=0)
    rows = rng.permutation(300)[:200]
    found, scores = best_items(users, items, rows, chosen.indptr, chosen.indices, 10)
    full = users @ items.T
    full[chosen.nonzero()] = -np.inf
    expected = np.argsort(-full[rows], axis=1, kind="stable")[:, :10]
    assert np.array_equal(found, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(full[rows], expected, 1), rtol=1e-6)
    found, _ = best_items(
        users, items, rows[:1], *(sparse.csr_matrix(np.ones((300, 41))).indptr, np.tile(np.arange(41), 300)), 3
    )
    assert (found == -1).all()
    with pytest.raises(ValueError, match="between 1 and the number of items, 41"):
        best_items(users, items, rows, chosen.indptr, chosen.indices, 42)


def test_recall_and_ndcg_by_hand() -> None:
    hits = np.array([[True, False, True], [False, False, False]])
    recall, ndcg = recall_and_ndcg(hits, np.array([2, 5]))
    np.testing.assert_allclose(recall, [1.0, 0.0])
    np.testing.assert_allclose(ndcg, [(1 + 0.5) / (1 + 1 / np.log2(3)), 0.0])


@pytest.mark.parametrize("slug", ["lightgcn", "lightgcl"])
def test_training_ranks_better_than_chance_and_than_before(slug: str, shoppers: Interactions) -> None:
    # Among so few the contrast's published weight leaves no room for tastes.
    method = build(slug, shoppers, 0, **({"weight": 0.001} if slug == "lightgcl" else {}))
    before = evaluate(method.eval(), shoppers)
    method.train()
    train(slug, method, shoppers, 0, epochs=30, batch_size=512)
    after = evaluate(method, shoppers)
    assert after["recall@20"] > before["recall@20"] + 0.1
    users, _ = method.vectors()
    assert torch.linalg.matrix_rank(users) > 10  # not one taste for all
    assert len(per_user(method, shoppers)["user"]) <= 120


def test_the_low_rank_graph_is_the_best_one(shoppers: Interactions) -> None:
    method = build("lightgcl", shoppers, 0)
    method.begin(shoppers)
    dense = normalised(shoppers.learn).toarray()
    left, values, right = np.linalg.svd(dense, full_matrices=False)
    best = (left[:, :5] * values[:5]) @ right[:5]
    np.testing.assert_allclose((method.low_users @ method.low_items.T).numpy(), best, atol=1e-5)


def test_edges_are_dropped_in_training_alone(shoppers: Interactions) -> None:
    method = build("lightgcl", shoppers, 0, drop_edge=0.5)
    method.begin(shoppers)
    views = method.views(shoppers.batch(np.arange(50)))
    first, second = (sum(v.item() for v in method.loss(views).values()) for _ in range(2))
    assert first != second
    assert np.array_equal(method.rank([0, 1], 5)[0], method.rank([0, 1], 5)[0])


def test_a_run_is_opened_again_and_recommends_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "log.csv"
    rng = np.random.default_rng(0)
    rows = [f"u{u},i{(u % 4) * 6 + int(rng.integers(6))},{t}" for t in range(12) for u in range(30)]
    table.write_text("user,item,time\n" + "\n".join([*rows, "u1,,3", "u2,i2,soon"]) + "\n")
    out = tmp_path / "run"
    words = ["train", "lightgcl", "--data", str(table), "--out", str(out), "--split", "time", "--epochs", "3"]
    words += ["--preset", "paper"]
    assert main([*words, "--batch-size", "64", "--rank", "3"]) == 0
    assert "2 of 362 rows" in capsys.readouterr().err
    assert (out / "skipped.tsv").read_text().count("\n") == 3
    entry, again, run = workflow.load_run(out)
    data = workflow.run_data(entry, run.config["data"])
    method, _ = workflow.train("lightgcl", data=table, data_options={"split": "time"}, arguments={"rank": 3},
                               training=Training(epochs=3, batch_size=64), progress=False)  # fmt: skip
    assert np.array_equal(again.rank([0, 5], 4)[0], method.rank([0, 5], 4)[0])
    (tmp_path / "who.csv").write_text("user\nu3\nnobody\nu7\n")
    found = tmp_path / "found.parquet"
    assert main(["recommend", str(out), str(tmp_path / "who.csv"), "-k", "4", "-o", str(found)]) == 0
    assert "1 users were left out, the first: nobody" in capsys.readouterr().err
    listed = pq.read_table(found).to_pydict()
    assert set(listed["user"]) == {"u3", "u7"}
    assert listed["place"][:4] == [1, 2, 3, 4]
    known = set(data.item_ids[data.learn[data.rows_of(["u3"])[0][0]].indices])
    assert not known & {item for user, item in zip(listed["user"], listed["item"], strict=True) if user == "u3"}
    assert main(["recommend", str(out), "-o", str(found)]) == 2  # never overwritten unasked
    (tmp_path / "who.csv").write_text("user\nnobody\n")
    assert main(["recommend", str(out), str(tmp_path / "who.csv"), "-o", str(tmp_path / "n.csv")]) == 2
    assert "none of the 1 users can be answered" in capsys.readouterr().err
    assert main(["evaluate", str(out), "--also", "activity"]) == 0
    assert main(["embed", str(out), "-o", str(tmp_path / "v.npz")]) == 2
    assert "no system that embeds; it ranks" in capsys.readouterr().err


def test_other_people_are_refused_in_a_sentence(shoppers: Interactions) -> None:
    method = build("lightgcn", shoppers, 0)
    with pytest.raises(ValueError, match="answers for the people and items that it learned from"):
        evaluate(method, load(shoppers=60))
    with pytest.raises(ValueError, match="rank must lie between 1 and"):
        LightGCL(10, 4, 20, rank=4)
    with pytest.raises(ValueError, match="users is needed"):
        LightGCL()
