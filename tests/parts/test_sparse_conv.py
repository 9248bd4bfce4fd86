"""A dense network under a mask is a sparse one: what is hidden has no say, and the network is left as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from nearfar.encoders.resnet import ResNet, SmallConvNet
from nearfar.parts import Densify, Seen, UNetDecoder, feature_levels, sparse, sparse_maps

NETWORKS = {
    "small-conv": lambda: SmallConvNet(8),
    "small-conv-gn": lambda: SmallConvNet(8, norm="gn"),
    "resnet18": lambda: ResNet(18),
    "resnet50-cifar": lambda: ResNet(50, small_images=True),
}


def grid(count: int, rows: int, seen: int) -> Tensor:
    keys = torch.rand(count, rows * rows, generator=torch.Generator().manual_seed(1))
    return (keys.argsort(1).argsort(1) < seen).view(count, rows, rows)


@pytest.mark.parametrize(
    ("name", "strides", "widths"),
    [
        ("small-conv", [16, 8, 4, 2], [32, 32, 16, 8]),
        ("resnet18", [32, 16, 8, 4], [512, 256, 128, 64]),
        ("resnet50-cifar", [8, 4, 2], [2048, 1024, 512]),
    ],
)
def test_levels_are_the_last_maps_of_each_resolution(name: str, strides: list[int], widths: list[int]) -> None:
    network = NETWORKS[name]().train()
    before = copy.deepcopy(network.state_dict())
    levels = feature_levels(network)
    assert [level.stride for level in levels] == strides
    assert [level.width for level in levels] == widths
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    pixels = torch.rand(2, 3, 64, 64)
    everything = Seen(torch.ones(2, 64 // strides[0], 64 // strides[0], dtype=torch.bool))
    network.eval()
    maps = sparse_maps(network, levels, pixels, everything)
    torch.testing.assert_close(maps[0], network(pixels))
    if name == "resnet18":
        torch.testing.assert_close(maps[3], network.stages[0](network.stem(pixels)))


@pytest.mark.parametrize("name", NETWORKS)
def test_hidden_pixels_have_no_say_and_hidden_cells_stay_zero(name: str) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().train()
    levels = feature_levels(network)
    cell = levels[0].stride
    mask = grid(3, 64 // cell, max((64 // cell) ** 2 // 2, 1))
    pixels = torch.rand(3, 3, 64, 64)
    fine = mask.repeat_interleave(cell, 1).repeat_interleave(cell, 2).unsqueeze(1)
    other = torch.where(fine, pixels, torch.rand(3, 3, 64, 64))
    first, second = (sparse_maps(network, levels, x, Seen(mask)) for x in (pixels, other))
    for level, a, b in zip(levels, first, second, strict=True):
        assert torch.equal(a, b)
        assert a.shape[1] == level.width
        shown = mask.repeat_interleave(cell // level.stride, 1).repeat_interleave(cell // level.stride, 2).unsqueeze(1)
        assert (a.abs() * ~shown).max() == 0
        assert (a.abs() * shown).max() > 0


def test_batch_norm_counts_seen_positions_only() -> None:
    torch.manual_seed(0)
    layer, reference = nn.BatchNorm2d(4), nn.BatchNorm1d(4)
    maps, mask = torch.randn(3, 4, 8, 8) + 2, grid(3, 4, 5)
    with sparse(layer, Seen(mask)):
        found = layer(maps)
    fine = mask.repeat_interleave(2, 1).repeat_interleave(2, 2)
    rows = reference(maps.permute(0, 2, 3, 1)[fine])
    torch.testing.assert_close(found.permute(0, 2, 3, 1)[fine], rows)
    assert found.permute(0, 2, 3, 1)[~fine].abs().max() == 0
    torch.testing.assert_close(layer.running_mean, reference.running_mean)
    torch.testing.assert_close(layer.running_var, reference.running_var)


def test_group_norm_counts_seen_positions_of_one_image_only() -> None:
    layer = nn.GroupNorm(2, 4)
    maps, mask = torch.randn(3, 4, 4, 4, dtype=torch.float64) + 2, grid(3, 4, 5)
    layer.double()
    with sparse(layer, Seen(mask)):
        found = layer(maps)
    for image in range(3):
        for group in range(2):
            values = maps[image, 2 * group : 2 * group + 2][:, mask[image]]
            expected = (values - values.mean()) / (values.var(correction=0) + layer.eps).sqrt()
            torch.testing.assert_close(found[image, 2 * group : 2 * group + 2][:, mask[image]], expected)


def test_biases_pools_and_layers_with_channels_last_leak_nothing() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.MaxPool2d(2), nn.Conv2d(6, 6, 3, padding=1))
    last = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 6))
    whole = nn.ModuleList([network, last])
    mask = grid(2, 2, 2)
    seen = Seen(mask)
    with sparse(whole, seen):
        maps = network(seen.mask(torch.rand(2, 3, 16, 16)))
        cells = last(maps.permute(0, 2, 3, 1))
    hidden = ~mask.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert maps.permute(0, 2, 3, 1)[hidden].abs().max() == 0
    assert cells[hidden].abs().max() == 0
    torch.testing.assert_close(cells[~hidden], last(maps.permute(0, 2, 3, 1)[~hidden]))


def test_the_network_is_itself_again_even_after_an_error() -> None:
    network = SmallConvNet(8).eval()
    names = list(network.state_dict())
    pixels = torch.rand(2, 3, 48, 48)
    before = network(pixels)
    with (
        pytest.raises(ValueError, match="3x3 cells, which the mask of 2x2 does not divide"),
        sparse(network, Seen(grid(2, 2, 2))),
    ):
        network(pixels)
    assert torch.equal(network(pixels), before)
    assert list(network.state_dict()) == names
    assert not any("forward" in module.__dict__ for module in network.modules())


def test_a_backbone_without_maps_is_named() -> None:
    with pytest.raises(ValueError, match="Sequential gives no maps at strides that double"):
        feature_levels(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 4)))
    with pytest.raises(ValueError, match=r"found \[16\]"):
        feature_levels(nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.Flatten(2)))


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (torch.ones(2, 2, 2), TypeError, "boolean"),
        (torch.ones(2, 2, dtype=torch.bool), ValueError, r"\(N, h, w\)"),
        (torch.zeros(2, 2, 2, dtype=torch.bool), ValueError, "at least one"),
    ],
)
def test_masks_that_are_none_are_refused(mask: Tensor, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Seen(mask)


def test_images_may_show_unlike_many_cells_to_all_but_norms_of_each() -> None:
    seen = Seen(torch.tensor([[[True, True]], [[False, True]]]))
    maps = torch.randn(2, 4, 1, 2)
    rows = maps.permute(0, 2, 3, 1)[seen.grid]
    found = seen.through(nn.BatchNorm2d(4), maps).permute(0, 2, 3, 1)
    torch.testing.assert_close(found[seen.grid], (rows - rows.mean(0)) / (rows.var(0, correction=0) + 1e-5).sqrt())
    assert not found[~seen.grid].any()
    with pytest.raises(ValueError, match="as many seen cells"):
        seen.through(nn.GroupNorm(2, 4), maps)


def test_densify_puts_its_token_where_nothing_was_seen() -> None:
    layer = Densify(4, 4, kernel=1)
    assert isinstance(layer.project, nn.Identity)
    mask = grid(2, 2, 1)
    filled = layer(torch.randn(2, 4, 4, 4), Seen(mask))
    hidden = ~mask.repeat_interleave(2, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(filled.permute(0, 2, 3, 1)[hidden], layer.token.view(1, 4).expand(hidden.sum(), 4))


def test_the_decoder_reaches_pixels_and_every_map_counts() -> None:
    decoder = UNetDecoder(8, 16)
    assert decoder.widths == (16, 8, 4)
    maps = [torch.randn(2, width, side, side, requires_grad=True) for width, side in ((16, 2), (8, 4), (4, 8))]
    pixels = decoder(maps)
    assert pixels.shape == (2, 3, 16, 16)
    pixels.square().sum().backward()
    assert all(level.grad is not None and level.grad.abs().max() > 0 for level in maps)
    assert decoder(maps[:1]).shape == (2, 3, 16, 16)
    with pytest.raises(ValueError, match="power of two"):
        UNetDecoder(12, 16)
    with pytest.raises(ValueError, match="at least 32, got 16"):
        UNetDecoder(32, 16)
    with pytest.raises(ValueError, match="1 to 3 maps"):
        decoder([])
