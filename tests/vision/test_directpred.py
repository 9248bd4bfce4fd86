"""DirectPred learns, its predictor is what the formula says, and the theory's networks align."""

from __future__ import annotations

import pytest
import torch

from nearfar.parts import DirectPredictor
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.vision.directpred import TrainedLinear, linear_theory
from nearfar.vision.methods import DirectPred
from tests.vision.learning import digits, learn, one_loss


@pytest.mark.parametrize(
    "changes",
    [{}, pytest.param({"alpha": 1.0, "eps": 0.3}, marks=pytest.mark.long)],
    ids=["DirectPred", "DirectCopy"],
)
def test_it_beats_its_untrained_encoder_without_collapse(changes: dict[str, float]) -> None:
    _, before, after = learn("directpred", steps=100, **changes)
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
def test_the_matrix_is_a_power_of_the_running_correlation(alpha: float) -> None:
    predictor = DirectPredictor(6, alpha=alpha, eps=0.05, rho=0.3).double()
    batches = [torch.randn(20, 6, dtype=torch.float64) @ torch.diag(torch.arange(1.0, 7.0).double()) for _ in range(3)]
    running = None
    for batch in batches:
        predictor.update(batch)
        fresh = sum(torch.outer(row, row) for row in batch) / len(batch)
        running = fresh if running is None else 0.3 * running + 0.7 * fresh
    assert running is not None
    torch.testing.assert_close(predictor.correlation, running)
    values, vectors = torch.linalg.eigh(running)
    power = vectors @ torch.diag(values**alpha) @ vectors.T
    expected = power / torch.linalg.matrix_norm(power, 2) + 0.05 * torch.eye(6, dtype=torch.float64)
    torch.testing.assert_close(predictor.weight.detach(), expected)
    x = torch.randn(3, 6, dtype=torch.float64)
    torch.testing.assert_close(predictor(x), x @ expected)


def test_features_without_rank_or_size_give_a_finite_matrix() -> None:
    for alpha in (0.5, 1.0):
        for features in (torch.zeros(4, 5), torch.ones(4, 5), torch.randn(2, 5)):
            predictor = DirectPredictor(5, alpha=alpha, eps=0.0)
            predictor.update(features)
            assert predictor.weight.isfinite().all()
    least = DirectPredictor(5, eps=0.0)
    least.update(torch.ones(4, 5))
    assert torch.linalg.eigvalsh(least.weight).min() > 0.9e-4


def test_the_predictor_is_set_after_the_step_and_trained_only_in_between() -> None:
    method = build("directpred", digits(), 0)
    assert isinstance(method, DirectPred)
    assert not method.predictor.weight.requires_grad
    before = method.predictor.weight.clone()
    loss = one_loss(method)
    assert torch.equal(method.predictor.weight, before)
    loss.backward()  # type: ignore[union-attr]
    method.after_step()
    assert not torch.equal(method.predictor.weight, before)
    assert method.predictor.updates == 1

    rare = build("directpred", digits(), 0, every=3)
    assert isinstance(rare, DirectPred)
    train("directpred", rare, digits(), 0, steps=4, batch_size=32)
    assert rare.predictor.weight.requires_grad
    torch.testing.assert_close(rare.predictor.weight.detach(), rare.predictor._matrix())  # set at update 3
    train("directpred", rare, digits(), 0, steps=1, batch_size=32)
    assert not torch.allclose(rare.predictor.weight.detach(), rare.predictor._matrix())


def test_the_baseline_trains_its_linear_predictor() -> None:
    method = build("directpred", digits(), 0, TrainedLinear)
    assert isinstance(method, TrainedLinear)
    before = method.predictor.weight.detach().clone()
    train("directpred", method, digits(), 0, steps=2, batch_size=32)
    assert not torch.equal(method.predictor.weight, before)


@pytest.mark.parametrize(
    "arguments", [{"alpha": 0.0}, {"eps": -0.1}, {"rho": 1.0}, {"every": 0}], ids=lambda a: next(iter(a))
)
def test_wrong_arguments_are_named(arguments: dict[str, float]) -> None:
    (name, value), *_ = arguments.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        DirectPredictor(4, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(N, 4\), got \(2, 3\)"):
        DirectPredictor(4).update(torch.zeros(2, 3))


def test_the_theorys_networks_align_and_need_both_parts() -> None:
    found = linear_theory(0)
    assert found["alignment"] > 0.85 > 0.5 > found["alignment before"]
    assert found["weights"] > 1
    assert linear_theory(0, predictor=False)["weights"] < 0.2
    assert linear_theory(0, stop_gradient=False)["weights"] < 1e-3
