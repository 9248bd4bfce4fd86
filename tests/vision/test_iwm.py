"""IWM tells its predictor what was done, spoils the source only, and learns to do the same to latents."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar.evaluation import feature_std, mrr
from nearfar.reproductions.arms import build, train
from nearfar.training import embed
from nearfar.vision.data.shapes import ShapeImages, random_factors
from nearfar.vision.masked import block_masking
from nearfar.vision.measures import equivariance
from nearfar.vision.measures.equivariance import candidates
from nearfar.vision.method import ImageBatch
from nearfar.vision.methods import IWM, MAE
from nearfar.vision.methods.iwm import WorldViews
from nearfar.vision.views import Recipe
from nearfar.vision.world_model import ACTIONS, WorldModel, photometric_action

TINY = {"encoder": "vit-mini", "predictor_width": 32, "predictor_depth": 1, "predictor_heads": 2}


def views_of(method: IWM, images: Tensor, step: int = 0) -> WorldViews:
    method.seed_step(0, step)
    return method.views(ImageBatch(images, torch.arange(len(images))))


def pictures(count: int = 6, side: int = 24) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def test_source_and_target_are_one_crop_and_only_the_source_is_spoilt() -> None:
    method, images = IWM(**TINY, strength=0.0, destructive=0.0), pictures()  # type: ignore[arg-type]
    views = views_of(method, images)
    assert torch.equal(views.images, views.target)
    assert not views.action.any()
    spoilt = views_of(IWM(**TINY, strength=0.0, destructive=5.0), images)  # type: ignore[arg-type]
    assert torch.equal(spoilt.target, views.target)  # draws do not depend on the recipe's colours
    grey = spoilt.images.amax(1) - spoilt.images.amin(1)
    assert float(grey.max()) < 1e-5
    assert torch.equal(spoilt.action[:, :6], torch.tensor([0.0, 0, 0, 0, 1, 1]).expand(6, -1))


def test_the_action_is_what_leads_from_source_to_target() -> None:
    recipe = Recipe(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
    generator = torch.Generator().manual_seed(0)
    source, target = (recipe.draw(3, 8, 8, generator) for _ in range(2))
    assert source.factors is not None
    assert target.factors is not None
    action = photometric_action(source, target)
    assert action.shape == (3, ACTIONS)
    for i, unit in enumerate((0.4, 0.4, 0.2, 0.1)):
        torch.testing.assert_close(action[:, i], (target.factors[:, i] - source.factors[:, i]) / unit)
    torch.testing.assert_close(photometric_action(target, source), -action)
    plain = Recipe().draw(3, 8, 8, generator)
    changed = dataclasses.replace(plain, factors=torch.tensor([[1.4, 1.0, 1.0, -0.1]] * 3), order=source.order)
    torch.testing.assert_close(photometric_action(plain, changed)[0], torch.tensor([1.0, 0, 0, -1, 0, 0, 0]))


@pytest.mark.parametrize("grid", [(8, 8), (4, 4), (3, 10)])
def test_rectangles_are_hidden(grid: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        one = block_masking(5, grid, generator, blocks=1)
        areas = one.hidden.view(-1, *grid).sum((1, 2))
        assert int(areas.min()) == int(areas.max())
        for hidden in one.hidden.view(-1, *grid):
            inside = hidden.any(1)[:, None] & hidden.any(0)  # the hull is full: it is a rectangle
            assert torch.equal(inside, hidden)
        four = block_masking(5, grid, generator)
        assert four.kept.shape[1] >= 1
        assert bool((four.hidden.sum(1) + four.kept.shape[1] == grid[0] * grid[1]).all())
        assert not four.hidden.gather(1, four.kept).any()


def test_the_loss_is_the_formula_and_the_teacher_gets_no_gradient() -> None:
    for settings in ({}, {"metric": "smooth_l1", "normalise": True}):
        method = IWM(**TINY, **settings)  # type: ignore[arg-type]
        views = views_of(method, pictures())
        said = method.predictor(method.seen(views.images, views.kept), views.kept, (6, 6), views.action)
        said = said.detach()
        target = method.teacher.module.maps(views.target)[:, 1:]  # type: ignore[operator]
        total = 0.0
        for n, patch in views.hidden.nonzero().tolist():
            t = target[n, patch].double()
            t = (t - t.mean()) / (t.var(unbiased=False) + 1e-5).sqrt() if settings else t
            error = (said[n, patch].double() - t).abs()
            huber = torch.where(error < 1, error**2 / 2, error - 0.5)
            total += float((huber if settings else error**2).mean())
        loss = method.loss(views)
        assert float(loss.detach()) == pytest.approx(total / int(views.hidden.sum()), rel=1e-4)
        loss.backward()
        assert all(p.grad is None for p in method.teacher.parameters())
        learning = [*method.encoder.parameters(), *method.predictor.parameters()]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learning)


@pytest.mark.parametrize("conditioning", ["feature", "sequence", "none"])
def test_the_predictor_hears_the_action_or_does_not(conditioning: str) -> None:
    torch.manual_seed(0)
    predictor = WorldModel(8, 16, 1, 2, conditioning=conditioning).eval()
    tokens, kept = torch.randn(2, 4, 8), torch.tensor([[0, 3, 5], [1, 2, 4]])
    first, second = (predictor(tokens, kept, (2, 3), action) for action in torch.randn(2, 2, ACTIONS))
    assert first.shape == (2, 6, 8)
    assert torch.equal(first, second) == (conditioning == "none")


def test_the_teacher_follows_and_is_the_representation() -> None:
    method, images = IWM(**TINY, momentum=0.5), pictures()  # type: ignore[arg-type]
    before = method.teacher.module.backbone.embed.weight.clone()  # type: ignore[union-attr]
    with torch.no_grad():
        method.transformer.embed.weight.add_(1)
    method.after_step()
    after = method.teacher.module.backbone.embed.weight  # type: ignore[union-attr]
    torch.testing.assert_close(after, before + 0.5)
    tokens = method.teacher.module.maps(images)  # type: ignore[operator]
    torch.testing.assert_close(method.encode(images), tokens[:, 1:].mean(1))


def test_it_learns_without_collapse_and_listens_to_the_action() -> None:
    data = ShapeImages(random_factors(256), 16)
    method = build("iwm", data, 0, **TINY, strength=2.0, momentum=0.996)
    assert isinstance(method, IWM)
    views = views_of(method, data.batch(np.arange(256)).images)

    def error(views: WorldViews) -> float:
        with torch.no_grad():
            return float(method.loss(views))

    def spread() -> float:
        return feature_std(embed(method, data).array, relative=True)

    before, untrained = error(views), spread()
    train("iwm", method, data, 0, steps=80, batch_size=32)
    after, of_others = error(views), error(views._replace(action=views.action.roll(1, 0)))
    assert after < 0.8 * before
    assert after < 0.995 * of_others, (after, of_others)
    assert 0.02 < mrr(*candidates(method, data.batch(np.arange(1)).images[0], 0)) <= 1
    assert spread() > 0.5 * untrained


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="conditioning must be 'feature', 'sequence' or 'none', got 'all'"):
        IWM(**TINY, conditioning="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"destructive must be in \[0, 5\]"):
        IWM(**TINY, destructive=6)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="blocks that leave something to see"):
        block_masking(2, (4, 4), torch.Generator(), blocks=5)
    method = IWM(**TINY, metric="l1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="metric must be one of 'l2', 'smooth_l1', got 'l1'"):
        method.loss(views_of(method, pictures()))
    plain = MAE("vit-mini", decoder_width=32, decoder_depth=1, decoder_heads=2)
    with pytest.raises(ValueError, match="told an action"):
        equivariance(plain, ShapeImages(random_factors(8), 16))
