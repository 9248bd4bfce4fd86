"""ZeCon, the guides that compare pictures with texts, and the pieces of pictures that they see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar import losses
from nearfar.cli import main
from nearfar.generation.base import Base
from nearfar.generation.data import load
from nearfar.generation.guides import ClipGuide, ColourGuide, homography, open_guide, patches
from nearfar.generation.made import Made, Picture
from nearfar.generation.method import Draws
from nearfar.generation.methods.zecon import Strengths, ZeCon
from nearfar.generation.open_base import open_base
from nearfar.generation.restyling import restyling_scores
from tests.parity import ParityCase, assert_parity, parity

QUICK: dict[str, Any] = {"base": "made:digits-quick", "steps": 6, "skipped": 3, "pieces": 4}


@pytest.fixture(scope="module")
def digits() -> Any:
    return load("tinted-digits").splits()["test"]


@pytest.fixture(scope="module")
def base() -> Base:
    return open_base("made:digits-quick")


@pytest.mark.parametrize("case", parity("zecon", "patch_nce"))
def test_contrast_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    found = losses.patch_nce(
        arrays["in_q"][None], arrays["in_k"][None], temperature=case.hyper["temperature"], own=-10.0
    )
    del arrays["grad_k"]  # zero: keys are held constant
    assert_parity(case, arrays, found, out="loss_mean", rtol=1e-6)


@pytest.mark.parametrize("case", parity("zecon", "zecon_loss"))
def test_contrast_of_maps_is_the_released_one(case: ParityCase) -> None:
    """Two pictures are one set of places there."""
    arrays = case.load()
    found = []
    for layer in (0, 1):
        places = arrays[f"in_patch_{layer}"]
        q, k = (arrays[f"in_{side}_{layer}"].flatten(2).mT[:, places].flatten(0, 1)[None] for side in "qk")
        found.append(losses.patch_nce(q, k, temperature=case.hyper["temperature"], own=-10.0))
    for layer in (0, 1):
        arrays[f"in_k_{layer}"].requires_grad_(False)
    assert_parity(case, arrays, torch.stack(found).sum(), rtol=1e-6)


@pytest.mark.parametrize("case", parity("zecon", "clip_distances"))
def test_distances_are_the_released_ones(case: ParityCase) -> None:
    arrays = case.load()
    x, y, image = (arrays[f"in_{name}"] for name in ("x", "y", "image"))
    near = losses.spherical_distance(x, y)
    moved = losses.direction_distance(x, y, arrays["in_tx"], arrays["in_ty"])
    torch.testing.assert_close(near, arrays["out_spherical"])
    torch.testing.assert_close(moved, arrays["out_directional"])
    torch.testing.assert_close(losses.range_excess(image), arrays["out_range"])
    (slope,) = torch.autograd.grad(near.sum() + moved.sum(), x)
    torch.testing.assert_close(slope, arrays["grad_x"])
    (slope,) = torch.autograd.grad(losses.range_excess(image).sum(), image)
    torch.testing.assert_close(slope, arrays["grad_image"])


def test_distances_at_their_ends() -> None:
    x = torch.eye(3, dtype=torch.float64, requires_grad=True)
    same, opposite = losses.spherical_distance(x, 2 * x.detach()), losses.spherical_distance(x, -x.detach())
    torch.testing.assert_close(same, torch.zeros_like(same))
    torch.testing.assert_close(opposite, torch.full_like(opposite, torch.pi**2 / 2))
    (slope,) = torch.autograd.grad((same + opposite).sum(), x)
    assert torch.isfinite(slope).all()
    with pytest.raises(ValueError, match=r"y has shape \(2, 3\); all must be \(N, D\) of one width"):
        losses.spherical_distance(x, torch.ones(2, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="least must be below most, got 1 and -1"):
        losses.range_excess(x, 1, -1)


def test_pieces_lie_where_they_were_drawn() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 16, 16, generator=generator)
    still = torch.zeros(2, 1, 14)
    still[..., 0], still[..., 1:6] = 1.0, 0.5  # the whole, in the middle, upright, not shifted, straight
    torch.testing.assert_close(patches(x, still, 16, (0.5, 1.0)), x, rtol=1e-4, atol=1e-4)
    still[..., 0], still[..., 1:3] = 0.0, torch.tensor([1.0, 0.0])  # a quarter, at the right and above
    torch.testing.assert_close(patches(x, still, 8, (0.25, 1.0)), x[:, :, :8, 8:], rtol=1e-4, atol=1e-4)
    drawn = patches(x, torch.rand(2, 5, 14, generator=generator), 8, (0.1, 0.5))
    assert drawn.shape == (10, 3, 8, 8)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    square = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    moved = square * torch.rand(3, 4, 2, generator=generator)
    seen = homography(square, moved) @ F.pad(square, (0, 1), value=1.0).T
    torch.testing.assert_close((seen[:, :2] / seen[:, 2:]).mT, moved, rtol=1e-4, atol=1e-4)


def test_a_guide_of_colours_reads_and_sees_the_same() -> None:
    guide = open_guide("colours")
    assert isinstance(guide, ColourGuide)
    names = ["red", "green", "blue", "yellow"]
    plain = guide.palette[[3, 6, 8, 5]] * 2 - 1
    seen = guide.images(plain[:, :, None, None].expand(-1, -1, 8, 8))
    near = F.normalize(seen, dim=1) @ F.normalize(guide.texts([f"a {name} sky" for name in names]), dim=1).T
    assert near.argmax(1).tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(guide.texts(["a sky"]), guide._alike(guide.palette).mean(0, keepdim=True))
    with pytest.raises(ValueError, match="there is no guide 'taste'; accepted are colours, a folder with a CLIP"):
        open_guide("taste")


def test_a_guide_of_clip_gives_gradients(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from nearfar.encoders.causal import without_bars, word_tokenizer

    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": 8, "eos_token_id": 1, "max_position_embeddings": 8},
        vision_config={**small, "image_size": 8, "patch_size": 4},
        projection_dim=4,
    )
    with without_bars():
        transformers.CLIPModel(config).save_pretrained(tmp_path)
    word_tokenizer(["a", "sky"]).save_pretrained(tmp_path)
    guide = open_guide(tmp_path)
    assert isinstance(guide, ClipGuide)
    assert guide.side == 8
    x = torch.zeros(2, 3, 8, 8, requires_grad=True)
    losses.spherical_distance(guide.images(x), guide.texts(["a sky"])).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert guide.texts(["a sky", "a"]).shape == (2, 4)


def test_features_are_those_on_the_networks_way(base: Base) -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = base.features(x, base.states([""]))
    assert [each.shape[1:] for each in found] == [(16, 8, 8), (16, 8, 8), (32, 4, 4)]
    torch.testing.assert_close(found[0], base.unet.conv_in(x))
    again = base.noise(x, torch.zeros(1, dtype=torch.int64), base.states([""]))
    assert again.shape == x.shape  # no hook was left behind


def test_guidance_brings_style_and_the_contrast_keeps_content(digits: Any) -> None:
    few = digits.subset(np.arange(12))
    found = {}
    for name, strengths in {
        "nothing": Strengths(0, 0, 0, 0),
        "style": Strengths(50_000, 100_000, 0, 0),
        "both": Strengths(50_000, 100_000, 30_000, 0),
    }.items():
        method = ZeCon(**{**QUICK, "steps": 20, "skipped": 14}, strengths=strengths)
        found[name] = restyling_scores([*method.generate(few)], method.guide, method.text)
    assert found["style"]["style"] > found["nothing"]["style"] + 0.05
    assert found["both"]["content"] > found["style"]["content"] + 0.05
    assert found["both"].better["source style"] == "neither"


def test_a_picture_is_restyled_the_same_in_any_batch(digits: Any) -> None:
    method = ZeCon(**QUICK)
    few = digits.subset(np.arange(3))
    whole, single = ([*method.generate(few, batch_size=size)] for size in (3, 1))
    for a, b in zip(whole, single, strict=True):
        assert np.abs(a.thing.picture().astype(int) - b.thing.picture().astype(int)).max() <= 1
    assert whole[0].said["style"] == "a picture in purple"
    assert not np.array_equal(whole[0].thing.picture(), next(method.generate(few, seed=1)).thing.picture())


def test_terms_have_the_weights_and_the_levels_of_the_paper(digits: Any) -> None:
    x0 = digits.batch(np.arange(2)).images.float() / 127.5 - 1

    def terms(t: int, **weights: float) -> dict[str, float]:
        method = ZeCon(**QUICK, strengths=Strengths(**weights))
        draws = Draws(0, torch.arange(2))
        found = method.losses(x0, 1.5 * x0, x0, t, draws)
        return {name: float(value) for name, value in found.items()}

    assert [*terms(139)] == ["range", "style", "contrast", "pixels"]
    assert "pixels" not in terms(140)  # 70% of 200 levels
    twice = terms(100, near=20_000.0, direction=40_000.0, contrast=1000.0, pixels=10_000.0, range=100.0)
    for name, value in terms(100).items():
        assert twice[name] == pytest.approx(2 * value, rel=1e-4)


def test_scores_of_restyled_pictures() -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (4, 8, 8, 1)).repeat(3, 3).astype(np.uint8)
    purple = (grey * np.array([0.55, 0.15, 0.75])).astype(np.uint8)
    made = [Made(n, {"": Picture(purple[n])}, given=Picture(grey[n])) for n in range(4)]
    found = restyling_scores(made, ColourGuide(), "purple")
    assert found["content"] > 0.98
    assert found["found"] == 1
    assert found["style"] > found["source style"]


def test_it_runs_by_command_and_refuses_in_a_sentence(base: Base, tmp_path: Path, capsys: Any) -> None:
    words = ["--base", "made:digits-quick", "--steps", "4", "--skipped", "2", "--pieces", "2", "--text", "green"]
    assert main(["generate", "zecon", "-o", str(tmp_path / "made"), "--count", "2", *words]) == 0
    assert len([*(tmp_path / "made").glob("*.png")]) == 2
    with pytest.raises(ValueError, match="skipped must be at least 0 and below steps"):
        ZeCon(base, steps=5, skipped=5)
    with pytest.raises(ValueError, match="piece_scale must rise from above 0 to at most 1"):
        ZeCon(base, piece_scale=(0.5, 0.2))
    with pytest.raises(ValueError, match=r"contrast must be at least 0, got -1"):
        Strengths(contrast=-1.0)
