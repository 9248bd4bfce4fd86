"""NoiseCLR, and the frozen diffusion models that it and others work with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nearfar import losses
from nearfar.generation.base import Base, read_base
from nearfar.generation.data import Blank, load
from nearfar.generation.directions import Editing
from nearfar.generation.effects import effect_scores
from nearfar.generation.made_bases import write_base
from nearfar.generation.method import Draws
from nearfar.generation.methods.noiseclr import NoiseCLR
from nearfar.generation.open_base import open_base
from nearfar.reproductions.arms import build, train
from nearfar.testing import check_method
from nearfar.training import Optimization
from tests.parity import ParityCase, assert_parity, parity

SMALL: dict[str, Any] = {
    "base": "made:sprites-quick",
    "directions": 3,
    "initial": "normal",
    "together": 3,
    "flip": False,
    "editing": Editing(steps=2, shown=2),
    "optimization": Optimization(lr=0.01),
}


@pytest.fixture(scope="module")
def sprites() -> Any:
    return load(size=8, examples=40)


@pytest.fixture(scope="module")
def base() -> Base:
    return open_base("made:sprites-quick")


@pytest.mark.parametrize("case", parity("noiseclr", "noiseclr_loss"))
def test_contrast_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    options = {name: case.hyper[name] for name in ("temperature", "anchor")}
    assert_parity(case, arrays, losses.direction_contrast(arrays["in_edits"], **options))


def test_contrast_has_its_bounds_and_refuses_what_has_no_pair() -> None:
    same, other = torch.eye(2)[:, None].expand(2, 3, 2)
    found = losses.direction_contrast(torch.stack([same, other]), temperature=0.5)
    assert found.item() == pytest.approx(-2.0)  # alike: cosine 1, apart: cosine 0
    assert losses.direction_contrast(torch.stack([same, same])).item() == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="at least 2 directions and 2 pictures, got \\(2, 1, 2\\)"):
        losses.direction_contrast(torch.ones(2, 1, 2))
    with pytest.raises(ValueError, match="anchor must be one of the 2 directions, got 2"):
        losses.direction_contrast(torch.ones(2, 2, 2), 2)


def test_a_vector_in_place_of_a_word_is_read_as_the_word(base: Base) -> None:
    words = ["red", "left"]
    ids = base.tokenizer.convert_tokens_to_ids(words)
    torch.testing.assert_close(base.word_states(base.table()[ids]), base.states(words))
    vectors = base.table()[ids].clone().requires_grad_()
    base.word_states(vectors).square().sum().backward()
    assert vectors.grad is not None
    assert (vectors.grad.abs().sum(1) > 0).all()


def test_a_model_is_the_same_after_it_was_written(base: Base, tmp_path: Path) -> None:
    write_base(base, tmp_path)
    again = read_base(tmp_path)
    x = torch.randn(2, *base.shape, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([3, 150])
    torch.testing.assert_close(again.noise(x, t, again.states(["red"])), base.noise(x, t, base.states(["red"])))
    torch.testing.assert_close(again.diffusion.signal, base.diffusion.signal, rtol=1e-6, atol=1e-9)
    path = tmp_path / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "_class_name": "Flux"}))
    with pytest.raises(ValueError, match="its network is Flux, not"):
        read_base(tmp_path)


def test_of_a_repository_only_the_parts_are_fetched(base: Base, tmp_path: Path, monkeypatch: Any) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked = {}

    def fetched(name: str, **patterns: list[str]) -> str:
        asked.update(patterns, name=name)
        write_base(base, tmp_path)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", fetched)
    assert open_base("hf:some/model").shape == base.shape
    files = {
        "unet/diffusion_pytorch_model.safetensors": True,
        "text_encoder/model.safetensors": True,
        "tokenizer/merges.txt": True,
        "unet/diffusion_pytorch_model.fp16.safetensors": False,
        "unet/diffusion_pytorch_model.bin": False,
        "safety_checker/model.safetensors": False,
        "model-pruned.safetensors": False,
    }
    chosen = hub.utils.filter_repo_objects(
        [*files], allow_patterns=asked["allow_patterns"], ignore_patterns=asked["ignore_patterns"]
    )
    assert [*chosen] == [name for name, wanted in files.items() if wanted]
    assert asked["name"] == "some/model"


def test_other_models_are_refused_in_a_sentence(base: Base, tmp_path: Path, sprites: Any) -> None:
    with pytest.raises(ValueError, match=r"is no folder of diffusers: there is no config\.json"):
        open_base(tmp_path)
    with pytest.raises(ValueError, match="there is no made model 'made:cats'; did you mean made:digits"):
        open_base("made:cats")
    with pytest.raises(ValueError, match="works on pictures of side 8, got \\(16, 16\\); give --size 8"):
        base.latents(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
    with pytest.raises(ValueError, match="is told no text, and directions are words of one"):
        NoiseCLR(Base(base.unet, base.diffusion))
    with pytest.raises(ValueError, match="directions must be at least 2, others and together at least 1, got 1, 20"):
        NoiseCLR(**{**SMALL, "directions": 1})
    with pytest.raises(ValueError, match="initial must be words or normal, got 'zeros'"):
        NoiseCLR(**{**SMALL, "initial": "zeros"})
    with pytest.raises(ValueError, match="edits need 0 <= start < end <= 1"):
        Editing(start=0.5, end=0.5)


def test_it_keeps_the_promises_of_the_house(sprites: Any) -> None:
    check_method(NoiseCLR, sprites, SMALL, batch_size=4)


def test_directions_learn_and_the_model_does_not(base: Base, sprites: Any) -> None:
    """The contrast falls, the vectors stay apart, and how many are told at once changes nothing."""
    method = build("noiseclr", sprites, 0, **SMALL)
    assert isinstance(method, NoiseCLR)

    def contrast(together: int = 3) -> float:
        method.together = together
        found = []
        for step in range(6):
            method.seed_step(9, step)
            views = method.views(sprites.batch(np.arange(8)))
            found.append(float(method.loss(views).detach()))
        return float(np.mean(found))

    before = contrast()
    gradients = []
    for together in (2, 3):
        method.together = together
        method.seed_step(0, 0)
        method.loss(method.views(sprites.batch(np.arange(4)))).backward()
        gradients.append(method.vectors.grad)
        method.vectors.grad = None
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)
    kept = {name: value.clone() for name, value in method.base.state_dict().items()}
    train("noiseclr", method.train(), sprites, 0, steps=12, batch_size=4)
    assert contrast() < before - 0.3
    assert all(torch.equal(kept[name], value) for name, value in method.base.state_dict().items())
    assert torch.pdist(method.vectors.detach()).min() > 0.1


def test_edits_add_to_what_nothing_would_make(sprites: Any) -> None:
    method = NoiseCLR(**SMALL).eval()
    noise = Draws(0, torch.arange(2)).normal(*method.base.shape)
    with torch.no_grad():
        plain = method.edited(noise, {})
        torch.testing.assert_close(method.edited(noise, {0: 0.0, 2: 0.0}), plain)
        assert not torch.allclose(method.edited(noise, {0: 5.0}), plain, atol=1e-3)
        torch.testing.assert_close(method.edited(noise, {0: 3.0, 1: -2.0}), method.edited(noise, {1: -2.0, 0: 3.0}))
        closed = NoiseCLR(**{**SMALL, "editing": Editing(steps=2, start=0.9)}).eval()
        torch.testing.assert_close(closed.edited(noise, {0: 5.0}), plain)  # no step begins there
    made = [*method.generate(Blank(2))]
    assert [*made[0].things] == ["", "direction 0", "direction 1"]
    assert made[0].file_names()["direction 1"] == "000000-direction 1.png"
    scores = method.evaluate(sprites)
    assert {"psnr", "ssim", "told apart", "consistency", "overlap"} == set(scores)
    assert scores.better["overlap"] == "lower"


def test_effects_are_told_apart_where_they_differ() -> None:
    rng = np.random.default_rng(0)
    ways = np.eye(4)[:, None] + 0.05 * rng.normal(size=(4, 6, 4))
    clear = effect_scores(ways)
    assert clear["told apart"] == pytest.approx(1)
    assert clear["consistency"] > 0.95
    assert clear["overlap"] < 0.1
    assert effect_scores(-ways) == pytest.approx(clear)
    alike = effect_scores(np.ones((4, 6, 4)) + 1e-3 * rng.normal(size=(4, 6, 4)))
    assert alike["told apart"] < 0.6
    assert alike["overlap"] > 0.99
