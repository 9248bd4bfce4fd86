"""ReLICv2's crops, negatives and masks in the ReLIC class."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.losses import relic_multicrop
from nearfar.reproductions.arms import build
from nearfar.vision.method import ImageBatch
from nearfar.vision.methods import ReLIC
from nearfar.vision.saliency import GRAY, spectral_residual, without_background
from tests.vision.learning import digits, learn, one_loss

V2 = {
    "large_crops": 3,
    "small_crops": 2,
    "small_size": 10,
    "small_scale": (0.4, 0.8),
    "kl_mode": "sg_entropy",
    "num_negatives": 10,
    "mask_probability": 0.1,
}


@pytest.mark.long
def test_it_beats_its_untrained_encoder_without_collapse() -> None:
    _, before, after = learn("relic", **V2)  # type: ignore[arg-type]
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


def test_small_crops_go_through_the_online_network_only() -> None:
    method = build("relic", digits(), 0, **{**V2, "num_negatives": None})
    assert isinstance(method, ReLIC)
    method.seed_step(0, 0)
    views = method.views(digits().batch(np.arange(12)))
    assert [tuple(view.shape[2:]) for view in views] == [(16, 16)] * 3 + [(10, 10)] * 2
    terms = method.loss(views)
    online = [method.network(view) for view in views]
    assert method.target is not None
    target = [method.target(view) for view in views[:3]]
    expected = relic_multicrop(online, target, temperature=method.temperature, alpha=1.0, kl_mode="sg_entropy")
    torch.testing.assert_close(terms, expected)


def test_negatives_are_drawn_anew_for_every_step() -> None:
    method = build("relic", digits(), 0, num_negatives=3)
    assert isinstance(method, ReLIC)
    views = method.views(digits().batch(np.arange(16)))

    def loss(step: int) -> float:
        method.seed_step(0, step)
        return float(method.loss(views)["contrastive"].detach())

    assert loss(0) == loss(0) != loss(1)
    everyone = build("relic", digits(), 0, num_negatives=31)
    halved, full = one_loss(everyone), one_loss(build("relic", digits(), 0))
    assert isinstance(halved, dict)
    assert isinstance(full, dict)
    assert halved["contrastive"] > 0  # of four pairs, those of a crop with itself included; relic sums two of them
    assert halved["contrastive"] < full["contrastive"]


def test_the_default_is_relic_and_draws_what_it_drew() -> None:
    method = build("relic", digits(), 0)
    assert isinstance(method, ReLIC)
    simple = build("relic", digits(), 0, mask_probability=0.0, small_crops=0)
    torch.testing.assert_close(one_loss(method), one_loss(simple), rtol=0, atol=0)


def test_what_stands_out_is_salient_and_the_rest_turns_gray() -> None:
    images = torch.full((2, 3, 32, 32), 60, dtype=torch.uint8)
    images[:, :, 18:24, 5:11] = torch.randint(150, 255, (2, 3, 6, 6), dtype=torch.uint8)
    saliency = spectral_residual(images)
    assert saliency.shape == (2, 32, 32)
    assert saliency.max() == 1
    inside, outside = saliency[:, 18:24, 5:11].mean(), saliency[:, :12, 16:].mean()
    assert inside > 3 * outside
    masked = without_background(images, torch.tensor([True, False]))
    assert torch.equal(masked[1], images[1])
    assert (masked[0] == GRAY).float().mean() > 0.4
    kept = masked[0] != GRAY
    assert torch.equal(masked[0][kept], images[0][kept])
    assert torch.equal(without_background(images, torch.tensor([False, False])), images)
    assert spectral_residual(torch.full((1, 3, 8, 8), 9, dtype=torch.uint8)).max() == 0


def test_masks_fall_on_large_crops_only() -> None:
    method = build("relic", digits(), 0, **{**V2, "mask_probability": 1.0})
    plain = build("relic", digits(), 0, **{**V2, "mask_probability": 0.0})
    images = digits().batch(np.arange(6)).images[:, 0]
    found = []
    for one in (method, plain):
        one.recipes = tuple(recipe.with_(scale=None, jitter_p=0, gray_p=0) for recipe in one.recipes)  # type: ignore[attr-defined]
        one.seed_step(0, 0)
        found.append(one.views(ImageBatch(images, torch.arange(6))))
    for crop, (masked, whole) in enumerate(zip(*found, strict=True)):
        assert torch.equal(masked, whole) == (crop >= 3)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="at least 2 views of each image, got 1"):
        ReLIC("small-conv", large_crops=1)
    method = build("relic", digits(), 0, num_negatives=50)
    with pytest.raises(ValueError, match="num_negatives must be from 1 to N - 1 = 15, got 50"):
        one_loss(method, rows=16)
