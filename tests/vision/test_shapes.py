"""Drawn shapes: every factor shows in the picture as it says, and in nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from nearfar.vision.data import load
from nearfar.vision.data.shapes import SHAPES, Factors, ShapeImages, draw, random_factors


def one_of_each(**changes: float) -> Factors:
    """Every shape once, plain, in the middle."""
    n = len(SHAPES)
    values = {"hue": 0.1, "angle": 0.3, "scale": 0.3, "x": 0.5, "y": 0.5} | changes
    each = {name: np.full((n, 1), values[name]) for name in ("hue", "angle", "scale", "x", "y")}
    whole = {name: np.full(n, changes.get(name, 0.0)) for name in ("ground", "tint", "occlusion", "side")}
    return Factors(
        shape=np.arange(n)[:, None],
        texture=np.zeros(n, np.int64),
        light=np.full(n, changes.get("light", 1.0)),
        **each,
        **whole,
    )


def test_the_area_of_each_mask_is_that_of_its_shape() -> None:
    areas = (draw(one_of_each(), 256)[1] == 1).mean((1, 2)) / 0.3**2
    a, b = 0.95, 0.3
    expected = {
        "disc": np.pi * 0.85**2,
        "square": 1.5**2,
        "triangle": 3 * np.sqrt(3) / 4,
        "cross": 2 * (4 * a * b) - 4 * b**2,
        "ring": np.pi * (0.92**2 - 0.44**2),
        "star": 5 * 0.42 * np.sin(np.pi / 5),
        "half-disc": np.pi * a**2 / 2,
        "bar": 4 * a * b,
    }
    for name, area in expected.items():
        assert areas[SHAPES.index(name)] == pytest.approx(area, rel=0.02), name


def test_a_turn_turns_the_picture_and_a_place_moves_it() -> None:
    upright = draw(one_of_each(angle=0.0), 65)[1]
    turned = draw(one_of_each(angle=np.pi / 2), 65)[1]
    assert (np.rot90(upright, axes=(1, 2)) == turned).mean() > 0.999  # counter-clockwise
    moved = draw(one_of_each(angle=0.0, x=0.5 + 8 / 65, y=0.5 - 4 / 65), 65)[1]
    assert (np.roll(upright, (-4, 8), (1, 2)) == moved).mean() > 0.999


def test_each_factor_changes_the_picture_and_only_geometry_changes_the_mask() -> None:
    images, masks = draw(one_of_each(), 48)
    for name, value in {"hue": 0.6, "light": 0.6, "tint": 0.5, "ground": 0.5}.items():
        others, same = draw(one_of_each(**{name: value}), 48)
        assert (same == masks).all(), name
        assert (np.abs(others.astype(int) - images).reshape(len(images), -1).mean(1) > 1).all(), name
    inside = masks > 0
    repainted = draw(one_of_each(hue=0.6), 48)[0]
    outside = ~np.stack([np.roll(inside, (i, j), (1, 2)) for i in range(-3, 4) for j in range(-3, 4)]).any(0)
    assert (repainted[outside] == images[outside]).all()
    assert (draw(one_of_each(angle=1.3), 48)[0][0] != images[0]).any()  # even a disc shows its turn


def test_occlusion_hides_its_share_of_the_extent() -> None:
    whole = (draw(one_of_each(angle=0.0), 128)[1] == 1).sum((1, 2))
    disc, square = SHAPES.index("disc"), SHAPES.index("square")
    for share in (0.25, 0.5, 0.75):
        seen = (draw(one_of_each(angle=0.0, occlusion=share), 128)[1] == 1).sum((1, 2)) / whole
        assert seen[square] == pytest.approx(np.clip(0.5 + (0.5 - share) / 0.75, 0, 1), abs=0.02)
        if share == 0.5:
            assert seen[disc] == pytest.approx(0.5, abs=0.02)
    assert (draw(one_of_each(occlusion=1.0), 64)[1] == 0).all()


def test_objects_of_a_scene_differ_and_object_zero_lies_on_top() -> None:
    factors = random_factors(200, 3, seed=4)
    assert all(len(set(row)) == 3 for row in factors.shape)
    masks = draw(factors, 64)[1]
    assert all({1, 2, 3} <= set(np.unique(mask)) for mask in masks[factors.occlusion == 0])
    pile = factors.with_(x=np.full((200, 3), 0.5), y=np.full((200, 3), 0.5), occlusion=np.zeros(200))
    assert (draw(pile, 64)[1] == 1).sum() > 0.95 * (draw(one_object(pile), 64)[1] == 1).sum()


def one_object(factors: Factors) -> Factors:
    first = {name: getattr(factors, name)[:, :1] for name in ("shape", "hue", "angle", "scale", "x", "y")}
    return factors.with_(**first)


def test_the_same_for_everybody_and_in_any_company() -> None:
    factors = random_factors(70, 2, seed=3)
    images, masks = draw(factors, 32)
    again = random_factors(70, 2, seed=3)
    assert all((getattr(factors, name) == getattr(again, name)).all() for name in ("shape", "hue", "texture", "side"))
    rows = np.array([60, 3, 3, 41])
    some, some_masks = draw(factors.take(rows), 32)
    assert (some == images[rows]).all()
    assert (some_masks == masks[rows]).all()
    assert (random_factors(70, 2, seed=5).hue != factors.hue).all()


def test_embedded_sets_know_their_factors() -> None:
    data = load("shapes")
    assert isinstance(data, ShapeImages)
    assert data.images.shape == (2000, 32, 32, 3)
    assert (data.labels == data.factors.shape[:, 0]).all()
    assert np.bincount(data.labels, minlength=len(SHAPES)).min() > 150
    held_out = data.splits()["test"]
    assert isinstance(held_out, ShapeImages)
    assert len(held_out) == 600
    assert not np.isin(held_out.factors.angle, data.factors.angle).any()
    scenes = load("shape-scenes", size=40)
    assert isinstance(scenes, ShapeImages)
    assert scenes.images.shape == (2000, 40, 40, 3)
    assert scenes.present.shape == (2000, len(SHAPES))
    assert (scenes.present.sum(1) == 3).all()
    assert scenes.present[np.arange(2000), scenes.labels].all()
    assert scenes.masks.max() == 3


def test_factors_that_cannot_be_drawn_are_named() -> None:
    factors = random_factors(4, 2)
    with pytest.raises(ValueError, match=r"hue must have shape \(4, 2\)"):
        factors.with_(hue=np.zeros(4))
    with pytest.raises(ValueError, match="light must be finite"):
        factors.with_(light=np.full(4, np.nan))
    with pytest.raises(ValueError, match="shape must lie in"):
        factors.with_(shape=factors.shape + 8)
    with pytest.raises(ValueError, match="whole numbers"):
        factors.with_(shape=factors.shape.astype(float))
    with pytest.raises(ValueError, match="scale must be above 0"):
        factors.with_(scale=factors.scale * 0)
    with pytest.raises(ValueError, match="at least 8 pixels"):
        draw(factors, 4)
    with pytest.raises(ValueError, match="objects must be 1 to 4"):
        random_factors(4, 5)
