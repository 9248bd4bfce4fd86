"""HRDA: windows, their places, and how two resolutions become one prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nearfar.reproductions.arms import build, train
from nearfar.segmentation.data.adaptation import street_adaptation
from nearfar.segmentation.encoders import SmallPyramid, pyramid_encoder
from nearfar.segmentation.evaluation import evaluate
from nearfar.segmentation.heads import DAFormerHead
from nearfar.segmentation.resolutions import Box, TwoResolutions, averaged, cover, halve, random_box


@pytest.fixture(scope="module")
def streets():
    return street_adaptation(32, 12)


def two_resolutions(**options) -> TwoResolutions:
    torch.manual_seed(0)
    backbone = pyramid_encoder(SmallPyramid(4))
    heads = [DAFormerHead(backbone.widths, 3, width=8, dilations=()) for _ in range(2)]
    return TwoResolutions(backbone, *heads, **options).eval()


def set_attention(net: TwoResolutions, logit: float) -> None:
    nn.init.zeros_(net.attention.classify.weight)
    nn.init.constant_(net.attention.classify.bias, logit)


def test_windows_lie_inside_at_corners_divisible_by_eight() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = {random_box(64, 128, (32, 64), generator) for _ in range(100)}
    assert {box.top for box in boxes} == {0, 8, 16, 24, 32}
    assert max(box.right for box in boxes) == 128
    with pytest.raises(ValueError, match="does not fit into 16 x 128"):
        random_box(16, 128, (32, 64), generator)


@pytest.mark.parametrize(("height", "width"), [(64, 128), (40, 100), (32, 64), (20, 30)])
def test_windows_cover_every_pixel(height: int, width: int) -> None:
    seen = torch.zeros(height, width)
    for box in cover(height, width, (32, 64)):
        box.cut(seen).add_(1)
        assert 0 <= box.top < box.bottom <= height
        assert 0 <= box.left < box.right <= width
    assert (seen >= 1).all()


def test_averaging_windows_of_a_local_function_gives_the_function() -> None:
    images = torch.rand(2, 3, 40, 48)
    found = averaged(images, (16, 16), (40, 48), lambda part: 2 * part)
    assert torch.allclose(found, 2 * images)


def test_attention_chooses_between_the_resolutions() -> None:
    net = two_resolutions()
    images = torch.rand(2, 3, 32, 64)
    context = F.interpolate(net.head(net.backbone.maps(halve(images))), scale_factor=2, mode="bilinear")
    set_attention(net, -50.0)
    with torch.no_grad():
        fused, _, _ = net.with_detail(images, Box(8, 24, 16, 48))
        assert torch.allclose(fused, context, atol=1e-5)
    set_attention(net, 50.0)
    with torch.no_grad():
        fused, detail, _ = net.with_detail(images, Box(8, 24, 16, 48))
    # Logits are at half the image's size. Inside the window, away from its edge, the detail alone; outside the
    # context; half a cell across the edge both fade.
    assert torch.allclose(fused[:, :, 6:10, 10:22], detail[:, :, 2:6, 2:14], atol=1e-5)
    assert torch.allclose(fused[:, :, :2], context[:, :, :2], atol=1e-5)
    # In inference every place has been looked at.
    with torch.no_grad():
        whole = net.logits(images)
        windows = averaged(images, (16, 32), (16, 32), lambda part: net.head(net.backbone.maps(part)))
    assert torch.allclose(whole, F.interpolate(windows, size=(32, 64), mode="bilinear"), atol=1e-5)


def test_large_pictures_are_predicted_by_overlapping_windows() -> None:
    net = two_resolutions(window=(32, 32))
    images = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        whole = net.logits(images)
        parts = [net.logits(images[..., left : left + 32]) for left in (0, 16, 32)]
    assert torch.allclose(whole[..., :16], parts[0][..., :16], atol=1e-5)
    assert torch.allclose(whole[..., 16:32], (parts[0][..., 16:] + parts[1][..., :16]) / 2, atol=1e-5)
    with pytest.raises(NotImplementedError, match="take logits"):
        net.decode([], (1, 1))


def test_gradients_reach_context_detail_and_attention(streets) -> None:
    method = build("hrda", streets, 0, crop=None or streets_crop())
    method.seed_step(0, 0)
    sum(method.loss(method.views(streets.batch(np.arange(4)))).values()).backward()
    for part in (method.encoder.backbone, method.encoder.head, method.encoder.attention):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert [*method.teacher.module.state_dict()] == [*method.encoder.state_dict()]


def streets_crop():
    from nearfar.segmentation.geometry import Crop

    return Crop()


@pytest.mark.long
def test_it_learns(streets) -> None:
    method = build("hrda", streets, 0)
    before = evaluate(method.eval(), streets)["miou source"]
    method.train()
    train("hrda", method, streets, 0, steps=50)
    assert evaluate(method, streets)["miou source"] > before + 0.05
    with pytest.raises(ValueError, match="detail_weight must be in"):
        build("hrda", streets, 0, detail_weight=2.0)
