"""R-MAE's regions follow the view, hide with the image's patches, and teach the image's encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.losses import masked_regions
from nearfar.parts import patchify
from nearfar.reproductions.arms import build, train
from nearfar.vision.data.shapes import ShapeImages, random_factors
from nearfar.vision.method import ImageBatch
from nearfar.vision.methods import RMAE
from nearfar.vision.methods.r_mae import RegionViews
from nearfar.vision.region_queries import RegionDecoder, RegionEncoder
from nearfar.vision.regions import regions_of

TINY = {
    "encoder": "vit-mini",
    "decoder_width": 32,
    "decoder_depth": 1,
    "decoder_heads": 2,
    "regions": 3,
    "region_dim": 32,
    "region_depth": 1,
    "region_heads": 2,
    "scale": 300.0,
    "min_size": 10,
}
DATA = ShapeImages(random_factors(128, 3), 32)


def views_of(method: RMAE, rows: int = 6, step: int = 0) -> RegionViews:
    method.seed_step(0, step)
    return method.views(DATA.batch(np.arange(rows)))


def test_regions_lie_where_the_view_shows_them() -> None:
    rng = np.random.default_rng(0)
    fields = np.arange(4).reshape(2, 2).repeat(16, 0).repeat(16, 1)
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [220, 220, 220]], np.uint8)
    images = torch.from_numpy(np.stack([colours[rng.permutation(4)][fields] for _ in range(8)])).permute(0, 3, 1, 2)
    method = RMAE(**TINY, crop_min=0.3)  # type: ignore[arg-type]
    method.seed_step(0, 0)
    views = method.views(ImageBatch(images, torch.arange(8)))
    assert views.segments.shape == (8, 64, 16)
    assert views.chosen.shape == (8, 3)
    pixels = patchify(views.images, 4).unflatten(2, (16, 3))
    regions = regions_of(views.segments, views.chosen)
    inside = [pixels[n][region] for n in range(8) for region in regions[n]]
    # Each of one colour, but for the lines of pixels that the crop's interpolation mixes with the next field.
    alike = torch.cat([(region - region.median(0).values).abs().amax(1) < 0.01 for region in inside])
    assert float(alike.float().mean()) > 0.85


def test_views_repeat_and_change_with_the_step() -> None:
    method = RMAE(**TINY)  # type: ignore[arg-type]
    first, again, later = (views_of(method, step=step) for step in (0, 0, 1))
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, later))


def test_both_terms_are_the_formulas() -> None:
    method = RMAE(**TINY, region_weight=0.5, background=0.3)  # type: ignore[arg-type]
    views = views_of(method)
    terms = {name: value.detach() for name, value in method.loss(views).items()}
    logits = method.predict(views)[1]
    assert logits.shape == (6, 3, 64, 16)
    expected = masked_regions(logits, regions_of(views.segments, views.chosen), views.hidden, background=0.3)
    torch.testing.assert_close(terms["regions"], 0.5 * expected)
    assert 0.5 < float(terms["pixels"]) < 10


def test_hidden_parts_of_a_region_reach_no_query() -> None:
    torch.manual_seed(0)
    encoder = RegionEncoder(16, 32, 2).eval()
    regions = torch.rand(2, 3, 9, 16) < 0.5
    kept = torch.tensor([[0, 4], [8, 2]])
    hidden = torch.ones(2, 9, dtype=torch.bool).scatter(1, kept, False)
    other = torch.where(hidden[:, None, :, None], ~regions, regions)
    torch.testing.assert_close(encoder(other, kept, (3, 3)), encoder(regions, kept, (3, 3)))
    changed = regions.clone()
    changed[0, 1, 4] = ~changed[0, 1, 4]
    moved = (encoder(changed, kept, (3, 3)) - encoder(regions, kept, (3, 3))).abs().amax(2) > 1e-6
    assert moved.nonzero().tolist() == [[0, 1]]


def test_the_decoder_answers_queries_in_any_order() -> None:
    torch.manual_seed(0)
    decoder = RegionDecoder(16, 32, 2).eval()
    query, memory = torch.randn(2, 4, 32), torch.randn(2, 9, 32)
    said = decoder(query, memory)
    assert said.shape == (2, 4, 9, 16)
    order = torch.tensor([3, 0, 2, 1])
    torch.testing.assert_close(decoder(query[:, order], memory), said[:, order])


def test_regions_alone_teach_the_image_s_encoder() -> None:
    method = RMAE(**TINY)  # type: ignore[arg-type]
    method.loss(views_of(method))["regions"].backward()
    trained = {name.split(".")[0] for name, p in method.named_parameters() if p.grad is not None}
    assert trained == {"encoder", "region_encoder", "memory", "region_decoder"}
    assert not [name for name, p in method.encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def test_it_learns_where_regions_go_on() -> None:
    method = build("r-mae", DATA, 0, **TINY)
    assert isinstance(method, RMAE)

    def terms() -> dict[str, float]:
        with torch.no_grad():
            return {name: float(value) for name, value in method.loss(views_of(method, 128)).items()}

    before = terms()
    train("r-mae", method, DATA, 0, steps=40, batch_size=32)
    after = terms()
    with torch.no_grad():
        views = views_of(method, 128)
        regions = regions_of(views.segments, views.chosen)
    share = regions.permute(0, 2, 1, 3)[views.hidden].float().mean()
    constant = float(-(share * share.log() + (1 - share) * (1 - share).log()))  # the best that knows no picture
    assert after["regions"] < 0.9 * constant < before["regions"], (before, after, constant)
    assert after["pixels"] < before["pixels"]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="regions must be at least 1"):
        RMAE(**{**TINY, "regions": 0})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scale must be above 0"):
        RMAE(**{**TINY, "scale": 0.0})  # type: ignore[arg-type]
