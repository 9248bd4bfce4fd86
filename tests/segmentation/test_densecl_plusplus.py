"""DenseCL++: its choices of negatives and positives, its reconstruction, and that it learns."""

from __future__ import annotations

import pytest
import torch

from nearfar.losses import dense_nt_xent, nt_xent
from nearfar.segmentation.dense import per_cell, to_cells
from nearfar.segmentation.methods.densecl_plusplus import DenseCLPlusPlus
from nearfar.segmentation.places import close_cells
from tests.segmentation.dense_learning import dense, learn, one_loss, some_views

GRID = (6, 6)


def test_it_is_simclr_without_its_dense_part() -> None:
    method = dense("densecl-plusplus", dense_weight=0.0).eval()
    views = some_views(method)
    with torch.no_grad():
        terms = method.loss(views)
        z = [method.head(method.map(view).mean((2, 3))) for view in views[:2]]
    assert set(terms) == {"image"}
    assert float(terms["image"]) == pytest.approx(float(nt_xent(*z, temperature=0.2)), rel=1e-4)


@pytest.mark.parametrize("match", ["similarity", "geometry"])
def test_the_dense_term_is_the_loss_of_matched_cells(match: str) -> None:
    method = dense("densecl-plusplus", match=match, negatives="all", dense_weight=0.25).eval()
    views = some_views(method)
    with torch.no_grad():
        found = float(method.loss(views)["dense"])
        cells = [to_cells(method.map(view)) for view in views[:2]]
        forth, back = method.positives(cells, views, GRID)
        g1, g2 = (per_cell(method.dense_head, c) for c in cells)
        expected = 0.25 * float(dense_nt_xent(g1, g2, forth, back, temperature=0.2, negatives="all"))
    assert found == pytest.approx(expected, rel=1e-4)
    if match == "geometry":
        assert torch.equal(forth, close_cells(views.corners1, views.corners2, GRID))
    else:
        assert (forth.sum(2) == 1).all()


def test_more_positives_by_similarity() -> None:
    alone, more = dense("densecl-plusplus").eval(), dense("densecl-plusplus", extra_positives=0.9).eval()
    views = some_views(alone)
    with torch.no_grad():
        cells = [to_cells(alone.map(view)) for view in views[:2]]
    few, many = (method.positives(cells, views, GRID)[0] for method in (alone, more))
    cosine = torch.nn.functional.normalize(cells[0], dim=2) @ torch.nn.functional.normalize(cells[1], dim=2).mT
    assert torch.equal(many, few | (cosine >= 0.9))
    assert many.sum() > few.sum()


@pytest.mark.parametrize("negatives", ["pooled", "random", "all", "matched"])
def test_every_kind_of_negatives_gives_gradients_everywhere(negatives: str) -> None:
    method = dense("densecl-plusplus", negatives=negatives, cross_view=True, reconstruction=0.1)
    terms = one_loss(method)
    assert set(terms) == {"image", "dense", "reconstruction"}
    torch.stack([*terms.values()]).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_reconstruction_of_a_constant_view_can_be_perfect() -> None:
    method = dense("densecl-plusplus", reconstruction=1.0, patch=4)
    with torch.no_grad():
        method.decoder.weight.zero_()
        method.decoder.bias.fill_(0.3)
    view = torch.full((2, 3, 48, 48), 0.3)
    assert float(method.reconstruct(torch.randn(2, method.features, 6, 6), view).detach()) == pytest.approx(
        0, abs=1e-10
    )
    # Channels and pixels of a patch lie where the view's do.
    method.decoder.bias.data = torch.arange(3.0).repeat_interleave(16)
    colours = torch.arange(3.0).view(1, 3, 1, 1).expand(2, 3, 48, 48)
    assert float(method.reconstruct(torch.randn(2, method.features, 6, 6), colours).detach()) == pytest.approx(
        0, abs=1e-9
    )


def test_training_brings_cells_of_one_place_together() -> None:
    _, before, after = learn("densecl-plusplus", steps=60)
    assert after > before + 0.02


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"dense_weight must be in \[0, 1\], got 2"):
        DenseCLPlusPlus("small-dense", dense_weight=2)
    with pytest.raises(ValueError, match="match must be one of 'similarity', 'geometry', got 'place'"):
        DenseCLPlusPlus("small-dense", match="place")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reconstruction must be at least 0, got -1"):
        DenseCLPlusPlus("small-dense", reconstruction=-1)
