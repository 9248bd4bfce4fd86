"""What recipes draw, and what they refuse."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from torch import Tensor

from nearfar.vision import views
from nearfar.vision.views import RECIPES, Draws, Recipe, apply, multicrop, recipe_pair

N = 20_000


def draw(recipe: Recipe, n: int = N, height: int = 96, width: int = 96, seed: int = 0) -> Draws:
    return recipe.draw(n, height, width, torch.Generator().manual_seed(seed))


def share(values: Tensor | None) -> float:
    assert values is not None
    return float(values.double().mean())


def uniform_distance(values: Tensor, low: float, high: float) -> float:
    """Largest distance between the distribution of the values and the uniform one (Kolmogorov's)."""
    ordered = ((values.double().sort().values - low) / (high - low)).clamp(0, 1)
    return float((ordered - (torch.arange(len(values)) + 0.5) / len(values)).abs().max())


def test_boxes_follow_random_resized_crop() -> None:
    boxes = draw(Recipe(scale=(0.2, 0.5)), height=400, width=400).boxes.double()
    top, left, height, width = boxes.unbind(1)
    assert (top >= 0).all()
    assert (left + width <= 400).all()
    # Half of the widest crops is narrower than the image, so no try fails and areas are exactly uniform.
    assert uniform_distance(height * width / 400**2, 0.2, 0.5) < 0.015
    assert uniform_distance((width / height).log(), math.log(3 / 4), math.log(4 / 3)) < 0.015
    assert uniform_distance((top + 0.5) / (400 - height + 1), 0, 1) < 0.015
    assert uniform_distance((left + 0.5) / (400 - width + 1), 0, 1) < 0.015
    assert abs(float(torch.corrcoef(torch.stack([top, left]))[0, 1])) < 0.25


def torchvision_boxes(n: int, height: int, width: int, scale: tuple[float, float]) -> Tensor:
    """Heights and widths (n, 2) of the same distribution, one try after the other."""
    generator = torch.Generator().manual_seed(99)
    sides = []
    for _ in range(n):
        for _ in range(10):
            u, v = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
            area = (scale[0] + u * (scale[1] - scale[0])) * height * width
            ratio = math.exp(math.log(3 / 4) + v * (math.log(4 / 3) - math.log(3 / 4)))
            h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < h <= height and 0 < w <= width:
                sides.append((h, w))
                break
    return torch.tensor(sides)


@pytest.mark.parametrize("shape", [(96, 96), (60, 100)])
def test_boxes_that_do_not_fit_are_tried_again(shape: tuple[int, int]) -> None:
    expected = torchvision_boxes(3000, *shape, (0.08, 1.0)).double()
    found = draw(Recipe(), 6000, *shape).boxes[:, 2:].double()
    for axis in (0, 1):
        for quantile in (0.1, 0.5, 0.9):
            difference = found[:, axis].quantile(quantile) - expected[:, axis].quantile(quantile)
            assert abs(float(difference)) <= 0.05 * shape[axis]


@pytest.mark.parametrize(
    ("shape", "box"), [((10, 100), (0, 43, 10, 13)), ((100, 9), (44, 0, 12, 9)), ((1, 1), (0, 0, 1, 1))]
)
def test_the_central_crop_where_none_fits(shape: tuple[int, int], box: tuple[int, ...]) -> None:
    """The whole area at a usual ratio never fits into a strip."""
    boxes = draw(Recipe(scale=(1.0, 1.0)), 50, *shape).boxes
    assert boxes.unique(dim=0).tolist() == [list(box)]


def test_probabilities_and_ranges() -> None:
    recipe = Recipe(
        flip=0.3,
        brightness=0.4,
        contrast=1.5,
        saturation=0.2,
        hue=0.1,
        jitter_p=0.7,
        gray_p=0.15,
        blur_p=0.6,
        blur_sigma=(0.5, 1.5),
        solarize_p=0.25,
        solarize_threshold=0.4,
    )
    draws = draw(recipe)
    assert draws.factors is not None
    assert draws.order is not None
    assert draws.sigma is not None
    assert draws.solarize is not None
    assert share(draws.flip) == pytest.approx(0.3, abs=0.015)
    assert share(draws.gray) == pytest.approx(0.15, abs=0.015)
    changed = draws.factors[:, 0] != 1
    assert share(changed) == pytest.approx(0.7, abs=0.015)
    assert (draws.factors[~changed] == torch.tensor([1.0, 1.0, 1.0, 0.0])).all()
    for column, (low, high) in enumerate([(0.6, 1.4), (0.0, 2.5), (0.8, 1.2), (-0.1, 0.1)]):
        assert uniform_distance(draws.factors[changed, column], low, high) < 0.02
    blurred = draws.sigma > 0
    assert share(blurred) == pytest.approx(0.6, abs=0.015)
    assert uniform_distance(draws.sigma[blurred], 0.5, 1.5) < 0.02
    assert share(draws.solarize < 1) == pytest.approx(0.25, abs=0.015)
    assert draws.solarize.unique().tolist() == pytest.approx([0.4, 2.0])
    orders = draws.order.unique(dim=0, return_counts=True)
    assert sorted(map(tuple, orders[0].tolist())) == list(itertools.permutations(range(4)))
    assert (orders[1] / N - 1 / 24).abs().max() < 0.008
    columns = torch.stack([draws.flip, changed, draws.gray, blurred, draws.solarize < 1]).double()
    assert (torch.corrcoef(columns) - torch.eye(5)).abs().max() < 0.03


def test_what_a_recipe_never_does_is_not_drawn() -> None:
    assert set(draw(Recipe(), 3).given()) == {"boxes"}
    assert set(draw(Recipe(brightness=0.5, jitter_p=0.0), 3).given()) == {"boxes"}
    assert draw(Recipe(flip=1.0), 3).given()["flip"].all()


def test_recipes_from_one_state_share_their_crops() -> None:
    generator = torch.Generator().manual_seed(3)
    plain = Recipe().draw(50, 64, 64, generator)
    after = generator.get_state()
    full = RECIPES["simclr"][0].draw(50, 64, 64, generator.manual_seed(3))
    assert torch.equal(plain.boxes, full.boxes)
    assert torch.equal(after, generator.get_state())
    assert not torch.equal(full.boxes, Recipe().draw(50, 64, 64, generator).boxes)


@pytest.mark.parametrize(
    ("same", "n", "lengths"), [(True, 7, [7]), (3, 10, [4, 3, 3]), (4, 8, [2, 2, 2, 2]), (9, 2, [1, 1])]
)
def test_one_draw_per_chunk(same: bool | int, n: int, lengths: list[int]) -> None:
    draws = draw(RECIPES["byol"][1].with_(batch_same=same, blur_p=0.5, solarize_p=0.5), n)
    for values in draws.given().values():
        for chunk in values.split(lengths):
            assert (chunk == chunk[:1]).all()
    if len(lengths) > 1:
        firsts = [chunk[0].tolist() for chunk in draws.boxes.split(lengths)]
        assert len({tuple(box) for box in firsts}) == len(lengths)


def test_draws_move_together() -> None:
    draws = draw(RECIPES["simclr"][0], 4)
    assert len(draws) == 4
    assert draws.device == torch.device("cpu")
    assert draws.to("meta").given().keys() == draws.given().keys()
    assert draws.to("meta").device.type == "meta"


def test_published_numbers() -> None:
    simclr = RECIPES["simclr"][0]
    assert (simclr.brightness, simclr.contrast, simclr.saturation, simclr.hue) == (0.8, 0.8, 0.8, 0.2)
    assert (simclr.scale, simclr.flip, simclr.jitter_p, simclr.gray_p) == ((0.08, 1.0), 0.5, 0.8, 0.2)
    assert (simclr.blur_p, simclr.blur_sigma, simclr.solarize_p) == (0.5, (0.1, 2.0), 0.0)
    small = RECIPES["simclr-small"][0]
    assert (small.brightness, small.hue, small.blur_p) == (0.4, 0.1, 0.0)
    first, second = RECIPES["moco-v1"]
    assert first == second
    assert (first.scale, first.hue, first.jitter_p, first.blur_p) == ((0.2, 1.0), 0.4, 1.0, 0.0)
    assert (RECIPES["moco-v2"][0].scale, RECIPES["moco-v2"][0].hue) == ((0.2, 1.0), 0.1)
    first, second = RECIPES["byol"]
    assert (first.saturation, first.blur_p, first.solarize_p) == (0.2, 1.0, 0.0)
    assert (second.blur_p, second.solarize_p, second.solarize_threshold) == (0.1, 0.2, 0.5)
    assert RECIPES["moco-v3"][0] == first.with_(scale=(0.2, 1.0))
    assert [recipe.size for recipe in RECIPES["swav"]] == [224] * 2 + [96] * 6
    assert RECIPES["swav"][-1].scale == (0.05, 0.14)


def test_multicrop_makes_views_of_its_sizes() -> None:
    recipes = multicrop(sizes=(16, 8), counts=(2, 3), strength=0.5)
    images, generator = torch.zeros(2, 3, 20, 20, dtype=torch.uint8), torch.Generator()
    assert [recipe(images, generator).shape[-1] for recipe in recipes] == [16, 16, 8, 8, 8]
    with pytest.raises(ValueError, match="one entry per kind of crop, got 2, 1"):
        multicrop(counts=(2,))


def test_recipe_pairs() -> None:
    recipe = Recipe(flip=0.5)
    assert recipe_pair("byol") == RECIPES["byol"]
    assert recipe_pair(recipe) == (recipe, recipe)
    assert recipe_pair([recipe, Recipe()]) == (recipe, Recipe())
    with pytest.raises(ValueError, match=r"one of simclr, .*got 'simkler'"):
        recipe_pair("simkler")
    with pytest.raises(ValueError, match="gives 8"):
        recipe_pair("swav")
    with pytest.raises(TypeError, match="must be a name, a Recipe or two"):
        recipe_pair([recipe, 0.5])  # type: ignore[list-item]


def test_recipes_are_values() -> None:
    recipe = Recipe(scale=[0.5, 1], size=8)  # type: ignore[arg-type]
    assert recipe == Recipe(scale=(0.5, 1.0), size=8)
    assert hash(recipe) == hash(Recipe(scale=(0.5, 1.0), size=8))
    assert recipe.with_(flip=0.5) == dataclasses.replace(recipe, flip=0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.size = 9  # type: ignore[misc]


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"size": 32.0}, TypeError, "size must be an integer, got float"),
        ({"size": True}, TypeError, "size must be an integer, got bool"),
        ({"flip": 1.5}, ValueError, r"flip must lie in \[0, 1\], got 1.5"),
        ({"gray_p": -0.1}, ValueError, r"gray_p must lie in \[0, 1\], got -0.1"),
        ({"blur_p": math.nan}, ValueError, r"blur_p must lie in \[0, 1\], got nan"),
        ({"jitter_p": "0.8"}, TypeError, "jitter_p must be a number, got str"),
        ({"contrast": -1}, ValueError, r"contrast must lie in \[0, inf\], got -1"),
        ({"brightness": math.inf}, ValueError, r"brightness must lie in \[0, inf\], got inf"),
        ({"hue": 0.6}, ValueError, r"hue must lie in \[0, 0.5\], got 0.6"),
        ({"scale": (1.0, 0.08)}, ValueError, r"scale must be \(low, high\).*got \(1.0, 0.08\)"),
        ({"scale": (0.5, 1.1)}, ValueError, r"scale must lie in \[0, 1\], got 1.1"),
        ({"scale": 0.5}, TypeError, "scale must be a pair of numbers, got 0.5"),
        ({"ratio": (0, 1)}, ValueError, r"ratio must be \(low, high\) with 0 < low"),
        ({"ratio": None}, TypeError, "ratio must be a pair of numbers, got None"),
        ({"blur_sigma": (2.0, 0.1)}, ValueError, "blur_sigma must be"),
        ({"solarize_threshold": 128}, ValueError, "solarize_threshold must lie in"),
        ({"batch_same": -1}, ValueError, "batch_same must be at least 0"),
        ({"centre": 0.5}, ValueError, "needs scale=None and a size"),
        ({"centre": 0.0, "scale": None, "size": 8}, ValueError, "centre must be greater than 0"),
    ],
)
def test_refused_fields(fields: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Recipe(**fields)  # type: ignore[arg-type]


IMAGES = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (IMAGES.float(), TypeError, "images must be uint8 .*got torch.float32"),
        (IMAGES.numpy(), TypeError, "images must be a torch.Tensor, got ndarray"),
        (IMAGES[0], ValueError, r"shape \(N, 3, H, W\).*got \(3, 8, 8\)"),
        (IMAGES[:, :1], ValueError, r"got \(2, 1, 8, 8\)"),
        (IMAGES[..., :0], ValueError, r"at least one pixel, got \(2, 3, 8, 0\)"),
    ],
)
def test_refused_images(images: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Recipe()(images, torch.Generator())


def test_refused_generators() -> None:
    with pytest.raises(TypeError, match=r"generator must be a torch\.Generator, got int"):
        Recipe()(IMAGES, 0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="generator is on cpu and the images are on meta"):
        Recipe()(IMAGES.to("meta"), torch.Generator())
    with pytest.raises(ValueError, match="height must be at least 1"):
        Recipe().draw(1, 0, 4, torch.Generator())


BOXES = torch.tensor([[0, 0, 8, 8]] * 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"boxes": BOXES[:1]}, r"draws.boxes must have shape \(2, 4\) for 2 images, got \(1, 4\)"),
        ({"boxes": torch.tensor([[0, 0, 8, 8], [1, 0, 8, 8]])}, r"draws.boxes\[1\] = \[1, 0, 8, 8\]"),
        ({"boxes": torch.tensor([[0, -1, 8, 8], [0, 0, 8, 8]])}, r"does not lie inside the image of 8 x 8"),
        ({"boxes": torch.tensor([[0, 0, 0, 8], [0, 0, 8, 8]])}, r"draws.boxes\[0\] = \[0, 0, 0, 8\]"),
        ({"flip": torch.zeros(2, 1)}, r"draws.flip must have shape \(2,\)"),
        ({"factors": torch.ones(2, 4)}, "draws.factors and draws.order come together"),
        ({"factors": torch.ones(2, 4), "order": torch.ones(2, 4)}, "a permutation of 0, 1, 2, 3"),
        ({"sigma": torch.zeros(2, device="meta")}, "draws.sigma is on meta and the images are on cpu"),
    ],
)
def test_refused_draws(fields: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply(IMAGES, Draws(**{"boxes": BOXES, **fields}))


def test_refused_sizes_and_backends() -> None:
    with pytest.raises(ValueError, match="size must be positive, got 0"):
        apply(IMAGES, Draws(BOXES), 0)
    with pytest.raises(ValueError, match="backend must be one of 'auto', 'torch', 'numba', got 'cuda'"):
        apply(IMAGES, Draws(BOXES), backend="cuda")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'numba' works on the CPU and the images are on meta"):
        apply(IMAGES.to("meta"), Draws(BOXES.to("meta")), backend="numba")


def test_everything_public_is_there() -> None:
    assert all(hasattr(views, name) for name in views.__all__)


def test_recipes_of_one_s_own_go_where_a_file_names_one() -> None:
    from nearfar.catalogue import find
    from nearfar.vision.data import load
    from nearfar.workflow import build_method

    own = Recipe(scale=(0.3, 1.0))
    method = build_method(find("simclr"), {"encoder": "small-conv", "views": (own, own)}, load("digits"), 0)
    assert method.recipes == (own, own)
    with pytest.raises(ValueError, match="views must be a text, got 3"):
        build_method(find("simclr"), {"encoder": "small-conv", "views": 3}, load("digits"), 0)
