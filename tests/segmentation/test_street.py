"""The procedural street: one geometry under every appearance, all classes, appearances that look as named."""

from __future__ import annotations

import numpy as np
import pytest

from nearfar.segmentation.classes import (
    CARLA4AGT_16,
    CITYSCAPES_19,
    CLASS_SETS,
    SYNTHIA_16,
    carla_tags_to_train_ids,
    class_mapping,
    colorize,
    remap,
)
from nearfar.segmentation.street import (
    APPEARANCES,
    HELD_OUT_APPEARANCES,
    TRAINING_APPEARANCES,
    StreetScenes,
)
from nearfar.segmentation.street.scene import plan_street

SCENES = 60


@pytest.fixture(scope="module")
def street() -> StreetScenes:
    return StreetScenes(size=(64, 128), threads=1)


@pytest.fixture(scope="module")
def labels(street: StreetScenes) -> np.ndarray:
    return np.stack([street.label(scene) for scene in range(SCENES)])


@pytest.fixture(scope="module")
def pictures(street: StreetScenes) -> np.ndarray:
    images, _ = street.batch(range(16), APPEARANCES)
    return images


def by_name(pictures: np.ndarray, name: str) -> np.ndarray:
    return pictures[:, APPEARANCES.index(name)].astype(np.float64)


def test_shapes_and_types(street: StreetScenes) -> None:
    image, label, depth = street.render(3, "noon"), street.label(3), street.depth(3)
    assert image.shape == (64, 128, 3)
    assert image.dtype == np.uint8
    assert label.shape == depth.shape == (64, 128)
    assert label.dtype == np.uint8
    assert depth.dtype == np.float32
    assert set(np.unique(label)) <= {*range(16), 255}


@pytest.mark.parametrize("size", [(16, 16), (48, 96), (37, 101), (96, 64)])
def test_any_size(size: tuple[int, int]) -> None:
    images, labels = StreetScenes(size=size).batch([1, 2], ["night", "rain"])
    assert images.shape == (2, 2, *size, 3)
    assert labels.shape == (2, *size)
    assert images.std() > 5


def test_scene_and_seed_decide_everything() -> None:
    first, again = StreetScenes((32, 64), seed=4), StreetScenes((32, 64), seed=4)
    for appearance in APPEARANCES:
        assert np.array_equal(first.render(9, appearance), again.render(9, appearance))
    assert np.array_equal(first.label(9), again.label(9))
    assert np.array_equal(first.depth(9), again.depth(9))
    other = StreetScenes((32, 64), seed=5)
    assert (other.label(9) != first.label(9)).mean() > 0.05
    assert (first.label(10) != first.label(9)).mean() > 0.05


def test_scenes_all_differ(labels: np.ndarray) -> None:
    assert len({label.tobytes() for label in labels}) == SCENES


def test_batch_equals_single_calls_on_any_number_of_threads(street: StreetScenes) -> None:
    chosen = [["noon", "rain"], ["foggy", "night"], ["overcast", "sunset"]]
    images, labels = street.batch([5, 0, 11], chosen)
    for row, scene in enumerate((5, 0, 11)):
        assert np.array_equal(labels[row], street.label(scene))
        for column, appearance in enumerate(chosen[row]):
            assert np.array_equal(images[row, column], street.render(scene, appearance))
    threaded = StreetScenes((64, 128), threads=3).batch(np.array([5, 0, 11]), chosen)
    assert np.array_equal(threaded[0], images)
    assert np.array_equal(threaded[1], labels)


def test_batch_takes_positions_and_shared_appearances(street: StreetScenes) -> None:
    named, _ = street.batch([2, 3], ["noon", "night"])
    numbered, _ = street.batch([2, 3], np.array([[0, 2], [0, 2]]))
    assert np.array_equal(named, numbered)
    nothing, no_labels = street.batch([], ["noon"])
    assert nothing.shape == (0, 1, 64, 128, 3)
    assert no_labels.shape == (0, 64, 128)


def test_appearances_share_geometry(street: StreetScenes) -> None:
    # The border of the sky must show at the same pixels in each clear appearance.
    images, labels = street.batch(range(8), APPEARANCES)
    border = labels[:, 1:] != labels[:, :-1]
    edge = border & ((labels[:, 1:] == 10) | (labels[:, :-1] == 10))
    plain = (labels[:, 1:] == 10) & (labels[:, :-1] == 10)
    for name in ("noon", "sunset", "rain", "overcast"):
        grey = images[:, APPEARANCES.index(name)].mean(-1)
        jump = np.abs(np.diff(grey, axis=1))
        assert jump[edge].mean() > 3 * jump[plain].mean(), name


def test_a_larger_picture_shows_the_same_street() -> None:
    small, large = StreetScenes((32, 64)), StreetScenes((96, 192))
    for scene in range(4):
        assert (small.label(scene) == large.label(scene)[1::3, 1::3]).mean() > 0.93


def test_every_class_occurs_and_rare_ones_stay_rare(labels: np.ndarray) -> None:
    present = {name: (labels == k).any((1, 2)).mean() for k, name in enumerate(CARLA4AGT_16.names)}
    share = {name: (labels == k).mean() for k, name in enumerate(CARLA4AGT_16.names)}
    assert min(present.values()) >= 0.05, present
    for rare in ("motorcycle", "rider", "bicycle", "traffic light"):
        assert 0.05 <= present[rare] <= 0.7
        assert share[rare] < 0.01
    for common in ("road", "building", "sky"):
        assert present[common] > 0.9
        assert share[common] > 0.05
    assert 0 < (labels == 255).mean() < 0.01


def test_depth_agrees_with_labels(street: StreetScenes) -> None:
    for scene in range(6):
        label, depth = street.label(scene), street.depth(scene)
        assert np.array_equal(depth >= 999, label == CARLA4AGT_16.index("sky"))
        assert depth.min() > 0.3
        ground = np.isin(label, [0, 1, 9])
        rows = np.nonzero(ground)[0]
        # Ground comes nearer towards the lower edge.
        assert np.corrcoef(rows, 1 / depth[ground])[0, 1] > 0.99


def test_night_is_dark_and_its_lamps_are_bright(pictures: np.ndarray) -> None:
    noon, night = by_name(pictures, "noon"), by_name(pictures, "night")
    assert (night.mean((1, 2, 3)) < 0.6 * noon.mean((1, 2, 3))).all()
    assert by_name(pictures, "sunset").mean() < noon.mean()
    assert (night.reshape(16, -1).max(1) > 200).mean() > 0.8


def test_sunset_is_warm_and_rain_is_cool(pictures: np.ndarray) -> None:
    def warmth(name: str) -> float:
        picture = by_name(pictures, name)
        return float(picture[..., 0].mean() / picture[..., 2].mean())

    assert warmth("sunset") > 1.15 > warmth("noon") > warmth("rain")


def test_fog_takes_far_contrast_first(street: StreetScenes, pictures: np.ndarray) -> None:
    def contrast(name: str, near: float, far: float) -> float:
        values = []
        for scene, picture in enumerate(by_name(pictures, name)):
            depth = street.depth(scene)
            values.append(picture.mean(-1)[(depth >= near) & (depth < far)].std())
        return float(np.nanmean(values))

    kept_near = contrast("foggy", 0, 10) / contrast("noon", 0, 10)
    kept_far = contrast("foggy", 40, 150) / contrast("noon", 40, 150)
    assert kept_far < 0.7 * kept_near


def test_held_out_appearances_differ_from_the_four(pictures: np.ndarray) -> None:
    assert not set(HELD_OUT_APPEARANCES) & set(TRAINING_APPEARANCES)
    assert set(APPEARANCES) == set(HELD_OUT_APPEARANCES) | set(TRAINING_APPEARANCES)
    for name in APPEARANCES:
        for other in APPEARANCES:
            if name != other:
                gap = np.abs(by_name(pictures, name) - by_name(pictures, other)).mean()
                assert gap > 12, (name, other, gap)


def test_overcast_wears_the_other_palette(street: StreetScenes) -> None:
    buffers = street.buffers(0)
    default, other = buffers.albedo(), buffers.albedo(other_palette=True)
    assert default.shape == (64, 128, 3)
    assert np.abs(default - other)[buffers.label != 10].mean() > 0.03
    assert (default[buffers.label == 10] == 0).all()


def test_the_sun_casts_shadows_and_a_covered_sky_does_not() -> None:
    street = StreetScenes((64, 128), threads=1)
    images, labels = street.batch(range(24), ["noon", "overcast"])
    road = labels == 0
    spread = [images[:, k].mean(-1)[road].std() for k in range(2)]
    assert spread[0] > 1.3 * spread[1]


def test_layout_does_not_depend_on_the_picture() -> None:
    layout, again = plan_street(0, 12), plan_street(0, 12)
    assert np.array_equal(layout.props, again.props)
    assert layout.colours.shape[1:] == (2, 3)
    assert not np.array_equal(layout.cars, plan_street(0, 13).cars)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"size": (8, 64)}, ValueError),
        ({"size": 64}, TypeError),
        ({"size": (64.5, 128)}, TypeError),
        ({"size": (64, 128, 3)}, TypeError),
        ({"seed": -1}, ValueError),
        ({"seed": 0.5}, TypeError),
        ({"threads": 0}, ValueError),
    ],
)
def test_bad_arguments(arguments: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        StreetScenes(**arguments)


def test_bad_requests(street: StreetScenes) -> None:
    with pytest.raises(ValueError, match=r"snow.*noon, sunset, night, foggy, rain, overcast"):
        street.render(0, "snow")
    with pytest.raises(ValueError, match="scene must not be negative, got -3"):
        street.label(-3)
    with pytest.raises(TypeError, match="whole number"):
        street.depth(1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown appearance 6"):
        street.batch([0], [6])
    with pytest.raises(ValueError, match=r"\(A,\) or \(2, A\)"):
        street.batch([0, 1], [["noon"]])
    with pytest.raises(ValueError, match="same number of appearances"):
        street.batch([0, 1], [["noon"], ["noon", "night"]])
    with pytest.raises(ValueError, match="dimensions"):
        street.batch([[0, 1]], ["noon"])  # type: ignore[list-item]


def test_class_sets() -> None:
    assert [len(each) for each in CLASS_SETS.values()] == [19, 16, 16, 11]
    assert set(CITYSCAPES_19.names) - set(CARLA4AGT_16.names) == {"truck", "bus", "train"}
    assert set(CITYSCAPES_19.names) - set(SYNTHIA_16.names) == {"truck", "terrain", "train"}
    assert CARLA4AGT_16.train_ids == (*range(14), 17, 18)
    assert CARLA4AGT_16.palette[13] == (0, 0, 142)
    with pytest.raises(ValueError, match="no class 'boat'"):
        CARLA4AGT_16.index("boat")


def test_remapping_by_name() -> None:
    there = remap(np.arange(16, dtype=np.uint8), CARLA4AGT_16, CITYSCAPES_19)
    assert there.tolist() == list(CARLA4AGT_16.train_ids)
    assert remap(there, CITYSCAPES_19, CARLA4AGT_16).tolist() == list(range(16))
    assert remap(np.array([14, 15, 16, 255]), CITYSCAPES_19, CARLA4AGT_16).tolist() == [255] * 4
    assert class_mapping(CARLA4AGT_16, SYNTHIA_16)[9] == 255
    with pytest.raises(TypeError, match="integers"):
        remap(np.zeros(3), CITYSCAPES_19, CARLA4AGT_16)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"0\.\.255"):
        remap(np.array([-1]), CITYSCAPES_19, CARLA4AGT_16)


def test_colours_of_labels() -> None:
    picture = colorize(np.array([[0, 13], [255, 11]]))
    assert picture.tolist() == [[[128, 64, 128], [0, 0, 142]], [[0, 0, 0], [220, 20, 60]]]


def test_carla_tags_of_both_numberings() -> None:
    tags = np.arange(29, dtype=np.uint8)
    new = carla_tags_to_train_ids(tags)
    assert new[1:20].tolist() == list(range(19))
    assert new[24] == 0
    assert (new[[0, 20, 21, 22, 23, 25, 26, 27, 28]] == 255).all()
    old = carla_tags_to_train_ids(tags, carla_version="0.9.13")
    assert [old[k] for k in (1, 4, 6, 7, 8, 10, 13, 22)] == [2, 11, 0, 0, 1, 13, 10, 9]
    assert not np.isin(old, [12, 17, 18]).any()
    with pytest.raises(ValueError, match=r"0\.9\.15"):
        carla_tags_to_train_ids(tags, carla_version="new")
