"""ContraBAR's belief, and CDiffuser's contrast of returns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.control.data.tasks import GOALS, TaskWalks
from nearfar.control.evaluation import probe_beliefs
from nearfar.losses import belief_nce, return_contrast
from nearfar.reproductions.arms import build, train
from nearfar.training import Optimization, Training
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("cdiffuser"))
def test_released_return_contrast(case: ParityCase) -> None:
    arrays = case.load()
    codes = [arrays[f"in_{name}"] @ arrays["in_w"].T + arrays["in_b"] for name in ("x0", "pos", "neg")]
    negatives = None if case.hyper.get("lower") == 0 else codes[2]
    found = return_contrast(
        codes[0], codes[1], negatives, temperature=case.hyper["T"], include_positive=case.hyper["kind"] == "hardnce"
    )
    assert_parity(case, arrays, found, rtol=1e-8)


def test_return_contrast_falls_towards_high_returns_and_is_its_formula() -> None:
    rng = torch.Generator().manual_seed(0)
    good, bad = torch.ones(2, 3, 4, 5).double(), -torch.ones(2, 3, 4, 5).double()
    near, far = torch.ones(2, 4, 5).double(), -torch.ones(2, 4, 5).double()
    assert return_contrast(near, good, bad) < return_contrast(far, good, bad)
    states = torch.randn(2, 4, 5, generator=rng, dtype=torch.float64).requires_grad_()
    positives, negatives = (torch.randn(2, 3, 4, 5, generator=rng, dtype=torch.float64) for _ in range(2))
    slow = 0.0
    for b in range(2):
        mass = []
        for other in (positives, negatives):
            cosines = [[F.cosine_similarity(states[b, h], other[b, k, h], dim=0) for h in range(4)] for k in range(3)]
            mass.append(sum(float((cosines[k][h] / 0.5).exp()) / (h + 1) for k in range(3) for h in range(4)))
        slow -= np.log((mass[0] / 9) / (mass[1] / 3)) / 2
    assert float(return_contrast(states, positives, negatives, temperature=0.5)) == pytest.approx(slow, rel=1e-9)
    assert torch.autograd.gradcheck(lambda s: return_contrast(s, positives, negatives, temperature=0.5), (states,))
    hard = return_contrast(states, positives, negatives, include_positive=True)
    assert hard > 0
    with pytest.raises(ValueError, match="positives must be"):
        return_contrast(states, positives[:, :, :2], None)


def test_belief_nce_is_cross_entropy_with_class_0() -> None:
    rng = torch.Generator().manual_seed(0)
    positive = torch.randn(6, generator=rng, dtype=torch.float64).requires_grad_()
    negatives = torch.randn(6, 4, generator=rng, dtype=torch.float64).requires_grad_()
    slow = F.cross_entropy(torch.cat([positive[:, None], negatives], 1), torch.zeros(6, dtype=torch.long))
    torch.testing.assert_close(belief_nce(positive, negatives), slow)
    assert torch.autograd.gradcheck(belief_nce, (positive, negatives))
    with pytest.raises(ValueError, match="positive must be"):
        belief_nce(positive, negatives[:3])


def test_the_ideal_observer_excludes_what_was_visited() -> None:
    data = TaskWalks(300, seed=3)
    batch = data.batch(np.arange(300))
    np.testing.assert_allclose(data.posterior.sum(1), 1, rtol=1e-12)
    for i in range(300):
        cells = batch.observations[i].argmax(1).numpy()
        paid = batch.rewards[i].numpy() > 0
        goal = GOALS[data.labels[i]]  # type: ignore[index]
        assert set(cells[paid]) <= {goal}
        if paid.any():
            assert data.posterior[i, data.labels[i]] == 1  # type: ignore[index]
        else:
            assert (data.posterior[i][np.isin(GOALS, cells)] == 0).all()
            assert data.posterior[i, data.labels[i]] > 0  # type: ignore[index]
    assert (batch.observations[:, ::15].argmax(2) < 6).all()  # each episode begins in the corner


def test_a_step_of_the_belief_knows_only_what_has_happened() -> None:
    data = TaskWalks(4, seed=0)
    method = build("contrabar", data, 0, belief=16)
    batch = data.batch(np.arange(4))
    with torch.no_grad():
        whole = method.encoder(batch)
        cut = method.encoder(type(batch)(*(part[:, :20] for part in batch[:3]), batch.rows))
    torch.testing.assert_close(whole[:, :20], cut)


def test_contrast_makes_the_belief_know_more_of_the_goal() -> None:
    data = TaskWalks(300, seed=0, held_out=TaskWalks(200, seed=1))
    quick = Optimization("adam", lr=3e-3, weight_decay=0.0, schedule="constant")
    method = build("contrabar", data, 0, belief=32, lookahead=3, negatives=4, optimization=quick)
    before = probe_beliefs(method.eval(), data)
    method.train()
    train("contrabar", method, data, 0, steps=30, batch_size=20)
    after = probe_beliefs(method, data)
    assert after["excess nats"] < before["excess nats"] - 0.02, (before, after)
    assert 0 < after["accuracy of an ideal observer"] <= 1


def test_a_reopened_belief_is_the_one_in_memory(tmp_path: Path) -> None:
    data = TaskWalks(60, held_out=TaskWalks(40, seed=1))
    arguments, _ = workflow.laptop_settings(find("contrabar"), tiny=True)
    settings = Training(steps=2, batch_size=8)
    method, _ = workflow.train(
        "contrabar", data=data, arguments=arguments, training=settings, out=tmp_path / "run", progress=False
    )
    _, again, _ = workflow.load_run(tmp_path / "run")
    batch = data.batch(np.arange(5))
    with torch.no_grad():
        assert torch.equal(method.encode(batch), again.encode(batch))
    with pytest.raises(ValueError, match="lookahead must be at least 1"):
        build("contrabar", data, 0, lookahead=0)
    with pytest.raises(ValueError, match="at least 2"):
        TaskWalks(1)
