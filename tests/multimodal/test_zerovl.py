"""ZeroVL: the released gradient in micro-batches, mixtures, batches of one source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from nearfar.losses import info_nce
from nearfar.multimodal.data import CaptionedImages, load
from nearfar.multimodal.data.generated import scene_sources
from nearfar.multimodal.evaluation import evaluate
from nearfar.multimodal.methods.zerovl import LEAST, MOST, ZeroVL, mixed_contrast, reversed_within
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.multimodal.small import small_text
from nearfar.sources.order import by_source
from nearfar.training.gradient_cache import GradientCacheError, in_chunks
from tests.parity import ParityCase, assert_parity, parity


@pytest.fixture(scope="module")
def pairs() -> CaptionedImages:
    return scene_sources(400, size=16, held_out=60)


class Linear(nn.Module):
    """What stands for a tower in the released cases: a product with a matrix."""

    by_example = ("forward",)

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


@pytest.mark.parametrize("case", parity("zerovl", "decoupled_gradient"))
def test_the_gradient_in_micro_batches_is_the_released_one(case: ParityCase) -> None:
    """The release logs the loss without mixtures; its gradient is that of the loss with them, and so is ours."""
    arrays = case.load()
    towers = nn.ModuleDict({"i": Linear(arrays["in_Wi"]), "t": Linear(arrays["in_Wt"])})
    towers["encoder"] = nn.ModuleList([towers["i"], towers["t"]])
    x, y, tau = arrays["in_x"], arrays["in_y"], arrays["in_tau"]
    partners = reversed_within(len(x), case.hyper["micro_batch"])
    share = float(arrays["in_alpha"].detach()) if case.hyper["mixup"] != "none" else 1.0
    if case.hyper["mixup"] == "image":
        x = torch.lerp(x[partners], x, share)
    with in_chunks(towers, case.hyper["micro_batch"]):
        a, b = towers["i"](x), towers["t"](y)
    temperature = tau.clamp(LEAST, MOST)
    if share == 1:
        plain = (info_nce(a, b, temperature=temperature) + info_nce(b, a, temperature=temperature)) / 2
        torch.testing.assert_close(plain, arrays["out_loss"], rtol=1e-9, atol=1e-10)
    mixed_contrast(a, b, partners, share, temperature=temperature).backward()
    for name, found in (("Wi", towers["i"].weight.grad), ("Wt", towers["t"].weight.grad), ("tau", tau.grad)):
        torch.testing.assert_close(found, arrays[f"grad_{name}"].view_as(found), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("case", parity("zerovl", "nce"))
def test_one_direction_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    temperature = arrays["in_tau"].clamp(LEAST, MOST)
    value = info_nce(arrays["in_f1"], arrays["in_f2"], temperature=temperature, normalize=False)
    assert_parity(case, arrays, value, rtol=1e-8)


def test_a_mixture_has_two_right_answers() -> None:
    a, b = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    partners, share = reversed_within(5, 3), 0.3
    assert partners.tolist() == [2, 1, 0, 4, 3]
    logits = F.normalize(a) @ F.normalize(b).T / 0.2
    labels = share * torch.eye(5, dtype=torch.float64) + (1 - share) * torch.eye(5, dtype=torch.float64)[partners]
    slow = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    torch.testing.assert_close(mixed_contrast(a, b, partners, share, temperature=torch.tensor(0.2)), slow)


def small(pairs: CaptionedImages, **changes: Any) -> ZeroVL:
    torch.manual_seed(0)
    arguments = {"image_encoder": "small-conv-gn", "text_encoder": small_text(), "projection_dim": 16, **changes}
    return ZeroVL(**arguments)


def test_micro_batches_give_the_gradient_of_the_batch(pairs: CaptionedImages) -> None:
    found = []
    for micro_batch in (8, 3):
        method = small(pairs, micro_batch=micro_batch, mixup=0.0, learned=True).eval()
        method.seed_step(0, 0)
        method.loss(method.views(pairs.batch(np.arange(8)))).backward()
        found.append({name: p.grad for name, p in method.named_parameters()})
    for name, grad in found[0].items():
        torch.testing.assert_close(found[1][name], grad, rtol=1e-3, atol=1e-6)
    normed = small(pairs, image_encoder="small-conv", micro_batch=4)
    views = normed.views(pairs.batch(np.arange(12)))
    with pytest.raises(GradientCacheError, match="treats every example by itself"):
        normed.loss(views)


def test_the_coin_decides_what_is_mixed(pairs: CaptionedImages) -> None:
    method = small(pairs, mixup=1.0, micro_batch=4, crop_scale=1.0)
    seen = set()
    for step in range(8):
        method.seed_step(0, step)
        views = method.views(pairs.batch(np.arange(8)))
        method.seed_step(0, step)
        plain = super(ZeroVL, method).views(pairs.batch(np.arange(8)))[0]
        seen.add(views.texts)
        assert 0 < views.share < 1
        wanted = plain if views.texts else views.share * plain + (1 - views.share) * plain[[3, 2, 1, 0, 7, 6, 5, 4]]
        torch.testing.assert_close(views.images, wanted, rtol=1e-4, atol=1e-4)
    assert seen == {True, False}


def test_a_step_holds_one_source(pairs: CaptionedImages) -> None:
    method = small(pairs)
    method.examples_per_step = 32
    order = method.order(pairs, np.random.default_rng(0))
    assert len(order) == len(pairs)
    steps = [{pairs.sources[row] for row in order[start : start + 32]} for start in range(0, 384, 32)]
    assert all(len(step) == 1 for step in steps)
    assert len(set.union(*steps)) == 2
    assert all(len({*order[start : start + 32]}) == 32 for start in range(0, 384, 32))
    rng = np.random.default_rng(1)
    drawn = by_source(["a"] * 700 + ["b"] * 280 + ["c"] * 10 + ["d"] * 10, rng.permutation(1000), 25, rng)
    kinds = [{min(int(row >= 700), 1) for row in drawn[start : start + 25]} for start in range(0, 1000, 25)]
    assert all(len(kind) == 1 for kind in kinds)  # the two small ones go with b
    assert 18 <= sum(0 in kind for kind in kinds) <= 38


def test_it_learns() -> None:
    """27 plain colours, each with its name."""
    levels = np.stack(np.meshgrid(*[[0, 1, 2]] * 3), -1).reshape(-1, 3)
    rng = np.random.default_rng(0)
    rows = np.tile(np.arange(27), 10)
    plain = (40 + 80 * levels[rows])[:, None, None] + rng.integers(-15, 16, size=(270, 8, 8, 3))
    words = ("dark", "middle", "bright")
    captions = [" ".join(f"{words[level]}{c}" for level, c in zip(levels[row], "rgb", strict=True)) for row in rows]
    gallery = CaptionedImages(plain[:27].astype(np.uint8), captions[:27])
    colours = CaptionedImages(plain.astype(np.uint8), captions, sources=["a" if row < 14 else "b" for row in rows])
    method = build("zerovl", colours, 0, text_encoder=small_text())
    before = evaluate(method.eval(), gallery)
    method.train()
    train("zerovl", method, colours, 0, steps=30, batch_size=14)
    after = evaluate(method, gallery)
    assert after["R@1 text to image data"] > before["R@1 text to image data"] + 0.15
    assert after["effective_rank"] > 3


def test_a_table_names_sources(tmp_path: Path) -> None:
    for row in range(4):
        Image.fromarray(np.full((8, 8, 3), 50 * row, np.uint8)).save(tmp_path / f"{row}.png")
    rows = "".join(f"{row}.png,a thing {row},{'web' if row else 'book'}\n" for row in range(4))
    (tmp_path / "pairs.csv").write_text("image,caption,source\n" + rows)
    found = load(tmp_path / "pairs.csv", size=8)
    assert isinstance(found, CaptionedImages)
    assert found.sources == ["book", "web", "web", "web"]
    assert "sources" in found.contents()
    with pytest.raises(ValueError, match="sources has 1 entries for 2 images"):
        CaptionedImages(np.zeros((2, 8, 8, 3), np.uint8), ["a", "b"], sources=["x"])
    with pytest.raises(ValueError, match=r"temperature in \[0.001, 0.5\], got 0.1, 1024 and 2"):
        ZeroVL("small-conv", "tiny-bert", temperature=2)
