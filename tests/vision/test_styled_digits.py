"""The styled digits: fixed content, drawn style, and a difficulty that leaves room for methods to differ."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from nearfar.vision.data.styled_digits import (
    STYLES,
    TEST_DIGITS,
    TRAIN_DIGITS,
    StyleFamily,
    styled_digits,
)

LUMA = np.array([0.2126, 0.7152, 0.0722])


def _disjoint(first, second) -> bool:
    return all(a[1] < b[0] or b[1] < a[0] for a, b in itertools.product(first, second))


@pytest.mark.parametrize("styles", sorted(STYLES))
def test_equal_seeds_give_equal_images_and_other_seeds_only_another_style(styles):
    images, labels, ids = styled_digits("test", styles, seed=3)
    again = styled_digits("test", styles, seed=3)
    other = styled_digits("test", styles, seed=4)
    assert images.dtype == np.uint8
    assert images.shape == (TEST_DIGITS, 32, 32, 3)
    assert np.array_equal(images, again[0])
    assert np.array_equal(labels, other[1])
    assert np.array_equal(ids, other[2])
    assert np.array_equal(images, other[0]) == (styles == "clean")


def test_the_partition_is_fixed_stratified_and_complete():
    ids = {split: styled_digits(split, size=8)[2] for split in ("train", "test")}
    assert (len(ids["train"]), len(ids["test"])) == (TRAIN_DIGITS, TEST_DIGITS)
    assert np.array_equal(np.sort(np.concatenate(list(ids.values()))), np.arange(1797))
    assert np.array_equal(styled_digits("test", "unseen", size=16, seed=7)[2], ids["test"])
    for split, low, high in (("train", 0.095, 0.105), ("test", 0.09, 0.11)):
        share = np.bincount(styled_digits(split, size=8)[1], minlength=10) / len(ids[split])
        assert low < share.min() <= share.max() < high


def test_copies_repeat_the_digits_in_new_styles():
    images, labels, ids = styled_digits("test", "seen", size=16, copies=3)
    assert len(images) == 3 * TEST_DIGITS
    assert np.array_equal(ids.reshape(3, -1)[0], ids.reshape(3, -1)[2])
    assert np.array_equal(labels[:TEST_DIGITS], labels[-TEST_DIGITS:])
    assert not np.array_equal(images[:TEST_DIGITS], images[-TEST_DIGITS:])


def test_held_out_styles_share_nothing_with_those_of_training():
    seen, unseen, shifted = STYLES["seen"], STYLES["unseen"], STYLES["shifted"]
    assert _disjoint(seen.hues, unseen.hues)
    assert not set(seen.textures) & set(unseen.textures)
    assert not set(seen.grounds) & set(unseen.grounds)
    assert _disjoint([seen.scale], [unseen.scale])
    assert _disjoint([seen.clutter], [unseen.clutter])
    assert set(seen.textures) < set(shifted.textures)
    assert shifted.scale[0] < seen.scale[0] < seen.scale[1] < shifted.scale[1]


@pytest.mark.parametrize("styles", sorted(STYLES))
def test_strokes_are_lighter_than_their_background_in_every_style(styles):
    still = replace(STYLES[styles], scale=(1.0, 1.0), shift=0.0, noise=(0.0, 0.0))
    clean = styled_digits("test")[0][..., 0]
    luma = styled_digits("test", still)[0] @ LUMA
    darkest_stroke = np.where(clean == 255, luma, np.inf).min(axis=(1, 2))
    lightest_ground = np.where(clean == 0, luma, -np.inf).max(axis=(1, 2))
    # 1.5 grey levels allow for rounding each channel to 8 bits.
    margin = 255 * (still.stroke_luma[0] - still.ground_luma[1]) - 1.5
    assert (darkest_stroke - lightest_ground).min() > margin


def test_colours_stay_inside_their_hues():
    family = StyleFamily(hues=((0.25, 0.40),), saturation=(0.8, 1.0))
    images = styled_digits("test", family)[0].reshape(-1, 3).astype(int)
    vivid = images[np.ptp(images, axis=1) > 60]
    assert len(vivid) > 1000
    assert (vivid.argmax(axis=1) == 1).mean() > 0.99


def test_clean_digits_are_the_scans_enlarged():
    images, labels, ids = styled_digits("test")
    scans = load_digits()
    assert np.array_equal(labels, scans.target[ids])
    shrunk = images[..., 0].reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)).reshape(-1, 64)
    pairs = zip(shrunk, scans.images[ids].reshape(-1, 64), strict=True)
    assert min(np.corrcoef(ours, theirs)[0, 1] for ours, theirs in pairs) > 0.8


def test_clean_digits_are_white_on_black_at_any_size():
    for size in (8, 20, 33):
        images = styled_digits("test", size=size)[0]
        assert images.shape[1:] == (size, size, 3)
        assert np.array_equal(images[..., 0], images[..., 2])
        assert images.min() == 0
        assert images.max() == 255
    small, large = styled_digits("test", size=16)[0], styled_digits("test", size=32)[0]
    shrunk = large.reshape(len(large), 16, 2, 16, 2, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - small).mean() < 6


def test_raw_pixels_solve_clean_digits_but_not_unseen_styles():
    train, train_labels, _ = styled_digits("train", "seen", seed=1)
    neighbours = KNeighborsClassifier(5).fit(train.reshape(len(train), -1), train_labels)
    accuracy = {}
    for styles in ("clean", "seen", "unseen"):
        images, labels, _ = styled_digits("test", styles, seed=2)
        accuracy[styles] = neighbours.score(images[:300].reshape(300, -1), labels[:300])
    assert accuracy["clean"] > 0.9
    assert 0.6 < accuracy["seen"] < 0.9
    assert 0.2 < accuracy["unseen"] < 0.6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "val"}, "split must be one of"),
        ({"styles": "weird"}, "styles must be one of"),
        ({"size": 4}, "size must be at least 8"),
        ({"copies": 0}, "copies must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        styled_digits(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"textures": ("tartan",)}, "textures must be a non-empty choice"),
        ({"grounds": ()}, "grounds must be a non-empty choice"),
        ({"saturation": (0.9, 0.1)}, "saturation must satisfy"),
        ({"scale": (0.5, 2.0)}, "scale must satisfy"),
        ({"hues": ()}, "at least one interval"),
        ({"ground_luma": (0.1, 0.9)}, "strokes must be lighter"),
    ],
)
def test_a_family_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        StyleFamily(**arguments)
