"""CCPL: released numbers, a network that is taught and then frozen, pictures in files, and what is steady."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from nearfar.generation.data import load
from nearfar.generation.data.styles import StyledBatch
from nearfar.generation.methods.ccpl import CCPL
from nearfar.generation.stylizing import (
    VGG,
    VGG_NUMBERS,
    AdaptiveNorm,
    CovarianceTransform,
    feature_network,
    temporal_error,
)
from nearfar.losses import coherence_contrast, style_statistics
from nearfar.losses.generation.style import channel_statistics
from nearfar.reproductions.arms import build, train
from nearfar.testing import check_method
from nearfar.training import Optimization
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("ccpl", "ccp_loss"))
def test_coherence_as_released(case: ParityCase) -> None:
    arrays = case.load()
    total: Any = 0.0
    for level in range(case.hyper["num_levels"]):
        w1, b1, w2, b2 = (arrays[f"in_{name}_{level}"] for name in ("w1", "b1", "w2", "b2"))

        def project(x: Tensor, w1: Tensor = w1, b1: Tensor = b1, w2: Tensor = w2, b2: Tensor = b2) -> Tensor:
            return (x @ w1.T + b1).relu() @ w2.T + b2

        centres = arrays[f"in_centre_{level}"][: case.hyper["num_s"]]
        maps = arrays[f"in_q{level}"], arrays[f"in_k{level}"]
        total = total + coherence_contrast(*maps, centres, project, temperature=case.hyper["tau"])
    assert_parity(case, arrays, total, rtol=1e-5)  # the released code adds 1e-7 to lengths


@pytest.mark.parametrize("case", parity("ccpl", "sct"))
def test_transform_as_released(case: ParityCase) -> None:
    arrays = case.load()
    transform = CovarianceTransform(8, 5, (6,)).double()
    names = {"cnet0": transform.content[0], "cnet1": transform.content[2], "uncompress": transform.expand}
    for name, layer in {**names, "snet0": transform.style[0], "snet1": transform.style[2]}.items():
        layer.weight.data, layer.bias.data = (arrays[f"in_{name}_{part}"].detach() for part in "wb")
    found = transform(arrays["in_content"], arrays["in_style"])
    torch.testing.assert_close(found, arrays["out_out"])
    grads = torch.autograd.grad((found * arrays["in_w_up"]).sum(), [arrays["in_content"], arrays["in_style"]])
    torch.testing.assert_close(grads[0], arrays["grad_content"])
    torch.testing.assert_close(grads[1], arrays["grad_style"])


@pytest.mark.parametrize("case", parity("ccpl", "style_stats_loss"))
def test_style_as_released(case: ParityCase) -> None:
    arrays = case.load()
    torch.testing.assert_close(style_statistics(arrays["in_x"], arrays["in_target"]), arrays["out_style"])


def test_the_coherence_asks_nothing_of_colour_that_moves_everywhere() -> None:
    maps = torch.rand(2, 4, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centres = torch.tensor([8, 17, 26])
    same = coherence_contrast(maps, maps, centres)
    moved = coherence_contrast(3 * maps + torch.tensor([1.0, -2.0, 0.5, 4.0]).view(4, 1, 1), maps, centres)
    torch.testing.assert_close(moved, same)
    assert coherence_contrast(torch.rand_like(maps), maps, centres) > same + 1
    with pytest.raises(ValueError, match="centres must be cells inside of the border of a map of 6 x 7"):
        coherence_contrast(maps, maps, torch.tensor([7]))
    with pytest.raises(ValueError, match="style must be maps"):
        style_statistics(maps, maps[:, :2])


def test_adain_gives_the_styles_statistics() -> None:
    content, style = torch.rand(2, 3, 5, 6), 2 * torch.rand(2, 3, 4, 4) - 1
    found = channel_statistics(AdaptiveNorm()(content, style))
    for a, b in zip(found, channel_statistics(style), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_vgg_from_its_file(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Tensor] = {}
    for number, (before, after) in zip(VGG_NUMBERS, VGG, strict=True):
        weights[f"features.{number}.weight"] = 0.05 * torch.randn(after, before, 3, 3, generator=generator)
        weights[f"features.{number}.bias"] = torch.zeros(after)
    save_file(weights, tmp_path / "vgg.safetensors")
    network, knows = feature_network(f"vgg:{tmp_path / 'vgg.safetensors'}", 1, "photo")
    assert knows
    image = torch.rand(1, 3, 16, 16, generator=generator)
    maps = network(image)
    assert [tuple(each.shape[1:]) for each in maps] == [(64, 16, 16), (128, 8, 8), (256, 4, 4)]
    padded = nn.functional.pad((image - network.mean) / network.std, (1, 1, 1, 1), mode="reflect")
    first = nn.functional.conv2d(padded, weights["features.0.weight"]).relu()
    torch.testing.assert_close(maps[0], first)
    save_file({"features.0.weight": weights["features.0.weight"]}, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match=r"does not hold the weights of VGG-19: .*features\.0\.bias"):
        feature_network(f"vgg:{tmp_path / 'part.safetensors'}", 1)
    with pytest.raises(FileNotFoundError, match="there is no file nowhere"):
        feature_network("vgg:nowhere", 1)


SMALL: dict[str, Any] = {"mode": "photo", "patch": 24, "width": 4, "optimization": Optimization("adam", lr=3e-3)}


@pytest.fixture(scope="module")
def pairs() -> Any:
    return load("styled-photos", size=24, examples=40)


def test_it_keeps_the_promises_of_the_house(pairs: Any) -> None:
    check_method(CCPL, pairs, {**SMALL, "encoder": "small-random"})


def test_a_network_is_taught_and_then_stays(pairs: Any) -> None:
    """Steps of teaching bring pictures back; the styling afterwards moves everything but the features."""
    method = build("ccpl", pairs, 0, **SMALL, teaching=0.75)
    assert isinstance(method, CCPL)
    shown = torch.cat(method.views(pairs.batch(np.arange(16))))
    kept: dict[str, Any] = {}
    plain = method.loss

    def returned() -> float:
        with torch.no_grad():
            return float(nn.functional.mse_loss(method.encoder.decoder(method.encoder.features(shown)[-1]), shown))

    def loss(views: Any) -> Any:
        terms = plain(views)
        if method.phase == "styling" and not kept:
            kept["error"] = returned()
            kept["features"] = {n: p.clone() for n, p in method.encoder.features.named_parameters()}
            kept["decoder"] = method.encoder.decoder[0][0].weight.clone()
            assert set(terms) == {"content", "style", "coherence"}
        return terms

    before = returned()
    method.loss = loss  # type: ignore[method-assign]
    train("ccpl", method, pairs, 0, steps=40, batch_size=8)
    assert kept["error"] < 0.5 * before
    for name, p in method.encoder.features.named_parameters():
        assert torch.equal(p, kept["features"][name])
    assert not torch.equal(method.encoder.decoder[0][0].weight, kept["decoder"])


def test_styling_brings_the_style_nearer(pairs: Any) -> None:
    method = build("ccpl", pairs, 0, **{**SMALL, "encoder": "small-random"})
    assert isinstance(method, CCPL)
    before = method.eval().evaluate(pairs)
    after = train("ccpl", method.train(), pairs, 0, steps=40, batch_size=8).evaluate(pairs)  # type: ignore[attr-defined]
    assert after["style error"] < 0.7 * before["style error"]
    assert after.better == {"temporal error": "lower", "style error": "lower", "content ssim": "higher"}


def test_the_temporal_error_sees_noise_and_not_movement() -> None:
    images = torch.rand(3, 3, 24, 24)
    still = temporal_error(lambda x: x, images, torch.Generator().manual_seed(0))
    assert 0.01 < float(still.mean()) < 0.02  # the mean size of the grain
    assert float(temporal_error(torch.zeros_like, images, torch.Generator()).max()) == 0
    noise = torch.Generator().manual_seed(1)
    found = temporal_error(lambda x: x + 0.3 * torch.rand(x.shape, generator=noise), images, torch.Generator())
    assert found.mean() > 4 * still.mean()
    with pytest.raises(ValueError, match="too small to be moved by 2"):
        temporal_error(lambda x: x, torch.rand(1, 3, 17, 17), noise)


def test_files_get_a_folders_styles_at_their_own_sizes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "frames").mkdir()
    (tmp_path / "styles").mkdir()
    for name, height, width in (("frames/0", 33, 40), ("frames/1", 20, 17), ("styles/0", 32, 32), ("styles/1", 32, 32)):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(tmp_path / f"{name}.png")
    data = load(tmp_path / "frames", size=32, styles=tmp_path / "styles")
    batch = data.batch(np.array([1]))
    assert isinstance(batch, StyledBatch)
    assert batch.styles.shape == (1, 3, 32, 32)
    method = CCPL(**{**SMALL, "encoder": "small-random", "largest": 32}).eval()
    made = [*method.generate(data)]
    assert [each.thing.picture().shape for each in made] == [(26, 32, 3), (20, 17, 3)]
    one = next(method.generate(data.subset(np.array([1]))))
    assert np.array_equal(one.thing.picture(), made[1].thing.picture())
    alone = next(method.generate(load(tmp_path / "frames", size=32)))
    assert alone.thing.picture().shape == (26, 32, 3)


def test_bad_settings_are_named(pairs: Any) -> None:
    with pytest.raises(ValueError, match="patch must be a multiple of 4, at least 16, and levels at most the 3 maps"):
        CCPL(**{**SMALL, "patch": 26})
    with pytest.raises(ValueError, match="encoder must be small, small-random, vgg:<file>, or a module, got 'vgg'"):
        CCPL("vgg")
    with pytest.raises(ValueError, match="mode must be 'art' or 'photo', got 'paint'"):
        CCPL(mode="paint")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="transform must be 'sct' or 'adain'"):
        CCPL(transform="wct")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs an attribute widths"):
        CCPL(nn.Identity())
    with pytest.raises(ValueError, match="a style needs a map of 5 x 5 cells or more"):
        CovarianceTransform(8)(torch.rand(1, 8, 4, 4), torch.rand(1, 8, 4, 4))
    with pytest.raises(ValueError, match="patches of 24 are cut from them"):
        CCPL(**SMALL).views(load("styled-photos", size=16, examples=10).batch(np.arange(2)))
