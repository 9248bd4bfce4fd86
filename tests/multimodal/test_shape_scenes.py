"""ShapeScenes: captions that are true, combinations held out, pictures that follow from the record."""

from __future__ import annotations

import numpy as np
import pytest

from nearfar.multimodal.data.shape_drawing import PALETTE
from nearfar.multimodal.data.shape_scenes import (
    COLORS,
    HELD_OUT,
    PLACES,
    SHAPES,
    class_prompts,
    describe,
    render,
    retrieval_gallery,
    scene_edits,
    shape_scenes,
)

MEANING = ("color", "shape", "size", "place")
SIZE_WORDS = ({"small", "little", "tiny"}, {"large", "big", "huge"})


def _meanings(scenes):
    """One hashable meaning per scene: the set of its objects."""
    rows = np.stack([scenes.attributes[name] for name in MEANING], axis=-1)
    return [frozenset(tuple(item) for item in row.tolist() if item[0] >= 0) for row in rows]


def test_equal_seeds_give_equal_scenes():
    first, again, other = (shape_scenes(40, seed=seed, objects=(1, 3)) for seed in (5, 5, 6))
    assert np.array_equal(first.images, again.images)
    assert first.captions == again.captions
    assert all(np.array_equal(first.attributes[name], again.attributes[name]) for name in first.attributes)
    assert not np.array_equal(first.images, other.images)
    assert first.captions != other.captions


def test_splits_of_one_seed_differ():
    train, test = shape_scenes(50, seed=0), shape_scenes(50, seed=0, split="test_seen")
    assert not np.array_equal(train.attributes["offset"], test.attributes["offset"])


@pytest.mark.parametrize("objects", [1, 2, 3, (1, 3)])
def test_held_out_combinations_occur_only_in_their_split(objects):
    for split, held_out in (("train", False), ("test_seen", False), ("test_heldout", True)):
        scenes = shape_scenes(1500, seed=1, split=split, objects=objects, size=16)
        present = scenes.attributes["color"] >= 0
        drawn = HELD_OUT[scenes.attributes["color"][present], scenes.attributes["shape"][present]]
        assert (drawn == held_out).all()
        assert len(np.unique(scenes.classes[present])) == (12 if held_out else 36)


def test_every_colour_and_shape_is_held_out_somewhere_and_trained_somewhere():
    assert HELD_OUT.sum() == 12
    assert set(HELD_OUT.sum(axis=0)) == {2}
    assert set(HELD_OUT.sum(axis=1)) == {1, 2}


def test_attributes_are_balanced():
    attributes = shape_scenes(3000, seed=2, size=16).attributes
    for name, kinds in (("color", 8), ("shape", 6), ("size", 2), ("place", 9)):
        share = np.bincount(attributes[name][:, 0], minlength=kinds) / 3000 * kinds
        assert 0.7 < share.min() <= share.max() < 1.3


def test_captions_say_what_the_record_says():
    scenes = shape_scenes(300, seed=3, objects=(1, 3), size=16)
    for i, caption in enumerate(scenes.captions):
        words = caption.replace(",", "").split()
        assert len(words) <= 32
        for k, color in enumerate(scenes.attributes["color"][i]):
            if color < 0:
                continue
            shape, size = scenes.attributes["shape"][i, k], scenes.attributes["size"][i, k]
            at = caption.index(f"{COLORS[color]} {SHAPES[shape]}")
            assert caption[:at].split()[-1] in SIZE_WORDS[size]
        assert sum(word in SHAPES for word in words) == (scenes.attributes["color"][i] >= 0).sum()
    assert len({caption.split()[0] for caption in scenes.captions}) >= 5


def test_captions_name_the_place():
    scenes = shape_scenes(300, seed=6, size=16)
    said = [set(caption.split()) for caption in scenes.captions]
    row, column = np.divmod(scenes.attributes["place"][:, 0], 3)
    for words, index, value in (
        ({"top", "upper"}, row, 0),
        ({"bottom", "lower"}, row, 2),
        ({"left"}, column, 0),
        ({"right"}, column, 2),
    ):
        assert np.array_equal([bool(words & sentence) for sentence in said], index == value)


def test_objects_are_drawn_in_their_colour_at_their_place():
    scenes = shape_scenes(200, seed=4, size=48)
    cell = np.array([0.27, 0.5, 0.73])
    place, color = scenes.attributes["place"][:, 0], scenes.attributes["color"][:, 0]
    # Rings are hollow, so look at a filled shape's centre.
    filled = scenes.attributes["shape"][:, 0] != SHAPES.index("ring")
    centre = np.stack([cell[place // 3], cell[place % 3]], axis=1) + scenes.attributes["offset"][:, 0, ::-1]
    row, column = (centre * 48).astype(int).T
    pixel = scenes.images[np.arange(200), row, column] / 255
    nearest = np.abs(pixel[:, None] - PALETTE).sum(axis=2).argmin(axis=1)
    assert (nearest == color)[filled].mean() > 0.97
    large = scenes.attributes["size"][:, 0] == 1
    plain = render({**scenes.attributes, "color": np.full((200, 1), -1)}, 48, seed=4)
    covered = (np.abs(scenes.images.astype(int) - plain).max(axis=3) > 40).mean(axis=(1, 2))
    assert covered[large].mean() > 1.5 * covered[~large].mean()


def test_shapes_look_different():
    scenes = shape_scenes(6, seed=0, size=64)
    same = {name: np.repeat(values[:1], 6, axis=0) for name, values in scenes.attributes.items()}
    same |= {"shape": np.arange(6)[:, None], "size": np.ones((6, 1), int), "noise": np.zeros(6)}
    images = render(same, 64).astype(int)
    apart = np.abs(images[:, None] - images[None]).max(axis=4) > 60
    share = apart.mean(axis=(2, 3))[~np.eye(6, dtype=bool)]
    assert share.min() > 0.01


def test_a_record_draws_its_image_again():
    scenes = shape_scenes(30, seed=8, objects=3, size=24)
    assert np.array_equal(render(scenes.attributes, 24, seed=8), scenes.images)
    assert describe(scenes.attributes, seed=1) == describe(scenes.attributes, seed=1)
    assert describe(scenes.attributes, seed=1) != describe(scenes.attributes, seed=2)


@pytest.mark.parametrize(("split", "objects"), [("test_seen", 1), ("test_heldout", 1), ("train", 2)])
def test_a_gallery_has_one_right_image_per_caption(split, objects):
    gallery = retrieval_gallery(200, seed=1, split=split, objects=objects, size=16)
    assert len(gallery) == len(set(_meanings(gallery))) == len(set(gallery.captions)) == 200


def test_edits_change_one_attribute_and_stay_in_their_split():
    for split in ("train", "test_heldout"):
        edits = scene_edits(200, seed=2, split=split)
        before, after = edits.reference.attributes, edits.target.attributes
        changes = np.stack([before[name] != after[name] for name in MEANING]).sum(axis=(0, 2))
        assert (changes == 1).all()
        assert np.array_equal(before["background"], after["background"])
        held_out = HELD_OUT[after["color"], after["shape"]]
        assert (held_out == (split == "test_heldout")).all()
        for i, instruction in enumerate(edits.instructions):
            if before["color"][i, 0] != after["color"][i, 0]:
                assert instruction == f"make it {COLORS[after['color'][i, 0]]}"
            elif before["place"][i, 0] != after["place"][i, 0]:
                assert instruction == f"move it to the {PLACES[after['place'][i, 0]]}"
        assert (np.abs(edits.reference.images.astype(int) - edits.target.images).max(axis=(1, 2, 3)) > 20).all()


def test_prompts_cover_all_combinations_in_the_words_of_the_captions():
    prompts = class_prompts()
    assert len(prompts.names) == len(set(prompts.names)) == len(prompts.prompts) == 48
    assert np.array_equal(prompts.held_out.reshape(8, 6), HELD_OUT)
    assert prompts.names[7] == f"{COLORS[1]} {SHAPES[1]}"
    known = {word for c in shape_scenes(2000, size=16).captions for word in c.split()}
    for name, sentences in zip(prompts.names, prompts.prompts, strict=True):
        assert len(set(sentences)) == 18
        assert all(name in sentence for sentence in sentences)
        assert {word for sentence in sentences for word in sentence.split()} <= known


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"n": 3, "split": "test"}, "split must be one of"),
        ({"n": 3, "objects": 4}, "objects must be"),
        ({"n": 3, "objects": (2, 1)}, "objects must be"),
        ({"n": 3, "size": 8}, "size must be at least 16"),
        ({"n": 3, "seed": -1}, "seed must be at least 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        shape_scenes(**arguments)


def test_a_gallery_larger_than_the_language_is_refused():
    with pytest.raises(ValueError, match="only 216 in 'test_heldout'"):
        retrieval_gallery(217, split="test_heldout")
