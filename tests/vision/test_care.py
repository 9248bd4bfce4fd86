"""CARE learns, its equivariance is a rotation, and groups share their augmentation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.losses import rotational_equivariance
from nearfar.reproductions.arms import build
from nearfar.reproductions.vision.care import coloured_digits, rotation_residual
from nearfar.vision.methods import CARE
from nearfar.vision.views import Recipe
from tests.vision.learning import digits, learn


@pytest.mark.long
def test_it_beats_its_untrained_encoder_without_collapse() -> None:
    _, before, after = learn("care")
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


def test_the_loss_is_the_formula() -> None:
    z1, z2 = torch.randn(2, 12, 5, dtype=torch.float64)
    a, b = (z / z.norm(dim=1, keepdim=True) for z in (z1, z2))
    expected = 0.0
    for start in (0, 4, 8):
        for i in range(start, start + 4):
            for j in range(start, start + 4):
                if i != j:
                    expected += float((a[i] @ a[j] - b[i] @ b[j]) ** 2)
    assert float(rotational_equivariance(z1, z2, group_size=4)) == pytest.approx(2 * expected / 12)


def test_each_group_may_have_its_own_rotation() -> None:
    z = torch.randn(12, 5, dtype=torch.float64)
    turns = [torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q for _ in range(3)]
    turned = torch.cat([part @ turn for part, turn in zip(z.chunk(3), turns, strict=True)])
    assert rotational_equivariance(z, turned, group_size=4) < 1e-25
    assert rotational_equivariance(z, turned, group_size=12) > 0.01


def test_gradcheck() -> None:
    z = [torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(lambda a, b: rotational_equivariance(a, b, group_size=3), z)


def test_a_group_shares_its_augmentation_and_its_picture_stays_the_same() -> None:
    method = CARE("small-conv", group_size=4, views=(Recipe(brightness=0.8), Recipe(brightness=0.8)))  # type: ignore[arg-type]
    method.seed_step(0, 0)
    rows = np.repeat(3, 10)  # ten times the same image
    views = method.views(digits().subset(np.arange(8)).batch(rows)._replace(images=digits().batch(rows).images[:, 0]))
    assert [len(view) for view in views] == [10, 10, 8, 8]  # the last two images fill no group
    for view in views[2:]:
        assert torch.equal(view[:4], view[:1].expand(4, -1, -1, -1))
        assert not torch.equal(view[0], view[4])
    assert not torch.equal(views.shared_first[0], views.shared_second[0])
    assert not torch.equal(views.first[0], views.first[1])


def test_weight_zero_is_simclr() -> None:
    method = build("care", digits(), 0, weight=0.0)
    assert isinstance(method, CARE)
    method.seed_step(0, 0)
    views = method.views(digits().batch(np.arange(32)))
    terms = method.loss(views)
    simclr = build("simclr", digits(), 0)
    torch.testing.assert_close(terms["contrast"], simclr.loss(tuple(views[:2])))
    assert terms["equivariance"] == 0


def test_the_residual_of_a_rotation_is_zero_and_of_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert rotation_residual(z, z @ turn) < 1e-12
    assert rotation_residual(z, rng.normal(size=(200, 6))) > 0.8


def test_coloured_digits_have_the_hue_they_say() -> None:
    data, hues = coloured_digits("test", 0)
    pixels = data.batch(np.arange(50)).images.float().permute(0, 2, 3, 1)
    for image, hue in zip(pixels, hues, strict=False):
        red, green, blue = (image.reshape(-1, 3)[image.sum(2).argmax()] / 255).tolist()
        strongest = int(np.argmax([red, green, blue]))
        assert abs((hue - strongest / 3 + 0.5) % 1 - 0.5) < 1 / 6 + 0.01


def test_a_small_batch_is_one_group() -> None:
    method = build("care", digits(), 0, group_size=16)
    assert isinstance(method, CARE)
    views = method.views(digits().batch(np.arange(8)))
    assert [len(view) for view in views] == [8] * 4
    assert method.loss(views)["equivariance"] > 0


def test_wrong_arguments_are_named() -> None:
    z = torch.randn(6, 4)
    with pytest.raises(ValueError, match="6 rows are no multiple of group_size=4"):
        rotational_equivariance(z, z, group_size=4)
    with pytest.raises(ValueError, match="group_size must be at least 2, got 1"):
        rotational_equivariance(z, z, group_size=1)
