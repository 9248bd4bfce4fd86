"""Scenes in files: what is written is read back, sizes and class sets, statistics, published layouts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nearfar.segmentation.classes import CAMVID_11, CARLA4AGT_16, CITYSCAPES_19, CITYSCAPES_LABEL_IDS, class_mapping
from nearfar.segmentation.data import RenderedScenes, SceneFolder, load
from nearfar.segmentation.data import cache as caching
from nearfar.segmentation.data.files import BadFile, read_label, resize_label
from nearfar.segmentation.data.published import acdc
from nearfar.segmentation.data.statistics import PER_CLASS, PER_SCENE, write_statistics
from nearfar.segmentation.data.writing import write_scenes

LOOKS = ("noon", "night")


@pytest.fixture(scope="module")
def street() -> RenderedScenes:
    return RenderedScenes(range(6), LOOKS, (32, 64))


@pytest.fixture(scope="module")
def written(street: RenderedScenes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes") / "street"
    write_scenes(street, root, "train")
    write_scenes(RenderedScenes(range(6, 8), LOOKS, (32, 64)), root, "val")
    return root


@pytest.fixture
def scenes(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(written, tmp_path / "street"))


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, mode).save(path)


def test_what_is_written_is_read_back(written: Path, street: RenderedScenes) -> None:
    data = load(written)
    assert len(data) == 6
    assert data.appearances == LOOKS
    assert data.facts == {"num_classes": 16}
    indices = np.array([4, 1])
    got, expected = data.batch(indices), street.batch(indices)
    assert torch.equal(got.images, expected.images)
    assert torch.equal(got.labels, expected.labels)
    assert got.images.dtype == torch.uint8
    assert got.labels.dtype == torch.int64
    assert got.rows.tolist() == [4, 1]
    assert data.ids[4] == "000004"
    assert {name: len(part) for name, part in data.splits().items()} == {"val": 2}


def test_files_hold_train_ids(written: Path, street: RenderedScenes) -> None:
    stored = read_label(written / "labels/000000.png")
    table = np.array([*CARLA4AGT_16.train_ids, *[0] * 239, 255], np.uint8)
    assert np.array_equal(stored, table[street.label_maps[0]])
    config = json.loads((written / "configs/000003.json").read_text())
    again = RenderedScenes([config["scene"]], config["appearances"], tuple(config["size"]))
    assert torch.equal(again.batch(np.array([0])).images, street.batch(np.array([3])).images)


def test_size_and_class_set(written: Path) -> None:
    small = SceneFolder(written, "train", size=16, classes="cityscapes19", appearances=["night"])
    batch = small.batch(np.arange(3))
    assert batch.images.shape == (3, 1, 3, 16, 32)
    full = SceneFolder(written, "train", classes=CITYSCAPES_19, appearances=["night"]).batch(np.arange(3))
    means = full.images.float().reshape(3, 1, 3, 16, 2, 32, 2).mean((4, 6))
    assert (batch.images.float() - means).abs().max() <= 1
    # Nearest: each small label is one of the four under it.
    under = full.labels.reshape(3, 16, 2, 32, 2).permute(0, 1, 3, 2, 4).flatten(3)
    assert (under == batch.labels[..., None]).any(-1).all()
    coarse = SceneFolder(written, classes="camvid11").batch(np.arange(2)).labels
    table = torch.from_numpy(class_mapping(CARLA4AGT_16, CAMVID_11).astype(np.int64))
    assert torch.equal(coarse, table[SceneFolder(written).batch(np.arange(2)).labels])


def test_odd_sizes_keep_labels_at_the_centres_of_pixels() -> None:
    label = np.repeat(np.arange(9, dtype=np.uint8)[None], 9, axis=0)
    assert resize_label(label, (3, 3))[0].tolist() == [1, 4, 7]


def test_class_sets_map_by_meaning() -> None:
    to_coarse = class_mapping(CITYSCAPES_19, CAMVID_11)
    assert to_coarse[CITYSCAPES_19.index("wall")] == CAMVID_11.index("building")
    assert to_coarse[CITYSCAPES_19.index("rider")] == CAMVID_11.index("bicyclist")
    assert (to_coarse[:19] != 255).all()
    back = class_mapping(CAMVID_11, CITYSCAPES_19)
    assert back[CAMVID_11.index("pavement")] == CITYSCAPES_19.index("sidewalk")
    # A building of CamVid may be a wall, so a set that tells them apart cannot use it.
    assert back[CAMVID_11.index("building")] == 255
    with pytest.raises(ValueError, match="there is no class set 'pascal'; there are cityscapes19"):
        load("street", classes="pascal")


def test_another_layout_by_patterns(written: Path, tmp_path: Path) -> None:
    for path in (written / "rgb").glob("*/*.png"):
        target = tmp_path / f"Town01/{path.stem}_{path.parent.name}.png"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    for path in (written / "labels").glob("*.png"):
        shutil.copy(path, tmp_path / f"Town01/{path.stem}_seg.png")
    patterns = {"image_paths": "{scene}_{appearance}.png", "label_paths": "{scene}_seg.png"}
    data = load(tmp_path, **patterns)
    # The label maps match the pictures' pattern too, and are not taken for an appearance.
    assert data.appearances == LOOKS
    assert data.ids[0] == "Town01/000000"
    assert torch.equal(data.batch(np.arange(2)).labels, SceneFolder(written).batch(np.arange(2)).labels)
    with pytest.raises(ValueError, match=r"names \{scene\} once"):
        load(tmp_path, image_paths="{appearance}.png")
    unlabelled = load(written, image_paths="rgb/{appearance}/{scene}.png")
    assert (unlabelled.batch(np.arange(1)).labels == 255).all()
    assert not unlabelled.labelled


def test_palette_and_16_bit_labels(tmp_path: Path) -> None:
    values = np.array([[0, 1], [13, 255]], np.uint8)
    palette = Image.fromarray(values, "P")
    palette.putpalette([200, 10, 10] * 256)
    palette.save(tmp_path / "palette.png")
    save(tmp_path / "wide.png", values.astype(np.uint16))
    for name in ("palette.png", "wide.png"):
        assert np.array_equal(read_label(tmp_path / name), values)
    save(tmp_path / "depth.png", values.astype(np.uint16) * 100)
    with pytest.raises(BadFile, match=r"depth.png holds values up to 25500; expected class numbers within 0..255"):
        read_label(tmp_path / "depth.png")
    save(tmp_path / "colour.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(BadFile, match="is a picture of mode RGB; expected one channel"):
        read_label(tmp_path / "colour.png")


def test_four_bit_grey_labels_are_not_stretched(tmp_path: Path) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 4, 1, 4, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0, 0x12, 0x3F]))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    (tmp_path / "four.png").write_bytes(png)
    assert read_label(tmp_path / "four.png").tolist() == [[1, 2, 3, 15]]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda r: (r / "rgb/night/000002.png").unlink(), "rgb/night/000002.png is missing; expected scene 000002 in"),
        (lambda r: (r / "labels/000001.png").unlink(), "labels/000001.png is missing; expected the label map of"),
        (lambda r: (r / "splits/train.txt").write_text("000000\nghost\n"), "rgb/noon/ghost.png is missing"),
    ],
)
def test_missing_files_are_named_before_training(scenes: Path, damage, message: str) -> None:
    damage(scenes)
    with pytest.raises(BadFile, match=message):
        load(scenes)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda r: cut(r / "rgb/noon/000001.png"),
            r"noon/000001.png cannot be decoded \(.*\); expected a whole picture",
        ),
        (
            lambda r: save(r / "labels/000001.png", np.full((32, 64), 40, np.uint8)),
            r"unknown class numbers 40 \(2048 pix",
        ),
        (lambda r: save(r / "labels/000001.png", np.zeros((16, 64), np.uint8)), "is 64 x 16 pixels; expected 64 x 32"),
        (lambda r: save(r / "rgb/noon/000001.png", np.zeros((32, 60, 3), np.uint8)), "is 60 x 32 pixels"),
    ],
)
def test_damaged_files_are_named_when_they_are_read(scenes: Path, damage, message: str) -> None:
    damage(scenes)
    data = load(scenes, size=16)
    data.batch(np.array([0, 2]))
    with pytest.raises(BadFile, match=message):
        data.batch(np.array([0, 1]))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def test_writing_refuses_what_it_would_lose(written: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match=r"train.txt exists already"):
        write_scenes(RenderedScenes(range(1), LOOKS, (32, 64)), written)
    with pytest.raises(ValueError, match="cityscapes19 has no place for building, tree, sign"):
        write_scenes(RenderedScenes(range(1), LOOKS, (32, 64), classes="camvid11"), tmp_path)
    write_scenes(RenderedScenes(range(1), LOOKS, (32, 64), classes="camvid11"), tmp_path, stored="camvid11")
    got = SceneFolder(tmp_path, stored="camvid11", classes="camvid11").batch(np.array([0])).labels
    assert torch.equal(got, RenderedScenes(range(1), LOOKS, (32, 64), classes="camvid11").batch(np.array([0])).labels)


def test_statistics_are_daformers(scenes: Path) -> None:
    data = SceneFolder(scenes, "train", classes="carla4agt16")
    counted = data.class_pixels()
    brute = np.stack([np.bincount(x[x != 255].numpy(), minlength=16) for x in data.batch(np.arange(6)).labels])
    assert np.array_equal(counted, brute)
    paths = [each.label for each in data.files]
    write_statistics(scenes, paths, data.stored_counts())
    per_scene = json.loads((scenes / PER_SCENE).read_text())
    assert per_scene[2].pop("file") == "labels/000002.png"
    stored = read_label(scenes / "labels/000002.png")
    assert per_scene[2] == {str(v): int((stored == v).sum()) for v in np.unique(stored) if v != 255}
    per_class = json.loads((scenes / PER_CLASS).read_text())
    assert per_class["10"] == [[f"labels/{i:06d}.png", row["10"]] for i, row in enumerate(per_scene) if "10" in row]
    for path in paths:  # what is written is what is read: no label map is opened again
        path.write_bytes(b"")
    assert np.array_equal(data.class_pixels(), counted)
    # Statistics of another machine name other folders; half the size has a quarter of the pixels.
    elsewhere = (scenes / PER_SCENE).read_text().replace('"labels/', '"/data/carla/labels/')
    (scenes / PER_SCENE).write_text(elsewhere)
    assert np.abs(SceneFolder(scenes, "train", size=16).class_pixels() - counted / 4).max() <= 0.5
    (scenes / PER_SCENE).write_text('{"file": 3}')
    with pytest.raises(BadFile, match=r"sample_class_stats.json cannot be read"):
        data.class_pixels()


def picture(seed: int, size: tuple[int, int] = (8, 16)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_cityscapes(tmp_path: Path) -> None:
    ids = np.arange(128, dtype=np.uint8).reshape(8, 16) % 34
    for split, city in (("train", "aachen"), ("train", "bochum"), ("val", "lindau")):
        name = f"{city}/{city}_000000_000019"
        save(tmp_path / f"leftImg8bit/{split}/{name}_leftImg8bit.png", picture(1))
        save(tmp_path / f"gtFine/{split}/{name}_gtFine_labelIds.png", ids)
        save(tmp_path / f"gtFine/{split}/{name}_gtFine_color.png", picture(2))
    data = load(tmp_path)
    assert data.ids.tolist() == ["aachen/aachen_000000_000019", "bochum/bochum_000000_000019"]
    assert data.facts["num_classes"] == 19
    labels = data.batch(np.array([0])).labels[0].numpy()
    expected = [CITYSCAPES_LABEL_IDS.index(v) if v in CITYSCAPES_LABEL_IDS else 255 for v in ids.ravel()]
    assert labels.ravel().tolist() == expected
    assert [len(part) for part in data.splits().values()] == [1]
    save(tmp_path / "gtFine/val/lindau/lindau_000000_000019_gtFine_labelTrainIds.png", np.full((8, 16), 18, np.uint8))
    val = load(tmp_path, classes="carla4agt16").splits()["val"]
    assert (val.batch(np.array([0])).labels == CARLA4AGT_16.index("bicycle")).all()


def test_acdc_with_references(tmp_path: Path) -> None:
    for n, condition in enumerate(("fog", "night")):
        for split in ("train", "val"):
            place = f"{condition}/{split}/GOPR0475/GOPR0475_frame_00004{n}"
            save(tmp_path / f"rgb_anon/{place}_rgb_anon.png", picture(n))
            reference = place.replace(f"/{split}/", f"/{split}_ref/")
            save(tmp_path / f"rgb_anon/{reference}_rgb_ref_anon.png", picture(10 + n))
            save(tmp_path / f"gt/{place}_gt_labelTrainIds.png", np.full((8, 16), n, np.uint8))
    data = load(tmp_path)
    assert data.batch(np.arange(2)).labels[:, 0, 0].tolist() == [0, 1]
    assert {name: len(part) for name, part in data.splits().items()} == {"fog": 1, "night": 1}
    reference = acdc(tmp_path, reference=True)
    assert reference.ids.tolist() == data.ids.tolist()
    assert not reference.labelled
    assert np.array_equal(reference.batch(np.array([1])).images[0, 0].permute(1, 2, 0).numpy(), picture(11))
    with pytest.raises(ValueError, match="condition must be one of fog, night"):
        acdc(tmp_path, condition="hail")


def test_dark_zurich(tmp_path: Path) -> None:
    save(tmp_path / "rgb_anon/train/night/GOPR0356/GOPR0356_frame_000001_rgb_anon.png", picture(0))
    save(tmp_path / "rgb_anon/train/day/GOPR0345/GOPR0345_frame_000001_rgb_anon.png", picture(1))
    save(tmp_path / "rgb_anon/val/night/GOPR0356/GOPR0356_frame_000321_rgb_anon.png", picture(2))
    save(tmp_path / "gt/val/night/GOPR0356/GOPR0356_frame_000321_gt_labelTrainIds.png", np.full((8, 16), 5, np.uint8))
    data = load(tmp_path)
    assert data.ids.tolist() == ["train/night/GOPR0356/GOPR0356_frame_000001"]
    assert (data.batch(np.array([0])).labels == 255).all()
    assert (data.splits()["val"].batch(np.array([0])).labels == 5).all()


def test_camvid_folders(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        save(tmp_path / f"{split}/0001TP_006690.png", picture(0))
        save(tmp_path / f"{split}annot/0001TP_006690.png", (np.arange(128).reshape(8, 16) % 12).astype(np.uint8))
    data = load(tmp_path)
    assert data.batch(np.array([0])).labels[0, 0, :12].tolist() == [*range(11), 255]
    assert list(data.splits()) == ["val", "test"]
    street = load(tmp_path, classes="carla4agt16").batch(np.array([0])).labels[0, 0, :12].tolist()
    named = [CARLA4AGT_16.names[v] if v != 255 else "-" for v in street]
    assert named == ["sky", "-", "pole", "road", "sidewalk", "-", "-", "fence", "-", "person", "-", "-"]


@pytest.mark.shared_data
def test_packed_camvid(shared_data: Path) -> None:
    data = load(shared_data / "camvid", size=90)
    batch = data.batch(np.arange(4))
    assert batch.images.shape == (4, 1, 3, 90, 120)
    assert (len(data), *map(len, data.splits().values())) == (367, 101, 233)
    assert set(batch.labels.unique().tolist()) <= {*range(11), 255}


def test_names_and_folders_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="of that name, did you mean street"):
        load("strret")
    with pytest.raises(ValueError, match="holds no scenes: expected pictures at rgb/"):
        load(tmp_path)


def test_rendered_scenes_are_kept_and_survive_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path))
    first = RenderedScenes(range(2), LOOKS, (16, 32))
    (kept,) = tmp_path.glob("street-*.npz")
    monkeypatch.setattr(caching.StreetScenes, "batch", lambda *a: pytest.fail("rendered again"))
    again = RenderedScenes(range(2), LOOKS, (16, 32))
    assert np.array_equal(first.images, again.images)
    monkeypatch.undo()
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path))
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    assert np.array_equal(RenderedScenes(range(2), LOOKS, (16, 32)).images, first.images)
    assert kept.read_bytes()[: len(whole)] == whole or len(kept.read_bytes()) == len(whole)
    RenderedScenes(range(2), LOOKS[:1], (16, 32))
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.setattr(caching, "MOST_BYTES", 5000)
    RenderedScenes(range(1), LOOKS[:1], (16, 32))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5000


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for place in (str(tmp_path / "file" / "below"), ""):
        monkeypatch.setenv("NEARFAR_CACHE", place)
        assert len(RenderedScenes(range(1), LOOKS[:1], (16, 32))) == 1
    monkeypatch.delenv("NEARFAR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert caching.cache_folder() == Path("/somewhere/nearfar")
