"""SparK learns, its loss is the formula over hidden cells, and the encoder stays a plain dense one."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar.encoders import image_encoder
from nearfar.reproductions.arms import build, train
from nearfar.training import Data
from nearfar.vision.data import load
from nearfar.vision.evaluation import evaluate
from nearfar.vision.methods import SparK


@functools.cache
def shapes() -> Data:
    return load("shapes")  # 32 pixels: 2 x 2 cells of 16


def small(**changes: object) -> SparK:
    torch.manual_seed(0)
    return SparK("small-conv", **{"decoder_width": 32, **changes})  # type: ignore[arg-type]


@pytest.mark.long
def test_it_beats_its_untrained_encoder() -> None:
    data = load(size=32)
    method = build("spark", data, 0, decoder_width=32)
    before = evaluate(method.eval(), data)
    method.train()
    train("spark", method, data, 0, steps=100, batch_size=64)
    after = evaluate(method, data)
    assert after["linear seen styles"] > before["linear seen styles"] + 0.02, (before, after)
    assert after["linear unseen styles"] > before["linear unseen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 10


def slow_loss(prediction: Tensor, pixels: Tensor, hidden: Tensor, cell: int) -> float:
    columns = pixels.shape[3] // cell
    errors = []
    for image, position in hidden.nonzero().tolist():
        top, left = cell * (position // columns), cell * (position % columns)
        y, guess = (x[image, :, top : top + cell, left : left + cell].double() for x in (pixels, prediction))
        y = (y - y.mean()) / (y.var() + 1e-6).sqrt()
        errors.append(((guess - y) ** 2).mean().item())
    return sum(errors) / len(errors)


def test_the_loss_is_the_error_of_hidden_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    method = small()
    images = torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    prediction = torch.randn(3, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(method.decoder, "forward", lambda maps: prediction)
    method.seed_step(0, 0)
    hidden = method.hidden(images)
    method.seed_step(0, 0)
    loss = method.loss((images,))
    expected = slow_loss(prediction, method.encoder.standardized(images), hidden, 16)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_as_many_cells_as_the_ratio_says_are_hidden_and_others_each_step() -> None:
    method = small()
    pixels = torch.zeros(50, 3, 112, 112)
    method.seed_step(0, 0)
    hidden = method.hidden(pixels)
    assert hidden.shape == (50, 49)
    assert (~hidden).sum(1).tolist() == [20] * 50
    assert len({tuple(row) for row in hidden.tolist()}) == 50
    method.seed_step(0, 1)
    assert not torch.equal(method.hidden(pixels), hidden)


def test_what_is_hidden_is_predicted_without_being_seen() -> None:
    method = small().train()
    pixels = torch.rand(4, 3, 32, 32)
    hidden = torch.tensor([[True, False, False, True]] * 4)
    cells = hidden.view(4, 1, 2, 2).repeat_interleave(16, 2).repeat_interleave(16, 3)
    other = torch.where(cells, torch.rand_like(pixels), pixels)
    assert torch.equal(method.decoder(method.maps(pixels, hidden)), method.decoder(method.maps(other, hidden)))


def test_every_parameter_learns_and_the_encoder_keeps_its_names() -> None:
    for name in ("small-conv", "resnet18-cifar"):
        torch.manual_seed(0)
        method = SparK(name, decoder_width=32)
        method.seed_step(0, 0)
        batch = shapes().batch(np.arange(4))
        method.loss(method.views(batch)).backward()
        without = [key for key, value in method.named_parameters() if value.grad is None]
        assert without == []
        plain = image_encoder(name)
        plain.load_state_dict(method.encoder.state_dict())
        torch.testing.assert_close(plain.eval()(batch.images), method.eval().encode(batch))


def test_several_pictures_of_a_thing_give_one_view() -> None:
    method = small()
    images = torch.randint(0, 255, (4, 2, 3, 32, 32), dtype=torch.uint8)
    method.seed_step(0, 0)
    views = method.views(shapes().batch(np.arange(4))._replace(images=images))
    assert [tuple(view.shape) for view in views] == [(4, 3, 32, 32)]


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="gives no maps at strides that double"):
        SparK("vit-mini")
    with pytest.raises(ValueError, match=r"mask_ratio must be in \(0, 1\), got 1"):
        small(mask_ratio=1)
    with pytest.raises(ValueError, match=r"1 cells of 16, of which a mask_ratio of 0\.6 shows 0"):
        small().loss((torch.rand(2, 3, 16, 16),))
    with pytest.raises(ValueError, match="40x40 pixels are not whole patches of 16"):
        small().loss((torch.rand(2, 3, 40, 40),))
