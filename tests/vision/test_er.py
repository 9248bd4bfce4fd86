"""ER learns with and without a target network, and its entropy and reconstruction are what they are called."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import iv

from nearfar.losses import discrete_entropy, discrete_reconstruction, vmf_entropy, vmf_reconstruction
from nearfar.losses.alignment.entropy import log_bessel
from nearfar.reproductions.arms import build, train
from nearfar.vision.methods import ER
from tests.vision.learning import digits, learn, one_loss


def test_it_beats_its_untrained_encoder_without_collapse() -> None:
    _, before, after = learn("er", steps=80)
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 15


def test_assignments_to_prototypes_become_sure_and_stay_even() -> None:
    method = build("er", digits(), 0, support="discrete", prototypes=16)
    before = one_loss(method, rows=256)
    train("er", method, digits(), 0, steps=60)
    after = one_loss(method, rows=256)
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert after["reconstruction"] < before["reconstruction"] - 0.3
    assert sum(after.values()) < sum(before.values()) - 0.3
    assert -after["entropy"] > 0.5 * math.log(16)


def test_without_momentum_the_target_is_the_online_network_itself() -> None:
    none = build("er", digits(), 0, momentum=None)
    assert isinstance(none, ER)
    assert none.target_network is None
    names = {name for name, _ in none.named_parameters()}
    assert not any(name.startswith("target") for name in names)
    terms = one_loss(none)
    assert isinstance(terms, dict)
    sum(terms.values()).backward()  # type: ignore[union-attr]
    none.after_step()
    follower = build("er", digits(), 0, momentum=0.0, momentum_schedule="constant")
    assert isinstance(follower, ER)
    torch.testing.assert_close(one_loss(follower), terms)  # of equal weights, only the gradients differ


def test_the_bessel_function_at_low_and_high_orders() -> None:
    for order, x in ((0.0, 0.5), (0.5, 10.0), (31.0, 10.0), (3.0, 200.0)):
        assert log_bessel(order, x) == pytest.approx(math.log(iv(order, x)), rel=1e-10)
    # Far beyond the smallest double the first term of the series rules.
    leading = 499 * math.log(5.0) - math.lgamma(500)
    assert log_bessel(499.0, 10.0) == pytest.approx(leading + 25 / 500, abs=1e-3)


def test_the_released_code_s_value_up_to_its_floor() -> None:
    z = torch.nn.functional.normalize(torch.randn(1000, 1000, generator=torch.Generator().manual_seed(0)), dim=1)
    floor = math.log(iv(499.0, 10.0) + 1e-7) - log_bessel(499.0, 10.0)
    assert float(vmf_entropy(z, kappa=10.0)) + floor == pytest.approx(-249.31, abs=0.05)


def test_entropy_of_the_uniform_sphere_is_the_logarithm_of_its_area() -> None:
    angle = torch.arange(400, dtype=torch.float64) * (2 * math.pi / 400)
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    for estimator in ("plug-in", "joe"):
        entropy = vmf_entropy(circle, kappa=50.0, estimator=estimator)  # type: ignore[arg-type]
        assert float(entropy) == pytest.approx(math.log(2 * math.pi), abs=1e-3)
        crowded = circle * torch.tensor([1.0, 0.1], dtype=torch.float64)
        assert vmf_entropy(crowded, kappa=50.0, estimator=estimator) < entropy - 0.1  # type: ignore[arg-type]


def test_the_bound_is_tight_for_what_it_describes_and_loose_for_noise() -> None:
    z, noise = torch.randn(2, 300, 4, dtype=torch.float64)
    information = [vmf_entropy(z, kappa=20.0) - vmf_reconstruction(x, z, kappa=20.0) for x in (z, noise)]
    assert 0 < information[0] < math.log(300)
    assert information[1] < 0


def test_discrete_entropy_and_reconstruction() -> None:
    even = torch.full((6, 4), 0.25, dtype=torch.float64)
    assert float(discrete_entropy(even)) == pytest.approx(math.log(4), abs=1e-5)
    sharp = torch.eye(4, dtype=torch.float64)
    assert float(discrete_entropy(sharp)) == pytest.approx(math.log(4), abs=1e-5)
    assert float(discrete_entropy(sharp[:1])) == pytest.approx(0, abs=1e-5)
    assert float(discrete_reconstruction(sharp, sharp)) == pytest.approx(0, abs=1e-5)
    assert float(discrete_reconstruction(sharp, even[:4])) == pytest.approx(
        (math.log(4) - 0.25 * 3 * math.log(1e-7)) / 2
    )
    p1, p2 = torch.rand(2, 6, 4, dtype=torch.float64).softmax(2).requires_grad_()
    assert torch.autograd.gradcheck(discrete_reconstruction, (p1.detach().requires_grad_(), p2))
    assert torch.autograd.gradcheck(discrete_entropy, (p2.detach().requires_grad_(),))


@pytest.mark.parametrize("estimator", ["plug-in", "joe"])
def test_gradcheck(estimator: str) -> None:
    z = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: vmf_entropy(x, kappa=5.0, estimator=estimator), z)  # type: ignore[arg-type]


def test_wrong_arguments_are_named() -> None:
    z = torch.randn(6, 4)
    with pytest.raises(ValueError, match="kappa must be greater than 0, got 0"):
        vmf_entropy(z, kappa=0.0)
    with pytest.raises(ValueError, match="estimator must be one of 'plug-in', 'joe', got 'knn'"):
        vmf_entropy(z, estimator="knn")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 2 dimensions, got 1"):
        vmf_reconstruction(z[:, :1], z[:, :1])
    with pytest.raises(ValueError, match="support must be 'sphere' or 'discrete', got 'ball'"):
        ER("small-conv", support="ball")  # type: ignore[arg-type]


@pytest.mark.long
def test_the_entropy_spreads_the_projections() -> None:
    found = []
    for weight in (0.0, 1.0):
        _, _, after = learn("er", steps=40, entropy=weight, predictor_layers=0, momentum=None)
        found.append(after["effective_rank"])
    assert found[1] > 1.2 * found[0], found
    assert np.isfinite(found).all()
