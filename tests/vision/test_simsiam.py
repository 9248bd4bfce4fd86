"""SimSiam learns without negatives, and only its predictor keeps its rate."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nearfar.reproductions.arms import build
from nearfar.vision.methods import SimSiam
from tests.vision.learning import digits, learn, one_loss


def test_it_beats_its_untrained_encoder_without_collapse() -> None:
    _, before, after = learn("simsiam")
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


def test_no_gradient_flows_into_what_is_predicted() -> None:
    method = build("simsiam", digits(), 0)
    assert isinstance(method, SimSiam)
    one, two = torch.rand(2, 16, 3, 16, 16)
    weights = [*method.network.parameters()]
    z1, z2 = method.network(one), method.network(two)
    p1, p2 = method.predictor(z1), method.predictor(z2)
    held = -(F.cosine_similarity(p1, z2.detach()) + F.cosine_similarity(p2, z1.detach())).mean() / 2
    flowing = -(F.cosine_similarity(p1, z2) + F.cosine_similarity(p2, z1)).mean() / 2
    loss = method.loss((one, two))
    torch.testing.assert_close(loss, held)
    found = torch.autograd.grad(loss, weights)
    torch.testing.assert_close(found, torch.autograd.grad(held, weights, retain_graph=True), atol=1e-6, rtol=1e-3)
    assert not torch.allclose(found[0], torch.autograd.grad(flowing, weights)[0], atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("constant", [True, False])
def test_the_predictors_rate_stays_constant_if_asked(constant: bool) -> None:
    method = build("simsiam", digits(), 0, constant_predictor_rate=constant)
    assert isinstance(method, SimSiam)
    optimizer, scheduler = method.optimization.build(method.parameter_groups(), total_steps=10, batch_size=None)
    peak = method.optimization.lr
    for _ in range(9):
        optimizer.step()
        scheduler.step()
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rate) == len([*method.parameters()])
    assert {rate[id(p)] < peak / 5 for p in method.network.parameters()} == {True}
    assert {rate[id(p)] == peak for p in method.predictor.parameters()} == {constant}


def test_heads_are_the_released_layers() -> None:
    """Linear, batch norm, ReLU twice and a last norm without weights; a predictor with a bias at its end. The release
    has a frozen bias before that last norm, which the norm takes out."""
    method = SimSiam("small-conv", projection_dim=4, predictor_hidden=3).double().train()
    x = torch.randn(6, method.features, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def norm(h: torch.Tensor) -> torch.Tensor:
        return (h - h.mean(0)) / (h.var(0, correction=0) + 1e-5).sqrt()

    weights = [p for p in method.head.parameters() if p.ndim == 2]
    h = norm(norm(norm(x @ weights[0].T).relu() @ weights[1].T).relu() @ weights[2].T)
    torch.testing.assert_close(method.head(x), h)
    first, last = [p for p in method.predictor.parameters() if p.ndim == 2]
    bias = method.predictor[-1].bias  # type: ignore[index]
    torch.testing.assert_close(method.predictor(h), norm(h @ first.T).relu() @ last.T + bias)


def test_heads_have_the_published_shapes() -> None:
    method = SimSiam("small-conv", projection_dim=12, predictor_hidden=4)
    linear = [m for m in (*method.head, *method.predictor) if isinstance(m, torch.nn.Linear)]  # type: ignore[misc]
    assert [(m.in_features, m.out_features) for m in linear] == [(128, 12), (12, 12), (12, 12), (12, 4), (4, 12)]
    assert not list(method.head[-1].parameters())  # type: ignore[index]
    assert linear[-1].bias is not None
    assert torch.isfinite(one_loss(SimSiam("small-conv", projection_dim=12, predictor_layers=0)))  # type: ignore[arg-type]
