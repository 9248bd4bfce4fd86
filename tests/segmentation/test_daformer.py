"""DAFormer: rare classes, features that stay near a reference, and the decoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.reproductions.arms import build, train
from nearfar.segmentation.data import load
from nearfar.segmentation.data.adaptation import street_adaptation
from nearfar.segmentation.encoders import SmallPyramid
from nearfar.segmentation.methods.daformer import DAFormer, distance_to_reference, thing_mask


@pytest.fixture(scope="module")
def streets():
    return street_adaptation(32, 12)


def test_rare_class_sampling_decides_the_order(streets) -> None:
    method = build("daformer", streets, 0)
    batch = streets.batch(method.order(streets, np.random.default_rng(0)))
    assert (batch.rare >= 0).all()
    for rare, label in zip(batch.rare, batch.labels, strict=True):
        assert int((label == rare).sum()) > 20
    uniform = build("daformer", streets, 0, rare_class_temperature=None)
    assert (streets.batch(uniform.order(streets, np.random.default_rng(0))).rare == -1).all()
    with pytest.raises(TypeError, match="rare-class sampling needs AdaptationScenes"):
        method.order(load(size=32, scenes=2), np.random.default_rng(0))


def test_a_feature_is_a_things_when_enough_of_its_pixels_are() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[0, :4, :4] = 5
    labels[0, :4, 4:] = 5
    labels[0, :2, 4:6] = 255  # 4 of 16 pixels: 0.75 remain
    labels[0, 4:, :4] = 255
    labels[0, 4:, 4:6] = 5  # half of the pixels
    mask = thing_mask(labels, (2, 2), 16, (5,), 0.75)
    assert mask.tolist() == [[[True, True], [False, False]]]
    assert thing_mask(labels, (2, 2), 16, (5,), 0.5).sum() == 3 or not torch.isnan(mask.float()).any()
    assert thing_mask(labels, (2, 2), 16, None, 0.75).sum() == 2


def test_distance_to_the_reference_against_the_formula() -> None:
    torch.manual_seed(0)
    f = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    g = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    mask = torch.rand(2, 4, 4) < 0.5
    expected = np.mean([np.linalg.norm((f - g).detach().numpy()[n, :, y, x]) for n, y, x in np.argwhere(mask.numpy())])
    assert np.isclose(distance_to_reference(f, g, mask).item(), expected, rtol=1e-5)
    assert distance_to_reference(f, g, mask & False).item() == 0
    (grad,) = torch.autograd.grad(distance_to_reference(f, f.detach(), mask), f)
    assert torch.equal(grad, torch.zeros_like(grad))  # at its own start, where the norm has no slope


def test_the_reference_is_a_frozen_copy_and_holds_the_features(streets) -> None:
    found = {}
    for weight in (0.001, 20.0):
        method = build("daformer", streets, 0, feature_distance=weight)
        kept = [p.clone() for p in method.reference.parameters()]
        train("daformer", method, streets, 0, steps=15)
        assert all(torch.equal(p, q) for p, q in zip(method.reference.parameters(), kept, strict=True))
        images = streets.batch(np.arange(8)).images[:, 0]
        with torch.no_grad():
            method.train()
            distance = (method.encoder.maps(images)[-1] - method.reference.eval().maps(images)[-1]).norm(dim=1)
        found[weight] = float(distance.mean())
    assert found[20.0] < found[0.001]


def test_everything_that_learns_has_a_rate(streets) -> None:
    method = build("daformer", streets, 0, feature_distance=0.1, head_lr=10.0)
    members = [id(p) for group in method.parameter_groups() for p in group["params"]]
    assert sorted(members) == sorted(id(p) for p in method.encoder.parameters())


def test_defaults_are_the_papers() -> None:
    method = DAFormer(SmallPyramid(4), 3, decoder_width=8)
    config = method.config
    assert (config["momentum"], config["threshold"], config["feature_distance"]) == (0.999, 0.968, 0.005)
    assert (config["rare_class_temperature"], config["rare_class_pixels"], config["rare_crop_ratio"]) == (
        0.01,
        3000,
        0.5,
    )
    assert (config["optimization"].lr, config["head_lr"], config["crop"].size) == (6e-5, 10.0, (512, 512))
