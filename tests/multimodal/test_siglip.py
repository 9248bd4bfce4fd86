"""SigLIP: the released loss, and what its bias is for."""

from __future__ import annotations

import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.losses import sigmoid_pair_loss
from nearfar.multimodal.data import load
from nearfar.multimodal.evaluation import evaluate
from nearfar.multimodal.methods.siglip import SigLIP
from nearfar.training import Training
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("siglip", "siglip"))
def test_the_loss_is_the_released_one(case: ParityCase) -> None:
    """The release takes inner products as they are; where it works in pieces it adds in float32."""
    arrays = case.load()
    value = sigmoid_pair_loss(
        arrays["in_image"],
        arrays["in_text"],
        temperature=1 / arrays["in_log_scale"].exp(),
        bias=arrays["in_bias"],
        normalize=False,
    )
    assert_parity(case, arrays, value, rtol=2e-6)


def small(**changes: object) -> SigLIP:
    arguments, _ = workflow.laptop_settings(find("siglip"))
    torch.manual_seed(0)
    return SigLIP(**{**arguments, **changes})  # type: ignore[arg-type]


@pytest.mark.long
def test_it_learns_what_captions_say() -> None:
    data = load(None, examples=400)
    untrained = evaluate(small().eval(), data)
    method = workflow.fit(small(), data, Training(steps=120, batch_size=32, monitor_every=-1), progress=False)
    found = evaluate(method, data)
    name = "R@1 image to text gallery"
    assert found[name] > untrained[name] + 0.1
    assert found["effective_rank"] > 3


def test_the_bias_spares_the_first_steps() -> None:
    """With a bias of 0 every pair that does not match pulls at once: the first gradient is many times as large."""
    data = load(None, examples=100)
    norms = {}
    for bias in (-10.0, 0.0):
        method = small(bias=bias)
        method.seed_step(0, 0)
        method.loss(method.views(data.batch(torch.arange(64).numpy()))).backward()
        gradients = [p.grad.norm() for p in method.encoder.parameters() if p.grad is not None]
        norms[bias] = float(torch.stack(gradients).norm())
    assert norms[0.0] > 5 * norms[-10.0]


def test_scale_and_bias_are_learned_and_not_clamped() -> None:
    method = small()
    method.scale.log_scale.data.fill_(9.0)
    method.after_step()
    assert float(method.scale.log_scale.detach()) == 9.0
    assert method.bias.requires_grad
