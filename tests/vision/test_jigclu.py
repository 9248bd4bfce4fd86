"""JigClu learns, puts parts together and finds them again, and sees every image once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nearfar.reproductions.arms import build
from nearfar.vision.method import ImageBatch
from nearfar.vision.methods import JigClu
from nearfar.vision.methods.jigclu import CORNERS, montage, quarters
from nearfar.vision.pictures import grid
from nearfar.vision.views import Recipe
from tests.vision.learning import digits, learn, one_loss


@pytest.mark.long
def test_it_beats_its_untrained_encoder_without_collapse() -> None:
    _, before, after = learn("jigclu", steps=60)
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


def still(**arguments: object) -> JigClu:
    """No random crop and no colours, so that parts can be recognised."""
    recipe = Recipe(scale=None)
    return JigClu("small-conv", views=(recipe, recipe), projection_dim=4, **arguments)  # type: ignore[arg-type]


def test_parts_are_the_corners_and_lie_where_they_are_said_to() -> None:
    method = still(overlap=0.0)
    images = torch.randint(0, 256, (5, 3, 12, 12), dtype=torch.uint8)
    method.seed_step(0, 0)
    views = method.views(ImageBatch(images, torch.arange(5)))
    assert views.images.shape == (5, 3, 12, 12)
    assert sorted(views.parts.tolist()) == list(range(4 * 5))
    corners = [images[:, :, top : top + 6, left : left + 6] / 255 for top in (0, 6) for left in (0, 6)]
    places = [(top, left) for top in (0, 6) for left in (0, 6)]
    for number, part in enumerate(views.parts.tolist()):
        quarter, row = divmod(number, 5)
        top, left = places[quarter]
        found = views.images[row, :, top : top + 6, left : left + 6]
        torch.testing.assert_close(found, corners[part // 5][part % 5], atol=1e-5, rtol=0)


def test_parts_overlap_by_the_share_of_the_side() -> None:
    method = still(overlap=0.3)
    ramp = torch.arange(20, dtype=torch.uint8).mul(10).view(1, 1, 1, 20).expand(1, 3, 20, 20)
    method.seed_step(0, 0)
    left, right = (method.part(corner, ImageBatch(ramp, torch.arange(1))) * 25.5 for corner in (0, 1))
    # 16 of 20 columns each: 0 to 15 and 4 to 19, shrunk to 10.
    assert left.mean() == pytest.approx(7.5, abs=0.1)
    assert right.mean() == pytest.approx(11.5, abs=0.1)
    sizes = torch.tensor([[10, 10]])
    inner = method.part(1, ImageBatch(ramp, torch.arange(1), sizes)) * 25.5
    assert inner.mean() == pytest.approx(5.5, abs=0.1)  # columns 2 to 9 of a picture of 10


def test_quarters_are_in_the_order_of_montages() -> None:
    parts = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 4, 4)
    pictures = montage(parts)
    assert pictures.shape == (2, 3, 8, 8)
    assert torch.equal(quarters(pictures)[:, 0], torch.arange(8.0))
    with pytest.raises(ValueError, match=r"must give maps \(N, C, h, w\), got shape \(2, 5\)"):
        quarters(torch.zeros(2, 5))


def test_shuffling_changes_nothing_for_a_network_that_sees_quarters_only() -> None:
    class Pixels(nn.Module):
        out_features = 3

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.avg_pool2d(x, x.shape[-1] // 2)

    method = JigClu(Pixels(), views="gentle", projection_dim=4)
    images = torch.rand(6, 3, 8, 8)
    parts = torch.cat([images[:, :, t : t + 4, s : s + 4] for t in (0, 4) for s in (0, 4)])
    found = []
    for seed in range(2):
        order = torch.randperm(24, generator=torch.Generator().manual_seed(seed))
        # Every part in some quarter of some picture; bilinear resizing mixes nothing across constant quarters.
        flat = parts.mean((2, 3), keepdim=True).expand(-1, -1, 4, 4)[order]
        terms = method.loss(type(method.views(digits().batch(np.arange(2))))(montage(flat), order))
        found.append(torch.stack([*terms.values()]))
    torch.testing.assert_close(found[0], found[1], atol=0.05, rtol=0.05)


def test_one_pass_for_each_image_and_weights_of_both_tasks() -> None:
    method = build("jigclu", digits(), 0)
    assert isinstance(method, JigClu)
    seen = []
    method.encoder.backbone.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape)))  # type: ignore[union-attr, operator]
    terms = one_loss(method)
    assert seen == [(32, 3, 32, 32)]
    assert set(terms) == {"clustering", "location"}
    assert float(terms["location"].detach()) == pytest.approx(np.log(CORNERS), abs=0.5)  # type: ignore[index]
    without = build("jigclu", digits(), 0, location=0.0)
    assert one_loss(without)["location"] == 0  # type: ignore[index]
    with pytest.raises(ValueError, match=r"overlap must be in \[0, 0.5\], got 0.7"):
        JigClu("small-conv", overlap=0.7)


def test_a_grid_of_pictures_has_room_for_the_largest() -> None:
    small, large = (torch.full((2, 3, side, side), side, dtype=torch.uint8) for side in (4, 6))
    sheet = grid([small, large], gap=1)
    assert sheet.shape == (13, 13, 3)
    assert (sheet[7:, 7:] == 6).all()
    assert (sheet[:4, :4] == 4).all()
    assert (sheet[4:6, :6] == 255).all()
