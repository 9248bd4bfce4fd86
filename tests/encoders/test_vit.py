"""The vision transformer: positions, patches left out, and its trace."""

from __future__ import annotations

import math

import pytest
import torch

from nearfar.encoders import VisionTransformer, image_encoder, sine_positions


def network() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(16, 2, 2, patch=4).double()


def test_positions_follow_the_formula() -> None:
    found = sine_positions(2, 3, 8)
    row, column = 1, 2
    expected = [math.sin(column), math.sin(column / 100), math.cos(column), math.cos(column / 100)]
    expected += [math.sin(row), math.sin(row / 100), math.cos(row), math.cos(row / 100)]
    assert torch.allclose(found[row * 3 + column], torch.tensor(expected, dtype=torch.float32), atol=1e-6)


def test_leaving_no_patch_out_is_the_whole_network_and_order_does_not_matter() -> None:
    net, images = network(), torch.rand(2, 3, 8, 12, dtype=torch.float64)
    patches = net.patches(images)
    whole = net(images)
    assert whole.shape == (2, 7, 16)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled = net.encode(patches[:, order])
    assert torch.allclose(shuffled[:, 0], whole[:, 0], atol=1e-12)
    assert torch.allclose(shuffled[:, 1:], whole[:, 1:][:, order], atol=1e-12)
    assert not torch.allclose(net.encode(patches[:, :3])[:, 0], whole[:, 0], atol=1e-3)


def test_the_trace_is_what_the_network_does() -> None:
    net, images = network(), torch.rand(2, 3, 8, 8, dtype=torch.float64)
    trace = net.trace(images)
    assert len(trace.attentions) == len(trace.tokens) == 2
    assert trace.attentions[0].shape == (2, 2, 5, 5)
    assert torch.allclose(trace.attentions[1].sum(3), torch.ones(2, 2, 5, dtype=torch.float64))
    assert torch.allclose(net.blocks.norm(trace.tokens[-1]), net(images), atol=1e-12)


def test_by_name_it_gives_the_class_token() -> None:
    encoder = image_encoder("vit-mini").eval()
    images = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    assert encoder.out_features == 96
    with torch.no_grad():
        assert torch.allclose(encoder(images), encoder.backbone(encoder.standardized(images))[:, 0], atol=1e-6)


def test_sizes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="10x8 pixels are not whole patches of 4"):
        network()(torch.rand(1, 3, 10, 8, dtype=torch.float64))
    with pytest.raises(ValueError, match="divisible by 4"):
        VisionTransformer(18, 1, 2)
    with pytest.raises(ValueError, match="divisible by the heads"):
        VisionTransformer(16, 1, 3)
