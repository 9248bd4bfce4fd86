"""COLA: its head and losses are the released ones, and it learns what recordings are of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nearfar.audio.data import Sounds
from nearfar.audio.data.generated import noises, voices
from nearfar.audio.evaluation import evaluate
from nearfar.audio.methods.cola import COLA
from nearfar.evaluation import LinearProbe, effective_rank
from nearfar.reproductions.arms import build, train
from nearfar.testing import check_method
from nearfar.training import embed
from tests.parity import ParityCase, assert_parity, parity


class Stub(nn.Module):
    """Hands on what it is given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_features = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def stubbed(width: int, projection: int, **options: object) -> COLA:
    """COLA in float64 whose encoder hands on its input."""
    method = COLA(Stub(width), rate=8000, projection_dim=projection, **options).double()
    method.encoder = nn.Identity()
    return method


@pytest.mark.parametrize("case", parity("cola", "bilinear", "dot"))
def test_the_losses_are_the_released_ones(case: ParityCase) -> None:
    arrays = case.load()
    a, p = arrays["in_anchor"], arrays["in_positive"]
    kind = "bilinear" if case.function == "bilinear" else "cosine"
    width = a.shape[1]
    method = stubbed(width, width, similarity=kind, temperature=case.hyper.get("temperature", 0.2))
    method.head = nn.Identity()
    if kind == "bilinear":
        del method.product
        method.product = arrays["in_W"]
    assert_parity(case, arrays, method.loss((a, p)), rtol=1e-9)


@pytest.mark.parametrize("case", parity("cola", "head"))
def test_the_head_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    method = stubbed(*arrays["in_kernel"].shape)
    linear, norm, _ = method.head
    with torch.no_grad():
        linear.weight.copy_(arrays["in_kernel"].T)
        linear.bias.copy_(arrays["in_bias"])
        norm.weight.copy_(arrays["in_gamma"])
        norm.bias.copy_(arrays["in_beta"])
    found = method.head(arrays["in_x"])
    torch.testing.assert_close(found, arrays["out_y"], rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad((arrays["in_probe"] * found).sum(), arrays["in_x"])
    torch.testing.assert_close(gradient, arrays["grad_x"], rtol=1e-5, atol=1e-6)


def test_the_loss_is_a_cross_entropy_of_rows_and_has_its_gradients() -> None:
    method = stubbed(5, 5)
    a, p = (torch.randn(4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    left, right = method.head(torch.cat([a, p])).chunk(2)
    expected = F.cross_entropy(left @ method.product @ right.T, torch.arange(4))
    torch.testing.assert_close(method.loss((a, p)), expected)
    assert torch.autograd.gradcheck(lambda x, y: method.loss((x, y)), (a, p))
    both_turned = method.loss((a.flip(0), p.flip(0)))
    torch.testing.assert_close(both_turned, expected)


def test_views_are_stretches_of_one_recording_of_unit_energy_with_noise_on_the_second() -> None:
    data = Sounds([np.sin(np.arange(9000.0) / (3 + i)) * (i + 1) for i in range(6)], 8000)
    method = build("cola", data, 0, noise=0.0)
    batch = data.batch(np.arange(6))
    heard = method.heard(batch)
    torch.testing.assert_close(heard.waves.square().sum(1), torch.ones(6))
    anchor, clean = method.views(batch)
    assert anchor.shape == (6, 4000)
    assert not torch.equal(anchor, clean)
    method.noise = 0.01
    method.generator.manual_seed(0)
    first = method.views(batch)
    method.generator.manual_seed(0)
    second = method.views(batch)
    assert torch.equal(first[1], second[1])
    assert method.heard(batch._replace(rate=16000)).lengths.tolist() == [4500] * 6


def test_cola_learns_kinds_of_sounds_from_recordings_and_does_not_collapse() -> None:
    data = noises(256, held_out=128)
    test = data.splits()["test"]
    method = build("cola", data, 0, similarity="cosine")

    def accuracy() -> float:
        """Of a probe on 64 labels."""
        probe = LinearProbe(C_grid=(0.1,)).fit(embed(method, data.subset(np.arange(64))).array, data.labels[:64])
        return probe.score(embed(method, test).array, test.labels)

    before = accuracy()
    train("cola", method, data, 0, steps=60, batch_size=32)
    assert accuracy() > before + 0.05
    assert effective_rank(embed(method, test).array) > 3


def test_the_protocol_measures_what_labels_allow() -> None:
    data = noises(24, held_out=16, seconds=0.4)
    found = evaluate(build("cola", data, 0).eval(), data)
    assert set(found) == {"probe", "effective_rank", "std"}
    alone = evaluate(build("cola", data, 0).eval(), Sounds(data.waves, data.rate, data.labels))
    assert 0 <= alone["probe"] <= 1
    speakers = voices(3, held_out=3, held_out_utterances=2)
    told = evaluate(build("cola", speakers, 0).eval(), speakers)
    assert told.better["eer"] == told.better["min_dcf"] == "lower"
    assert 0 <= told["eer"] <= 1
    assert "probe" not in told
    assert "eer" not in evaluate(build("cola", data, 0).eval(), Sounds(data.waves, data.rate))


def test_a_sound_means_the_same_in_any_batch() -> None:
    data = noises(8, held_out=2, seconds=0.7)
    method = build("cola", data, 0).eval()
    with method.frozen():
        together = method.encode(data.batch(np.arange(8)))
        alone = method.encode(data.batch(np.array([5])))
    torch.testing.assert_close(together[5:6], alone, rtol=1e-5, atol=1e-6)


def test_the_promises_of_the_house() -> None:
    data = noises(16, held_out=2, seconds=0.4)
    options = {"encoder": "small-conv", "rate": 8000, "seconds": 0.2, "projection_dim": 8}
    check_method(COLA, data, options)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="similarity must be 'bilinear' or 'cosine', got 'dot'"):
        COLA("small-conv", rate=8000, similarity="dot")
    with pytest.raises(ValueError, match="rate is needed"):
        COLA("small-conv")
    with pytest.raises(ValueError, match="unknown encoder 'vgg'; accepted are small-conv"):
        COLA("vgg", rate=8000)
    with pytest.raises(ValueError, match="seconds must be above 0"):
        COLA("small-conv", rate=8000, seconds=0.0)
