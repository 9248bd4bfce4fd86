"""Corruptions against the transforms they are named after, and the corruption error by hand."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from nearfar.evaluation import CORRUPTIONS, EXTRA_CORRUPTIONS, corrupt, corruption_error


def photos(n=6, size=32, channels=3, seed=0):
    noise = np.random.default_rng(seed).random((n, size, size, channels))
    smooth = gaussian_filter(noise, (0, 2, 2, 0), mode="wrap")
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return (255 * smooth).astype(np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_same_seed_same_images_and_input_untouched(name):
    images = photos()
    before = images.copy()
    results = [corrupt(images, name, severity, seed=1) for severity in (1, 5)]
    for severity, result in zip((1, 5), results, strict=True):
        assert result.dtype == np.uint8
        assert result.shape == images.shape
        assert np.array_equal(result, corrupt(images, name, severity, seed=1))
    assert np.array_equal(images, before)
    assert not np.array_equal(results[1], images)
    changed = [np.abs(result.astype(int) - images).mean() for result in results]
    if name != "elastic_transform":  # its first severity only shears, its last mostly ripples
        assert changed[1] > changed[0]
    if any(word in name for word in ("noise", "glass", "fog", "elastic")):
        assert not np.array_equal(results[1], corrupt(images, name, 5, seed=2))
    else:
        assert np.array_equal(results[1], corrupt(images, name, 5, seed=2))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_grey_and_oblong_images(name):
    if name == "saturate":
        with pytest.raises(ValueError, match="3 channels"):
            corrupt(photos(channels=1), name, 3)
        return
    images = photos(n=2, channels=1)[:, :20]
    assert corrupt(images, name, 4).shape == images.shape


def test_chunks_have_noise_of_their_own(monkeypatch):
    monkeypatch.setattr("nearfar.evaluation.robustness.corruptions._CHUNK", 4)
    same = np.full((8, 32, 32, 3), 128, np.uint8)
    result = corrupt(same, "gaussian_noise", 1)
    assert not np.array_equal(result[:4], result[4:])


@pytest.mark.parametrize(("severity", "scale"), list(enumerate((0.04, 0.06, 0.08, 0.09, 0.10), start=1)))
def test_gaussian_noise_has_its_scale(severity, scale):
    grey = np.full((10, 32, 32, 3), 128, np.uint8)
    assert (corrupt(grey, "gaussian_noise", severity) / 255).std() == pytest.approx(scale, rel=0.03)


def test_other_noises_have_their_moments():
    grey = np.full((40, 32, 32, 3), 128, np.uint8)
    level = 128 / 255
    assert (corrupt(grey, "speckle_noise", 5) / 255).std() == pytest.approx(0.2 * level, rel=0.03)
    assert (corrupt(grey, "shot_noise", 5) / 255).std() == pytest.approx(np.sqrt(level / 50), rel=0.03)
    impulse = corrupt(grey, "impulse_noise", 5)
    assert np.mean(impulse == 0) == pytest.approx(0.035, rel=0.1)
    assert np.mean(impulse == 255) == pytest.approx(0.035, rel=0.1)
    assert np.mean(impulse == 128) == pytest.approx(0.93, rel=0.01)


def test_zoom_blur_is_the_mean_of_centre_crops():
    images = photos(2)
    for severity, end in ((1, 1.06), (5, 1.26)):
        factors = np.arange(1, end, 0.01)
        for image, found in zip(images / 255, corrupt(images, "zoom_blur", severity), strict=True):
            total = image.copy()
            for factor in factors:
                crop = int(np.ceil(32 / factor))
                top = (32 - crop) // 2
                large = zoom(image[top : top + crop, top : top + crop], (factor, factor, 1), order=1)
                trim = (large.shape[0] - 32) // 2
                total += large[trim : trim + 32, trim : trim + 32]
            expected = (np.clip(total / (len(factors) + 1), 0, 1) * 255).astype(int)
            assert np.abs(expected - found).max() <= 1


def in_hsv(image, change):
    hsv = cv2.cvtColor((image / 255).astype(np.float32), cv2.COLOR_RGB2HSV)
    change(hsv)
    return (np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), 0, 1) * 255).astype(int)


def test_brightness_and_saturation_are_changes_in_hsv():
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    image[0, 0, 0], image[0, 0, 1], image[0, 0, 2] = 0, 255, (90, 90, 90)

    def brighter(hsv):
        hsv[..., 2] = np.clip(hsv[..., 2] + 0.3, 0, 1)

    def stronger(hsv):
        hsv[..., 1] = np.clip(hsv[..., 1] * 2.5 + 0.2, 0, 1)

    assert np.abs(in_hsv(image[0], brighter) - corrupt(image, "brightness", 5)[0]).max() <= 1
    assert np.abs(in_hsv(image[0], stronger) - corrupt(image, "saturate", 5)[0]).max() <= 1


def test_contrast_keeps_the_mean_and_scales_the_rest():
    image = photos(1)
    result = corrupt(image, "contrast", 5) / 255
    mean = (image / 255).mean((1, 2), keepdims=True)
    np.testing.assert_allclose(result, (image / 255 - mean) * 0.15 + mean, atol=1.01 / 255)


def test_blurs_keep_the_mean_and_flat_images():
    images = photos()
    for name in ("gaussian_blur", "defocus_blur", "zoom_blur", "glass_blur"):
        blurred = corrupt(images, name, 5)
        if name != "glass_blur":
            assert np.diff(blurred.astype(int), axis=1).std() < np.diff(images.astype(int), axis=1).std()
        assert np.abs(blurred.mean((1, 2)) - images.mean((1, 2))).max() < 8
        flat = corrupt(np.full((1, 32, 32, 3), 77, np.uint8), name, 3)
        assert np.abs(flat.astype(int) - 77).max() <= 2


def test_glass_takes_a_neighbour():
    image = np.random.default_rng(0).permutation(1024).reshape(32, 32) // 4
    result = corrupt(np.repeat(image[None, ..., None].astype(np.uint8), 3, 3), "glass_blur", 1)[0, ..., 0].astype(int)
    y, x = np.mgrid[2:32, 2:32]
    sources = np.stack([image[y - dy, x - dx] for dy in (0, 1) for dx in (0, 1)])
    distance = np.abs(sources - result[2:, 2:])
    # Both conversions to bytes truncate, which can cost one level each.
    assert distance.min(0).max() <= 2
    assert np.abs(result[:2] - image[:2]).max() <= 2
    moved = np.mean(np.abs(result[2:, 2:] - image[2:, 2:]) > 2)
    assert 0.65 < moved < 0.8


def test_fog_whitens_black_never():
    assert not corrupt(np.zeros((2, 32, 32, 3), np.uint8), "fog", 5).any()
    images = photos()
    assert np.ptp(corrupt(images, "fog", 5), axis=(1, 2)).mean() < np.ptp(images, axis=(1, 2)).mean()


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: corrupt(photos(), "frost", 1), "name must be one of gaussian_noise"),
        (lambda: corrupt(photos(), "fog", 6), "severity"),
        (lambda: corrupt(photos() / 255, "fog", 1), "images must be uint8"),
        (lambda: corrupt(photos().transpose(0, 3, 1, 2), "fog", 1), "images must be uint8"),
        (lambda: corrupt(photos(size=4), "fog", 1), "at least 8 x 8"),
    ],
)
def test_bad_images(call, named):
    with pytest.raises(ValueError, match=named):
        call()


def test_names():
    assert len(CORRUPTIONS) == 15
    assert set(EXTRA_CORRUPTIONS) < set(CORRUPTIONS)


def test_corruption_error_by_hand():
    own, reference = {"fog": [0.2, 0.4], "jpeg": [0.1, 0.1]}, {"fog": [0.3, 0.9], "jpeg": [0.1, 0.3]}
    found = corruption_error(own, reference, clean=0.1, reference_clean=0.05)
    assert found.per_corruption == pytest.approx({"fog": 50, "jpeg": 50})
    assert found.mce == pytest.approx(50)
    assert found.relative_per_corruption == pytest.approx({"fog": 100 * 0.4 / 1.1, "jpeg": 0})
    assert found.relative_mce == pytest.approx(50 * 0.4 / 1.1)
    assert found.mean_accuracy == pytest.approx(0.8)
    same = corruption_error(reference, reference, clean=0.05, reference_clean=0.05)
    assert same.mce == pytest.approx(100)
    assert same.relative_mce == pytest.approx(100)
    assert corruption_error(own, reference).relative_mce is None


@pytest.mark.parametrize(
    ("own", "reference", "clean", "named"),
    [
        ({"fog": [0.1]}, {"frost": [0.1]}, (None, None), "same corruptions"),
        ({"fog": [0.1]}, {"fog": [0.1, 0.2]}, (None, None), "reference"),
        ({"fog": [10.0]}, {"fog": [0.1]}, (None, None), r"errors\['fog'\] must be error rates"),
        ({"fog": [0.1]}, {"fog": [0.0]}, (None, None), "makes no error under 'fog'"),
        ({"fog": [0.1]}, {"fog": [0.1]}, (0.1, 0.1), "no more errors than on clean"),
        ({"fog": [0.1]}, {"fog": [0.1]}, (0.1, None), "given together"),
    ],
)
def test_corruption_error_bad_input(own, reference, clean, named):
    with pytest.raises(ValueError, match=named):
        corruption_error(own, reference, clean=clean[0], reference_clean=clean[1])
