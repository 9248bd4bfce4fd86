"""PixPro: propagation and loss against loops, what moves, and that it learns places without collapse."""

from __future__ import annotations

import pytest
import torch

from nearfar.evaluation import effective_rank
from nearfar.losses import pixel_consistency, pixel_contrast
from nearfar.parts.propagation import PixelPropagation
from nearfar.segmentation.dense import deepest_map, per_cell, to_cells
from nearfar.segmentation.methods.pixpro import PixPro
from nearfar.segmentation.places import close_cells
from nearfar.training import embed
from tests.segmentation.dense_learning import collages, dense, learn, one_loss, some_views


@pytest.mark.parametrize("power", [2.0, 0.5])
def test_propagation_against_its_formula(power: float) -> None:
    torch.manual_seed(0)
    module = PixelPropagation(5, power=power).double()
    cells = torch.randn(2, 6, 5, dtype=torch.float64)
    expected = torch.zeros_like(cells)
    for n in range(2):
        for i in range(6):
            for j in range(6):
                cosine = torch.cosine_similarity(cells[n, i], cells[n, j], dim=0)
                value = module.value(cells[n, j][None])[0]
                floor = 1e-6 if power < 1 else 0.0
                expected[n, i] += (cosine.clamp_min(0) + floor) ** power * value / value.norm()
    torch.testing.assert_close(module(cells), expected)
    assert torch.autograd.gradcheck(module, cells.requires_grad_())


def test_propagation_smooths_over_similar_cells_only() -> None:
    module = PixelPropagation(4, value_layers=0)
    a, b = torch.eye(4)[:2]
    noise = 0.1 * torch.eye(4)[2]
    cells = torch.stack([a + noise, a - noise, b, b])[None]
    found = torch.nn.functional.normalize(module(cells), dim=2)[0]
    assert found[0] @ found[1] > torch.cosine_similarity(cells[0, 0], cells[0, 1], dim=0)
    assert abs(float(found[0] @ found[2])) < 1e-3


@pytest.mark.parametrize("objective", ["pixpro", "pixcontrast"])
def test_the_loss_is_symmetric_and_asks_the_momentum_side(objective: str) -> None:
    method = dense("pixpro", objective=objective)
    views = some_views(method)
    found = float(method.loss(views)["pixel"].detach())
    with torch.no_grad():
        encoder, head, _ = method.target_network.module
        close = close_cells(views.corners1, views.corners2, (8 * 48 // 64,) * 2, 0.7)
        expected = 0.0
        for one, other, near in ((0, 1, close), (1, 0, close.mT)):
            y = method.propagation(per_cell(method.head, to_cells(deepest_map(method.encoder, views[one]))))
            z = per_cell(head, to_cells(deepest_map(encoder, views[other])))
            pair = pixel_consistency(y, z, near) if objective == "pixpro" else pixel_contrast(y, z, near)
            expected += float(pair)
    assert found == pytest.approx(expected, rel=1e-5)
    swapped = views._replace(first=views.second, second=views.first, corners1=views.corners2, corners2=views.corners1)
    assert float(method.loss(swapped)["pixel"].detach()) == pytest.approx(found, rel=1e-5)


def test_gradients_reach_the_online_side_only() -> None:
    method = dense("pixpro", instance_weight=1.0)
    terms = one_loss(method)
    assert set(terms) == {"pixel", "instance"}
    torch.stack([*terms.values()]).sum().backward()
    online = [method.encoder, method.head, method.propagation, method.instance_head, method.predictor]
    assert all(p.grad is not None for module in online for p in module.parameters())
    assert all(p.grad is None for p in method.target_network.parameters())


def test_parts_that_a_loss_does_not_need_are_not_built() -> None:
    byol, contrast = dense("pixpro", pixel_weight=0.0, instance_weight=1.0), dense("pixpro", objective="pixcontrast")
    assert set(one_loss(byol)) == {"instance"}
    assert not list(byol.head.parameters())
    assert not list(contrast.propagation.parameters())
    for method in (byol, contrast):
        torch.stack([*one_loss(method).values()]).sum().backward()
        assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


def test_instance_loss_lies_between_its_bounds() -> None:
    value = float(one_loss(dense("pixpro", pixel_weight=0.0, instance_weight=0.5))["instance"].detach())
    assert -2 <= value <= 2


@pytest.mark.parametrize("objective", ["pixpro", "pixcontrast"])
def test_training_brings_cells_of_one_place_together(objective: str) -> None:
    method, before, after = learn("pixpro", objective=objective)
    assert after > before + 0.03
    assert effective_rank(embed(method, collages().splits()["test"]).array) > 2


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="not both 0, got"):
        PixPro("small-dense", pixel_weight=0.0, instance_weight=0.0)
    with pytest.raises(ValueError, match="objective must be one of 'pixpro', 'pixcontrast', got 'byol'"):
        PixPro("small-dense", objective="byol")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="power must be above 0, got 0"):
        PixelPropagation(4, power=0)
    with pytest.raises(ValueError, match="value_layers must be 0, 1 or 2, got 3"):
        PixelPropagation(4, value_layers=3)  # type: ignore[arg-type]
