"""CAMBranch: what stays when problems are moved, what the network sees, what is learned, kept and solved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.cli import main
from nearfar.control.bipartite import BranchingNetwork, PreNorm, pooled
from nearfar.control.data import load
from nearfar.control.data.branchings import (
    COLUMN,
    Branchings,
    Decision,
    drawn_shifts,
    moved_columns,
    read_branchings,
    together,
)
from nearfar.losses import branching
from nearfar.losses.control.branching import first_best
from nearfar.reproductions.arms import build, train
from nearfar.training import Optimization, Training

QUICK = Optimization("adam", lr=5e-3, weight_decay=0.0, schedule="constant")


def made(count: int, seed: int = 0, best: int = 3) -> list[Decision]:
    """Nodes of random shape; the candidate with the largest fraction scores best."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        n, m = rng.integers(5, 9), rng.integers(2, 5)
        columns = rng.normal(size=(n, len(COLUMN))).astype(np.float32)
        columns[:, :4] = np.eye(4, dtype=np.float32)[rng.integers(4, size=n)]
        columns[:, -2:] = np.nan
        candidates = rng.permutation(n)[:best]
        edges = np.stack([rng.integers(n, size=12), rng.integers(m, size=12)])
        found.append(
            Decision(
                columns,
                rng.normal(size=(m, 5)).astype(np.float32),
                edges,
                rng.normal(size=12).astype(np.float32),
                candidates,
                columns[candidates, COLUMN.index("fraction")],
            )
        )
    return found


def test_a_moved_problem_is_branched_on_alike_by_scip() -> None:
    pytest.importorskip("pyscipopt")
    from nearfar.control.solver import collect, covering, set_cover

    rng = np.random.default_rng(5)
    met = 0
    for _ in range(4):
        costs, covers = set_cover(rng)
        shifts = rng.integers(1, 5, 120).astype(float), rng.integers(6, 9, 120).astype(float)
        here, there = (collect([covering(costs, covers, s)], 9, ask=1.0, plain=True) for s in shifts)
        assert len(here) == len(there)
        for one, other in zip(here, there, strict=True):
            np.testing.assert_array_equal(one.candidates, other.candidates)
            np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)
            moved = moved_columns(together([one]), torch.from_numpy(shifts[1] - shifts[0]).float())
            np.testing.assert_allclose(moved.columns, other.columns, atol=1e-5)
            np.testing.assert_allclose(moved.rows, other.rows, atol=1e-5)
            assert one.columns[one.candidates, COLUMN.index("fraction")].min() > 0
            met += 1
    assert met >= 2


def test_shifts_are_whole_but_for_continuous_columns() -> None:
    batch = together(made(20))
    shifts = drawn_shifts(batch, 5.0, torch.Generator().manual_seed(0))
    real = batch.columns[:, 3] > 0
    assert torch.equal(shifts[~real], shifts[~real].round())
    assert (shifts[real] != shifts[real].round()).all()
    assert shifts.abs().max() <= 5
    moved = moved_columns(batch, shifts)
    assert moved.columns[:, -2:].isnan().all()  # what is missing stays missing
    assert torch.equal(moved.columns[:, :16], batch.columns[:, :16])
    back = moved_columns(moved, -shifts)
    torch.testing.assert_close(back.columns, batch.columns, equal_nan=True, atol=1e-5, rtol=0)
    torch.testing.assert_close(back.rows, batch.rows, atol=1e-5, rtol=0)


def test_nodes_beside_each_other_do_not_hear_each_other_and_orders_do_not_matter() -> None:
    decisions = made(3)
    network = BranchingNetwork(8).double()
    double = [d._replace(columns=d.columns.astype(float), rows=d.rows.astype(float)) for d in decisions]
    double = [d._replace(weights=d.weights.astype(float)) for d in double]
    network.fix_norms(together(double))
    columns, rows = network(together(double))
    alone = network(together(double[1:2]))
    first, count = len(double[0].columns), len(double[1].columns)
    torch.testing.assert_close(columns[first : first + count], alone[0])
    torch.testing.assert_close(rows[len(double[0].rows) :][: len(double[1].rows)], alone[1])
    order = np.random.default_rng(0).permutation(count)
    place = np.argsort(order)
    turned = double[1]._replace(
        columns=double[1].columns[order], edges=np.stack([place[double[1].edges[0]], double[1].edges[1]])
    )
    torch.testing.assert_close(network(together([turned]))[0], alone[0][order])


def test_norms_are_fixed_once_in_the_order_of_the_network() -> None:
    batch = together(made(30))
    network = BranchingNetwork(8)
    network.fix_norms(batch)
    norms = [layer for layer in network.modules() if isinstance(layer, PreNorm)]
    assert not any(layer.waiting for layer in norms)
    seen = {}
    for layer in norms:
        layer.register_forward_hook(lambda layer, _, out: seen.update({layer: out}))
    network(batch)
    for layer, out in seen.items():
        flat = out.reshape(-1, len(layer.mean))
        spread = flat.std(0, correction=0)
        torch.testing.assert_close(spread[spread > 1e-3], torch.ones_like(spread[spread > 1e-3]), atol=1e-3, rtol=0)
        if layer.shift:
            torch.testing.assert_close(flat.mean(0), torch.zeros(flat.shape[1]), atol=1e-4, rtol=0)
    before = [layer.deviation.clone() for layer in norms]
    network(together(made(5, seed=1)))
    assert all(torch.equal(layer.deviation, b) for layer, b in zip(norms, before, strict=True))
    of = torch.tensor([0, 0, 2])
    found = pooled(torch.tensor([[1.0], [-3.0], [5.0]]), of, 3)
    assert found.tolist() == [[1.0, -1.0], [0.0, 0.0], [5.0, 5.0]]


def test_the_choice_is_told_and_bad_input_named() -> None:
    of = torch.tensor([0, 0, 1, 1, 1])
    assert first_best(torch.tensor([1.0, 1.0, 0.0, 2.0, 2.0]), of, 2).tolist() == [0, 3]
    logits = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    loss = branching(logits, torch.tensor([0.0, 1, 2, 1, 0], dtype=torch.float64), of)
    assert float(loss.detach()) == pytest.approx((np.log(2) + np.log(3)) / 2)
    with pytest.raises(ValueError, match="every node from 0 to 2 must have a candidate"):
        branching(logits, logits.detach(), of * 2)
    with pytest.raises(ValueError, match="alike and not empty"):
        branching(logits, logits.detach()[:3], of)
    with pytest.raises(ValueError, match="span must be at least 1"):
        find("cambranch").load()(span=0.5)


def test_it_learns_the_choice_on_nodes_and_on_moved_ones_and_reopens(tmp_path: Path) -> None:
    source = Branchings(made(128), held_out=Branchings(made(40, seed=1)))
    method = build("cambranch", source, 0, hidden=16, shifted=1.0, contrast=0.1, optimization=QUICK)
    before = method.evaluate(source)
    train("cambranch", method, source, 0, steps=60, batch_size=16)
    after = method.evaluate(source)
    assert after["accuracy@1"] > max(before["accuracy@1"], 1 / 3) + 0.2
    assert after["accuracy@1 moved"] > 1 / 3 + 0.2
    assert after["accuracy@5"] == 1
    batch = source.batch(np.arange(6))
    chosen = method.predict(batch)
    assert all(int(c) in source.decisions[i].candidates for i, c in enumerate(chosen))
    summary = method.seen(batch)[1]
    assert summary.std(0).min() > 1e-4  # not one point for all
    source.save(tmp_path / "made.npz")
    settings = Training(steps=2, batch_size=8)
    data = load(tmp_path / "made.npz")
    trained, _ = workflow.train("cambranch", data=data, training=settings, out=tmp_path / "run", progress=False)
    _, again, _ = workflow.load_run(tmp_path / "run")
    assert torch.equal(trained.logits(batch), again.logits(batch))


def test_files_are_read_as_they_were_written_and_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "made.npz"
    source = Branchings(made(30))
    source.save(path)
    found = read_branchings(path)
    assert (len(found), len(found.held_out)) == (27, 3)  # type: ignore[arg-type]
    for mine, theirs in zip(source.decisions, found.decisions, strict=False):
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    arrays = dict(np.load(path))
    for change, expected in (
        ({"scores": arrays["scores"][1:]}, "scores must be"),
        ({"edges": arrays["edges"] + 99}, "names column"),
        ({"sizes": arrays["sizes"][:, :3]}, "sizes must be whole numbers"),
    ):
        np.savez(tmp_path / "bad.npz", **{**arrays, **change})
        with pytest.raises(ValueError, match=expected):
            load(tmp_path / "bad.npz")
    with pytest.raises(ValueError, match="at least 2"):
        Branchings(source.decisions[:1])


def test_from_problems_to_decisions_to_a_solved_problem(tmp_path: Path, capsys) -> None:
    pytest.importorskip("pyscipopt")
    from nearfar.control.solver import covering, set_cover

    rng = np.random.default_rng(3)
    problems = []
    for number in range(3):
        problems.append(str(tmp_path / f"{number}.lp"))
        covering(*set_cover(rng, 80, 120, 0.08)).writeProblem(problems[-1], verbose=False)
    data, run = str(tmp_path / "data.npz"), str(tmp_path / "run")
    assert main(["data", "branchings", *problems, "--plain", "--ask", "1", "--count", "6", "-o", data]) == 0
    assert main(["data", "branchings", problems[0], "-o", data]) == 2
    assert main(["train", "cambranch", "--data", data, "--preset", "tiny", "--out", run]) == 0
    capsys.readouterr()
    assert main(["solve", problems[0]]) == 0
    plain = capsys.readouterr().out
    assert main(["solve", problems[0], "--run", run]) == 0
    told = capsys.readouterr().out
    assert plain.split("bound")[0] == told.split("bound")[0]
    assert "optimal: value" in told
    assert main(["solve", str(tmp_path / "none.mps")]) == 2
    assert "there is no file" in capsys.readouterr().err
    (tmp_path / "bad.mps").write_text("nonsense")
    assert main(["solve", str(tmp_path / "bad.mps")]) == 2
    assert "SCIP cannot read" in capsys.readouterr().err
