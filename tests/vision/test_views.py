"""Both backends against the slow reference, on drawn and on hand-written numbers."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import threading

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from nearfar.vision.views import (
    RECIPES,
    Draws,
    Recipe,
    apply,
    blur_radius,
    evaluation,
    identity,
    simclr,
    two_views,
)
from tests.vision.view_reference import reference_views

BACKENDS = ["numba", "torch"]


def photo(n: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Images with edges, smooth parts, black, white and gray: (n, 3, height, width) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = rng.uniform(0.05, 0.6, (n, 3, 2, 1, 1))
    images = 127 + 160 * np.sin(waves[:, :, 0] * x + waves[:, :, 1] * y + rng.uniform(0, 6, (n, 3, 1, 1)))
    images[:, :, : height // 3] += rng.normal(0, 40, (n, 3, height // 3, width))
    images[:, :, : height // 4, : width // 4] = images[:, :1, : height // 4, : width // 4]
    return torch.from_numpy(images.clip(0, 255).astype(np.uint8))


def whole_images(images: Tensor, **numbers: Tensor) -> Draws:
    """Draws that crop nothing."""
    n, _, height, width = images.shape
    return Draws(boxes=torch.tensor([[0, 0, height, width]] * n), **numbers)


def close(view: Tensor, expected: np.ndarray, tolerance: float = 1e-4) -> None:
    assert view.dtype == torch.float32
    assert view.shape == expected.shape
    assert view.is_contiguous(memory_format=torch.channels_last)
    assert np.abs(view.numpy() - expected).max() < tolerance


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [name for name in RECIPES if name != "swav"])
def test_recipes_match_the_reference(name: str, backend: str) -> None:
    images, generator = photo(6, 40, 46), torch.Generator().manual_seed(1)
    for recipe in RECIPES[name]:
        draws = recipe.with_(size=40).draw(6, 40, 46, generator)
        view = apply(images, draws, 40, backend=backend)
        close(view, reference_views(images.numpy(), draws, 40, 40))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((33, 47), (33, 47)),
        ((90, 70), (21, 24)),
        ((9, 11), (40, 36)),
        ((120, 6), (13, 13)),
        ((1, 1), (5, 5)),
        ((40, 1), (1, 40)),
        ((1, 33), (24, 24)),
    ],
)
def test_any_shape_matches_the_reference(shape: tuple[int, int], size: tuple[int, int], backend: str) -> None:
    """Growing, shrinking with antialiasing, both at once, and images of one pixel's width."""
    images = photo(5, *shape)
    draws = simclr().draw(5, *shape, torch.Generator().manual_seed(2))
    close(apply(images, draws, size, backend=backend), reference_views(images.numpy(), draws, *size))


@pytest.mark.parametrize("backend", BACKENDS)
def test_jitter_in_every_order(backend: str) -> None:
    orders = torch.tensor(list(itertools.permutations(range(4))))
    images = photo(24, 12, 12)
    factors = torch.rand(24, 4, generator=torch.Generator().manual_seed(3)) * 1.6 + 0.2
    factors[:, 3] = factors[:, 3] - 0.9
    draws = whole_images(images, factors=factors, order=orders)
    view = apply(images, draws, backend=backend)
    close(view, reference_views(images.numpy(), draws, 12, 12))
    same_order = apply(images, dataclasses.replace(draws, order=orders[:1].expand(24, 4)), backend=backend)
    assert ((view - same_order).abs().amax((1, 2, 3)) > 0.02).sum() >= 12, "the order must matter"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("position", "enhance"),
    [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)],
)
def test_one_factor_is_what_pil_does(position: int, enhance: type, backend: str) -> None:
    """PIL rounds to 8 bits, the mean luma of contrast too: within two gray levels."""
    images = photo(1, 30, 30)
    for value in (0.0, 0.3, 1.0, 1.7):
        factors = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
        factors[0, position] = value
        draws = whole_images(images, factors=factors, order=torch.arange(4)[None])
        enhanced = enhance(Image.fromarray(images[0].permute(1, 2, 0).numpy())).enhance(value)
        expected = np.array(enhanced).transpose(2, 0, 1)[None] / 255
        close(apply(images, draws, backend=backend), expected, 2.01 / 255)


@pytest.mark.parametrize("backend", BACKENDS)
def test_solarize_and_gray_are_what_pil_does(backend: str) -> None:
    images = photo(1, 30, 30)
    picture = Image.fromarray(images[0].permute(1, 2, 0).numpy())
    draws = whole_images(images, solarize=torch.tensor([100 / 255 - 1e-4]))
    expected = np.array(ImageOps.solarize(picture, 100)).transpose(2, 0, 1)[None] / 255
    close(apply(images, draws, backend=backend), expected)
    gray = apply(images, whole_images(images, gray=torch.tensor([True])), backend=backend)
    assert torch.equal(gray[:, 0], gray[:, 1])
    close(gray, np.array(picture.convert("L"))[None, None].repeat(3, 1) / 255, 1.01 / 255)


@pytest.mark.parametrize("backend", BACKENDS)
def test_hue_turned_all_the_way_round(backend: str) -> None:
    images = photo(3, 16, 16)
    third = whole_images(images, factors=torch.tensor([[1.0, 1.0, 1.0, 1 / 3]] * 3), order=torch.arange(4).expand(3, 4))
    once = apply(images, third, backend=backend)
    plain = apply(images, whole_images(images), backend=backend)
    assert (once - plain.roll(1, 1)).abs().max() < 1e-5, "a third of the circle turns red into green"


@pytest.mark.parametrize("backend", BACKENDS)
def test_blur_spreads_one_pixel_by_sigma(backend: str) -> None:
    images = torch.zeros(2, 3, 224, 224, dtype=torch.uint8)
    images[:, :, 100, 120] = 255
    view = apply(images, whole_images(images, sigma=torch.tensor([0.0, 1.5])), backend=backend)
    assert view[0].sum() == pytest.approx(3)
    assert view[0, 0, 100, 120] == 1
    blurred = view[1, 0].double()
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    offset = torch.arange(224, dtype=torch.float64) - 120
    assert float((blurred.sum(0) * offset**2).sum()) ** 0.5 == pytest.approx(1.5, rel=1e-3)
    assert blur_radius(224, 224) == 11
    assert blur_radius(32, 96) == 1
    assert blur_radius(19, 19) == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_identity_and_evaluation(backend: str) -> None:
    images, generator = photo(2, 64, 48), torch.Generator()
    assert (identity()(images, generator, backend=backend) - images / 255).abs().max() < 1e-6
    central = evaluation(42)(images, generator, backend=backend)
    assert (central - images[:, :, 11:53, 3:45] / 255).abs().max() < 1e-5
    close(
        evaluation(20, centre=1.0)(images, generator, backend=backend),
        reference_views(images[:, :, 8:56].numpy(), whole_images(images[:, :, 8:56]), 20, 20),
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_layout_of_the_images_does_not_matter(backend: str) -> None:
    images, generator = photo(4, 24, 30), torch.Generator().manual_seed(4)
    draws = RECIPES["byol"][1].draw(4, 24, 30, generator)
    expected = apply(images, draws, 20, backend=backend)
    interleaved = images.contiguous(memory_format=torch.channels_last)
    every_other = images.repeat_interleave(2, 0).repeat_interleave(2, 3)[::2, :, :, ::2]
    for other in (interleaved, every_other):
        assert torch.equal(apply(other, draws, 20, backend=backend), expected)


def test_the_same_state_gives_the_same_views_whatever_the_threads() -> None:
    images, recipe = photo(37, 28, 28), simclr()
    expected = two_views(recipe, recipe, images, torch.Generator().manual_seed(5))
    assert not torch.equal(*expected)
    threads = torch.get_num_threads()
    try:
        for count in (2, 5):
            torch.set_num_threads(count)
            again = two_views(recipe, recipe, images, torch.Generator().manual_seed(5))
            assert all(torch.equal(a, b) for a, b in zip(again, expected, strict=True))
    finally:
        torch.set_num_threads(threads)
    with_torch = two_views(recipe, recipe, images, torch.Generator().manual_seed(5), backend="torch")
    assert all((a - b).abs().max() < 1e-4 for a, b in zip(with_torch, expected, strict=True))


def test_several_threads_may_make_views_at_once() -> None:
    images, recipe = photo(16, 20, 20), simclr()
    expected = recipe(images, torch.Generator().manual_seed(6))
    results: list[Tensor] = []

    def work() -> None:
        torch.set_num_threads(2)
        results.extend(recipe(images, torch.Generator().manual_seed(6)) for _ in range(10))

    count = torch.get_num_threads()
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.set_num_threads(count)
    assert len(results) == 30
    assert all(torch.equal(result, expected) for result in results)


def views_in_child(images: Tensor, pipe: object) -> None:
    torch.set_num_threads(2)
    view = simclr()(images, torch.Generator().manual_seed(7))
    pipe.send(float(view.double().sum()))  # type: ignore[attr-defined]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_views_after_a_fork() -> None:
    """The parent's helper threads do not exist in a forked child, which must start its own."""
    images, threads = photo(8, 20, 20), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = simclr()(images, torch.Generator().manual_seed(7))
    finally:
        torch.set_num_threads(threads)
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=views_in_child, args=(images, send))
    child.start()
    assert receive.poll(60), "the child hangs"
    assert receive.recv() == pytest.approx(float(expected.double().sum()), rel=1e-9)
    child.join()


def test_memory_is_used_again_only_when_nobody_holds_it() -> None:
    images, recipe = torch.zeros(8, 3, 224, 224, dtype=torch.uint8), identity()
    white, generator = images + 255, torch.Generator()
    first = recipe(images, generator)
    pointers = [first.data_ptr()]
    corner = first[0, 0, :2]
    del first
    second = recipe(white, generator)
    pointers.append(second.data_ptr())
    array = second.numpy()
    del second
    third = recipe(images, generator)
    pointers.append(third.data_ptr())
    assert len(set(pointers)) == 3, "a slice and an array still look into the first two"
    assert corner.max() == 0
    assert array.min() > 0.99
    del corner, array, third
    assert {view.data_ptr() for view in (recipe(images, generator), recipe(white, generator))} <= set(pointers)


@pytest.mark.parametrize("name", ["simclr", "byol"])
def test_no_value_is_read_back_on_an_accelerator(name: str) -> None:
    """The meta device has no values, so whatever would make a host wait for its accelerator fails on it."""
    for recipe in RECIPES[name]:
        draws = recipe.with_(size=24).draw(3, 40, 30, torch.Generator())
        images = torch.zeros(3, 3, 40, 30, dtype=torch.uint8, device="meta")
        view = apply(images, draws.to("meta"), 24)
        assert (view.device.type, view.shape, view.dtype) == ("meta", (3, 3, 24, 24), torch.float32)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_batch(backend: str) -> None:
    view = simclr()(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), torch.Generator(), backend=backend)
    assert view.shape == (0, 3, 8, 8)


def test_half_precision_training_does_not_touch_views() -> None:
    images, recipe = photo(4, 24, 24), RECIPES["byol"][0]
    expected = recipe(images, torch.Generator().manual_seed(8), backend="torch")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        view = recipe(images, torch.Generator().manual_seed(8), backend="torch")
    assert torch.equal(view, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_views_lie_in_the_unit_interval(backend: str) -> None:
    images = torch.randint(0, 2, (16, 3, 21, 21), generator=torch.Generator().manual_seed(9)) * 255
    strong = Recipe(scale=(0.01, 1.0), ratio=(0.2, 5.0), brightness=3.0, contrast=3.0, saturation=9.0, hue=0.5)
    view = strong(images.to(torch.uint8), torch.Generator().manual_seed(10), backend=backend)
    assert view.min() >= 0
    assert view.max() <= 1
    assert view.std() > 0.1
