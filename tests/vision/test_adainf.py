"""AdaInf learns from real and generated images, real ones weigh what they should, and views are weaker."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.reproductions.arms import build, train
from nearfar.vision.data import ImageArray, Inflated, load
from nearfar.vision.data.inflated import GENERATED_DIGITS, REAL_DIGITS, imitations
from nearfar.vision.evaluation import evaluate
from nearfar.vision.methods import AdaInf
from nearfar.vision.methods.adainf import weaker
from nearfar.vision.views import RECIPES, Recipe
from tests.vision.learning import digits


@pytest.fixture(scope="module")
def inflated() -> Inflated:
    data = load("inflated-digits")
    assert isinstance(data, Inflated)
    return data


def test_it_beats_its_untrained_encoder_without_collapse(inflated: Inflated) -> None:
    method = build("adainf", inflated, 0)
    before = evaluate(method.eval(), inflated)
    method.train()
    train("adainf", method, inflated, 0, steps=60)
    after = evaluate(method, inflated)
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


def test_only_real_images_are_counted_embedded_and_labelled(inflated: Inflated) -> None:
    assert len(inflated) == REAL_DIGITS == len(inflated.labels) == len(inflated.ids)  # type: ignore[arg-type]
    assert len(inflated.generated) == GENERATED_DIGITS
    assert set(inflated.splits()) == {"seen styles", "unseen styles"}
    mixed = inflated.batch(np.array([REAL_DIGITS + 5, 3, REAL_DIGITS, 7]))
    assert mixed.rows.tolist() == [REAL_DIGITS + 5, 3, REAL_DIGITS, 7]
    for place, (source, row) in enumerate(
        [(inflated.generated, 5), (inflated.real, 3), (inflated.generated, 0), (inflated.real, 7)]
    ):
        assert torch.equal(mixed.images[place], source.batch(np.array([row])).images[0])


@pytest.mark.parametrize(("replicate", "share"), [(10.0, 0.5), (1.0, 1 / 11)])
def test_an_epoch_has_the_share_of_real_images_and_none_twice(
    inflated: Inflated, replicate: float, share: float
) -> None:
    data = Inflated(inflated.real, inflated.generated.images, replicate=replicate)
    real = 0
    for epoch in range(20):
        order = data.order(np.random.default_rng(epoch))
        assert len(order) == len(np.unique(order)) == REAL_DIGITS
        real += int((order < REAL_DIGITS).sum())
        assert order.max() < REAL_DIGITS + GENERATED_DIGITS
    assert real / (20 * REAL_DIGITS) == pytest.approx(share, abs=0.03)
    assert np.array_equal(data.order(np.random.default_rng(7)), data.order(np.random.default_rng(7)))


def test_imitations_are_like_the_originals_and_none_of_them(inflated: Inflated) -> None:
    real = inflated.real.images.astype(float)  # type: ignore[attr-defined]
    made = inflated.generated.images.astype(float)
    assert made.shape[1:] == real.shape[1:]
    assert abs(made.mean() - real.mean()) < 10
    nearest = np.sqrt(((made[:50, None] - real[None]) ** 2).mean((2, 3, 4))).min(1)
    apart = np.sqrt(((real[:50, None] - real[None, 50:]) ** 2).mean((2, 3, 4))).mean()
    assert nearest.min() > 1
    assert nearest.mean() < apart
    small = inflated.real.images[:60]  # type: ignore[attr-defined]
    again = [imitations(small, 5, modes=2, seed=3) for _ in range(2)]
    assert np.array_equal(*again)


def test_views_are_weaker_than_the_recipe_s() -> None:
    recipe = RECIPES["simclr"][0]
    weak = weaker(recipe, 0.5, 0.2)
    assert weak == recipe.with_(
        scale=(0.2, 1.0), jitter_p=0.4, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1
    )  # the released code's numbers
    assert weaker(recipe, 1.0, 0.0) == recipe
    assert weaker(Recipe(scale=None), 0.5, 0.2).scale is None
    method = build("adainf", digits(), 0)
    assert isinstance(method, AdaInf)
    assert method.recipes[0] == weaker(RECIPES["gentle"][0], 0.5, 0.2)


def test_wrong_arguments_are_named(inflated: Inflated) -> None:
    small = np.zeros((4, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"single pictures of one size, got \(3, 16, 16\) and \(8, 8, 3\)"):
        Inflated(inflated.real, small)
    with pytest.raises(ValueError, match="single pictures"):
        Inflated(digits(), inflated.generated.images)
    with pytest.raises(ValueError, match=r"replicate must be above 0 .* got 0"):
        Inflated(ImageArray(small), small, replicate=0)
    with pytest.raises(ValueError, match=r"strength must be in \[0, 1\], got 2"):
        AdaInf("small-conv", strength=2)
