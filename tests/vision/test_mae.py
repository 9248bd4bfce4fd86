"""MAE sees only what it is shown, is asked only for what is hidden, and learns from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar.losses import masked_reconstruction
from nearfar.reproductions.arms import build, train
from nearfar.vision.data.shapes import ShapeImages, random_factors
from nearfar.vision.masked import MaskedViews, PatchDecoder
from nearfar.vision.method import ImageBatch
from nearfar.vision.methods import MAE

TINY = {"encoder": "vit-mini", "decoder_width": 32, "decoder_depth": 1, "decoder_heads": 2}


def views_of(method: MAE, images: Tensor, step: int = 0) -> MaskedViews:
    method.seed_step(0, step)
    return method.views(ImageBatch(images, torch.arange(len(images))))


def pictures(count: int = 4, side: int = 16) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_loss_is_the_formula_s(normalise: bool) -> None:
    method = MAE(**TINY, normalise=normalise)  # type: ignore[arg-type]
    views = views_of(method, pictures())
    said = method.reconstruct(views).double()
    mean, std = (torch.tensor(v).double() for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    total, count = torch.zeros((), dtype=torch.float64), 0
    for n, image in enumerate(views.images.double()):
        for patch in range(16):
            if not views.hidden[n, patch]:
                continue
            row, column = 4 * (patch // 4), 4 * (patch % 4)
            values = ((image[:, row : row + 4, column : column + 4].permute(1, 2, 0) - mean) / std).flatten()
            if normalise:
                values = (values - values.mean()) / (values.var(unbiased=True) + 1e-6).sqrt()
            total, count = total + (said[n, patch] - values).square().mean(), count + 1
    assert count == 4 * 12
    torch.testing.assert_close(method.loss(views).double(), total / count, rtol=1e-4, atol=1e-4)


def test_hidden_patches_reach_neither_encoder_nor_prediction() -> None:
    method = MAE(**TINY).eval()  # type: ignore[arg-type]
    views = views_of(method, pictures())
    squares = views.hidden.view(-1, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    other = views._replace(images=torch.where(squares, torch.rand_like(views.images), views.images))
    torch.testing.assert_close(method.reconstruct(other), method.reconstruct(views))
    assert not torch.allclose(method.loss(other), method.loss(views))


def test_seen_patches_are_not_asked_for_and_all_parts_learn() -> None:
    method = MAE(**TINY)  # type: ignore[arg-type]
    views = views_of(method, pictures())
    method.loss(views).backward()
    assert not [name for name, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    said = method.reconstruct(views).detach().requires_grad_()
    masked_reconstruction(said, method.pixels(views.images), views.hidden).backward()
    assert said.grad is not None
    assert torch.equal(said.grad.abs().sum(2) > 0, views.hidden)


def test_the_decoder_gives_every_patch_its_place() -> None:
    torch.manual_seed(0)
    decoder = PatchDecoder(8, 5, width=16, depth=1, heads=2).eval()
    tokens, kept = torch.randn(2, 4, 8), torch.tensor([[0, 3, 5], [1, 2, 4]])
    said = decoder(tokens, kept, (2, 3))
    assert said.shape == (2, 6, 5)
    shuffled = torch.tensor([2, 0, 1])
    again = decoder(torch.cat([tokens[:, :1], tokens[:, 1:][:, shuffled]], 1), kept[:, shuffled], (2, 3))
    torch.testing.assert_close(again, said)
    # Two patches that were left out differ by their places alone, and do differ.
    assert not torch.allclose(said[0, 1], said[0, 2])


def test_views_repeat_and_change_with_the_step() -> None:
    method, images = MAE(**TINY), pictures()  # type: ignore[arg-type]
    first, again, later = (views_of(method, images, step) for step in (0, 0, 1))
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first.hidden, later.hidden)
    assert not torch.equal(first.images, later.images)
    assert bool((first.hidden.sum(1) == 12).all())


def test_it_learns_to_draw_what_is_hidden_better_than_the_mean() -> None:
    data = ShapeImages(random_factors(256), 16)
    method = build("mae", data, 0, **TINY)
    assert isinstance(method, MAE)

    def error() -> float:
        with torch.no_grad():
            return float(method.loss(views_of(method, data.batch(np.arange(256)).images)))

    before = error()
    train("mae", method, data, 0, steps=60, batch_size=32)
    # Every patch has variance 1, so its own mean as a guess has error 1.
    assert error() < 0.75 < before


def test_the_representation_is_the_class_token_of_the_whole_picture() -> None:
    method, images = MAE(**TINY).eval(), pictures()  # type: ignore[arg-type]
    tokens = method.encoder.maps(images)
    assert tokens.shape == (4, 17, 96)
    torch.testing.assert_close(method.encode(images), tokens[:, 0])


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="MAE leaves patches out before its encoder, which SmallConvNet cannot"):
        MAE("small-conv")
    with pytest.raises(ValueError, match="show some and hide some of 16 patches"):
        views_of(MAE(**TINY, mask_ratio=0.99), pictures())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="divisible by 4"):
        MAE("vit-mini", decoder_width=30, decoder_heads=2)
    method = MAE(**TINY)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="18x18 pixels are not whole patches of 4"):
        method.loss(views_of(method, pictures(side=18)))
