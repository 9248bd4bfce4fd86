"""Comparisons of segments: the world is exact, the policy becomes better, files are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.preference.data import Segments, load
from nearfar.preference.data.segments import MOVES, crossing, crossing_segments
from nearfar.preference.methods.cpl import CPL
from nearfar.training import Training, fit


def test_advantages_of_the_soft_optimum_are_log_probabilities_and_values_are_exact() -> None:
    world = crossing(0)
    advantages = world.soft_advantages(0.2)
    policy = np.exp(advantages / 0.2)
    others = np.arange(len(policy)) != world.goal
    np.testing.assert_allclose(policy.sum(1)[others], 1, rtol=1e-6)
    best = np.eye(len(MOVES))[world.soft_advantages(1e-3).argmax(1)]
    found, drifting = world.worth(best), world.worth(np.full(policy.shape, 0.25))
    assert found["success"] > 0.8 > 0.5 > drifting["success"]
    rng, gains = np.random.default_rng(0), []
    for _ in range(1500):
        state, gain = rng.choice(world.free), 0.0
        for t in range(60):
            a = best[state].argmax()
            gain += 0.9**t * world.rewards[state, a] * (state != world.goal)
            state = rng.choice(len(policy), p=world.moves[state, a])
        gains.append(gain)
    assert found["return"] == pytest.approx(np.mean(gains), abs=0.06)


def test_comparisons_improve_on_imitation() -> None:
    data = crossing_segments(1000, 0)
    settings, training = workflow.laptop_settings(find("cpl"))
    method = workflow.build_method(find("cpl"), {**settings, "imitate": 0.5}, data, 0)
    before = method.evaluate(data)
    fit(method, data, Training(**{**training, "steps": 200, "precision": "32"}), progress=False)
    after = method.evaluate(data)
    assert after["success"] > before["success"] + 0.05
    assert after["return"] > before["return"]
    assert after["accuracy"] > 0.7
    seen = torch.as_tensor(data.world.observations)
    assert method.act(seen).shape == (49,)
    drawn = [method.act(seen, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    torch.testing.assert_close(*drawn)


def test_the_reference_is_what_imitation_made_and_points_have_no_half() -> None:
    method = CPL(3, 2, False, hidden=(8,), dropout=0.0, reference=True)
    with torch.no_grad():
        method.encoder[0].weight.add_(1.0)
    method.begin_phase("prefer", None)
    torch.testing.assert_close(method.reference[0].weight, method.encoder[0].weight)
    seen, done = torch.randn(4, 5, 3), torch.rand(4, 5, 2)
    wanted = -((torch.tanh(method.encoder(seen)) - done) ** 2).sum(-1)
    torch.testing.assert_close(method.logp(method.encoder, seen, done), wanted)
    assert [phase.lr_scale for phase in method.phases] == [1.0, 0.1]


def test_segments_are_read_from_a_file_and_faults_are_named(tmp_path: Path) -> None:
    arrays = {
        "obs_1": np.zeros((4, 3, 2)), "obs_2": np.ones((4, 3, 2)), "action_1": np.zeros((4, 3, 1)),
        "action_2": np.zeros((4, 3, 1)), "label": np.array([0, 1, 0.5, 1]),
    }  # fmt: skip
    np.savez(tmp_path / "a.npz", **arrays)
    data = load(tmp_path / "a.npz")
    assert isinstance(data, Segments)
    assert dict(data.facts) == {"observed": 2, "actions": 1, "choices": False}
    assert data.batch(np.array([2])).label.tolist() == [0.5]
    with pytest.raises(ValueError, match="has no array label; segments need"):
        Segments({name: value for name, value in arrays.items() if name != "label"})
    with pytest.raises(ValueError, match="labels must be in"):
        Segments({**arrays, "label": np.array([0, 1, 2, 1])})
    with pytest.raises(ValueError, match="obs must be"):
        Segments({**arrays, "obs_2": np.ones((4, 2, 2))})
    with pytest.raises(ValueError, match="observed, actions and choices are needed"):
        CPL()
