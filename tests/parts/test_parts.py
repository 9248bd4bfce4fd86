"""Heads, momentum encoders, queues, shuffled groups, learnable temperature, LARS."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nearfar.parts import FeatureQueue, LogitScale, MLPHead, MomentumEncoder, momentum_at, shuffled_groups
from nearfar.training import LARS, Optimization


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("last_norm", ["none", "bn", "bn_no_affine"])
def test_head_shapes_and_last_norm(layers: int, last_norm: str) -> None:
    head = MLPHead(5, 7, 3, layers=layers, last_norm=last_norm)  # type: ignore[arg-type]
    out = head(torch.randn(32, 5) * 4 + 1)
    assert out.shape == (32, 3)
    assert sum(isinstance(m, nn.Linear) for m in head) == layers
    if last_norm != "none":
        assert torch.allclose(out.mean(0), torch.zeros(3), atol=1e-5)
        assert any(p is not None for p in head[-1].parameters()) == (last_norm == "bn")


def test_head_names_a_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"shape \(N, 5\), got \(2, 4\)"):
        MLPHead(5, 7, 3)(torch.zeros(2, 4))


def test_momentum_follows_the_formula() -> None:
    module, copy = nn.Linear(3, 2), None
    copy = MomentumEncoder(module, 0.9, "constant")
    before = copy.module.weight.clone()
    with torch.no_grad():
        module.weight.add_(1.0)
    assert copy.update(module) == 0.9
    assert torch.allclose(copy.module.weight, 0.9 * before + 0.1 * module.weight)
    assert not any(p.requires_grad for p in copy.parameters())
    assert not copy(torch.randn(2, 3, requires_grad=True)).requires_grad


def test_momentum_schedule_rises_to_one() -> None:
    values = [momentum_at(p / 10, 0.9) for p in range(11)]
    assert values[0] == pytest.approx(0.9)
    assert values[5] == pytest.approx(1 - 0.1 * (1 + math.cos(math.pi / 2)) / 2)
    assert values[-1] == pytest.approx(1.0)
    assert values == sorted(values)
    with pytest.raises(ValueError, match="momentum must be in"):
        momentum_at(0.0, 1.5)


def test_queue_is_first_in_first_out_and_wraps() -> None:
    queue = FeatureQueue(5, 2)
    rows = nn.functional.normalize(torch.randn(9, 2), dim=1)
    queue.enqueue(rows[:3])
    queue.enqueue(rows[3:7])
    assert holds(queue, rows[2:7])
    queue.enqueue(torch.cat([rows, rows]))  # longer than the queue: the last five stay
    assert holds(queue, rows[4:])
    assert torch.allclose(queue.keys.norm(dim=1), torch.ones(5))


def holds(queue: FeatureQueue, rows: torch.Tensor) -> bool:
    nearest = (queue.keys @ rows.T).max(1)
    return bool((nearest.values > 1 - 1e-6).all()) and nearest.indices.unique().numel() == len(rows)


def test_shuffled_groups_change_statistics_and_nothing_else() -> None:
    x = torch.randn(12, 3)
    linear = nn.Linear(3, 2)
    generator = torch.Generator().manual_seed(0)
    assert torch.allclose(shuffled_groups(linear, x, 4, generator), linear(x), atol=1e-6)
    norm = nn.BatchNorm1d(3)
    grouped = shuffled_groups(norm, x, 4, generator)
    assert not torch.allclose(grouped, norm(x))
    assert grouped.shape == x.shape
    assert torch.allclose(shuffled_groups(linear, x[:1], 8, generator), linear(x[:1]), atol=1e-6)


def test_logit_scale_is_clamped_and_learnable() -> None:
    scale = LogitScale(0.07)
    assert float(scale.temperature.detach()) == pytest.approx(0.07)
    scale.temperature.backward()
    assert scale.log_scale.grad is not None
    with torch.no_grad():
        scale.log_scale.fill_(50.0)
    scale.clamp()
    assert float(scale.temperature.detach()) == pytest.approx(0.01)


def test_lars_follows_the_formula() -> None:
    weight, bias = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(4))
    w0, b0 = weight.detach().clone(), bias.detach().clone()
    optimizer = LARS([weight, bias], lr=0.5, momentum=0.9, weight_decay=0.1, trust=0.01)
    velocity_w, velocity_b = torch.zeros_like(w0), torch.zeros_like(b0)
    for step in range(3):
        weight.grad, bias.grad = torch.full_like(weight, 0.3 + step), torch.full_like(bias, -0.2)
        g = weight.grad + 0.1 * w0
        g = g * 0.01 * w0.norm() / g.norm()
        velocity_w = 0.9 * velocity_w + g
        velocity_b = 0.9 * velocity_b + bias.grad
        w0, b0 = w0 - 0.5 * velocity_w, b0 - 0.5 * velocity_b
        optimizer.step()
        assert torch.allclose(weight, w0, atol=1e-6)
        assert torch.allclose(bias, b0, atol=1e-6)


def test_clipped_lars_takes_no_larger_step_than_sgd_and_keeps_smaller_ones() -> None:
    """The ratio 0.02 * ||p|| / ||g|| is 0.1 for the first and 0.001 for the second; the rate is 0.05."""
    near, far = nn.Parameter(torch.tensor([[3.0, 4.0]])), nn.Parameter(torch.tensor([[3.0, 4.0]]))
    near.grad, far.grad = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 100.0]])
    LARS([near, far], lr=0.05, trust=0.02, clip=True).step()
    assert torch.allclose(near, torch.tensor([[3.0, 4.0 - 0.05]]))
    assert torch.allclose(far, torch.tensor([[3.0, 4.0 - 0.05 * (0.001 / 0.05) * 100]]))


def test_lars_leaves_a_zero_tensor_to_the_plain_gradient() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    weight.grad = torch.ones(2, 2)
    LARS([weight], lr=0.1).step()
    assert torch.allclose(weight, torch.full((2, 2), -0.1))


def test_optimization_scales_warms_up_and_spares_vectors() -> None:
    layer = nn.Linear(3, 3)
    recipe = Optimization("sgd", lr=0.1, lr_batch=256, weight_decay=0.5, warmup=0.2, floor=0.1)
    optimizer, scheduler = recipe.build([{"params": layer.parameters()}], total_steps=10, batch_size=512)
    assert {g["weight_decay"] for g in optimizer.param_groups} == {0.5, 0.0}
    rates = []
    for _ in range(11):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[0] == pytest.approx(0.2 / 3)
    assert max(rates) == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", 0.0), ("weight_decay", -1.0), ("warmup", 1.0), ("floor", 2.0), ("momentum", 1.0)],
)
def test_optimization_names_a_wrong_value(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"optimization.{name} must be"):
        Optimization(**{name: value})  # type: ignore[arg-type]
