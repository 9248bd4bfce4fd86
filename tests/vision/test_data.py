"""Images from every source people have, and clear words where there are none."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from nearfar.cli import main
from nearfar.vision.data import ImageArray, ImageFolder, ImageGroups, load

RNG = np.random.default_rng(0)


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Pictures of mixed sizes and modes in two class folders, with files that are no pictures between them."""
    root = tmp_path / "photos"
    for kind in ("cats", "dogs"):
        (root / kind).mkdir(parents=True)
        photo(40, 30).save(root / kind / "landscape.jpg")
        photo(30, 50, "L").save(root / kind / "grey.png")
        photo(33, 33, "RGBA").save(root / kind / "alpha.png")
        photo(25, 60, "P").save(root / kind / "palette.png")
        photo(20, 20, "CMYK").save(root / kind / "print.jpg")
        Image.fromarray(RNG.integers(0, 65536, (24, 36)).astype(np.uint16)).save(root / kind / "deep.png")
        photo(28, 28).save(root / kind / "моё фото.webp")
        photo(1, 40).save(root / kind / "thin.png")
    (root / "cats" / "broken.jpg").write_bytes(b"not a picture")
    (root / "cats" / "empty.png").write_bytes(b"")
    (root / "dogs" / "notes.txt").write_text("woof")
    cut = io.BytesIO()
    photo(60, 60).save(cut, "JPEG")
    (root / "dogs" / "cut.jpg").write_bytes(cut.getvalue()[: len(cut.getvalue()) // 2])
    return root


def test_a_folder_of_mixed_photos(photos: Path) -> None:
    with pytest.warns(UserWarning, match="3 of 19 files of .*photos were left out"):
        data = load(photos, size=24, max_bad=0.2)
    assert len(data) == 16
    assert set(data.labels.tolist()) == {"cats", "dogs"}
    batch = data.batch(np.arange(16))
    assert batch.images.shape == (16, 3, 24, 24)
    assert isinstance(data, ImageFolder)
    assert set(data.skipped) == {"cats/broken.jpg", "cats/empty.png", "dogs/cut.jpg"}


def test_good_pictures_are_the_same_whether_or_not_bad_files_are_there(photos: Path) -> None:
    with pytest.warns(UserWarning, match="left out"):
        dirty = load(photos, size=16, max_bad=0.2)
    for bad in ("cats/broken.jpg", "cats/empty.png", "dogs/cut.jpg"):
        (photos / bad).unlink()
    clean = load(photos, size=16)
    assert dirty.ids.tolist() == clean.ids.tolist()
    everything = np.arange(len(clean))
    assert np.array_equal(dirty.batch(everything).images, clean.batch(everything).images)


def test_exif_rotation_and_transparency_are_honoured(tmp_path: Path) -> None:
    picture = Image.new("RGB", (20, 10), "red")
    picture.paste("blue", (0, 0, 10, 10))
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    picture.save(tmp_path / "turned.png", exif=exif)
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    data = ImageFolder(tmp_path, size=10)
    clear, turned = data.batch(np.array([0, 1])).images
    assert (clear == 255).all()
    assert turned[2, 0].float().mean() > 200  # blue, which was left, is on top
    assert turned[2, -1].float().mean() < 50


def test_train_and_test_folders(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("test", 2)):
        for kind in ("a", "b"):
            (tmp_path / part / kind).mkdir(parents=True)
            for i in range(count):
                photo(12, 12).save(tmp_path / part / kind / f"{i}.png")
    data = load(tmp_path, size=12)
    assert len(data) == 8
    assert len(data.splits()["test"]) == 4


def write_cifar(folder: Path, names: tuple[str, ...] = ("data_batch_1", "test_batch")) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        content = {
            b"data": RNG.integers(0, 256, (20, 3072), dtype=np.uint8),
            b"labels": RNG.integers(0, 10, 20).tolist(),
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    meta = {b"label_names": [f"kind {i}".encode() for i in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))


def test_a_cifar_folder_in_its_published_format(tmp_path: Path) -> None:
    write_cifar(tmp_path / "cifar")
    data = load(tmp_path / "cifar")
    raw = pickle.loads((tmp_path / "cifar" / "data_batch_1").read_bytes(), encoding="bytes")
    images = data.batch(np.arange(20)).images.numpy()
    assert np.array_equal(images, raw[b"data"].reshape(20, 3, 32, 32))
    assert data.labels[0] == f"kind {raw[b'labels'][0]}"
    assert len(data.splits()["test"]) == 20


class Bomb:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_hostile_cifar_file_is_refused_not_run(tmp_path: Path) -> None:
    folder, target = tmp_path / "cifar", tmp_path / "executed"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps({b"data": Bomb(str(target))}))
    with pytest.raises(ValueError, match="no part of plain data"):
        load(folder)
    assert not target.exists()


def test_npz_and_arrays(tmp_path: Path) -> None:
    images = RNG.integers(0, 256, (6, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", train_x=images, train_y=np.arange(6)[:, None], test_x=images[:2], test_y=[0, 1])
    data = load(tmp_path / "set.npz")
    assert data.batch(np.arange(6)).images.shape == (6, 3, 8, 8)
    assert data.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert len(data.splits()["test"]) == 2
    assert np.array_equal(load(images / 255.0).batch(np.arange(6)).images, data.batch(np.arange(6)).images)
    np.savez(tmp_path / "none.npz", a=images, b=images)
    with pytest.raises(ValueError, match="no array of images: it holds a, b"):
        load(tmp_path / "none.npz")


def test_parquet_with_encoded_images(tmp_path: Path) -> None:
    cells = []
    for size in ((20, 10), (9, 14)):
        memory = io.BytesIO()
        photo(*size).save(memory, "PNG")
        cells.append({"bytes": memory.getvalue(), "path": "x.png"})
    pq.write_table(pa.table({"image": cells, "label": [3, 4]}), tmp_path / "set.parquet")
    data = load(tmp_path / "set.parquet", size=12)
    assert data.batch(np.arange(2)).images.shape == (2, 3, 12, 12)
    assert data.labels.tolist() == [3, 4]
    pq.write_table(pa.table({"n": [1]}), tmp_path / "numbers.parquet")
    with pytest.raises(ValueError, match="no column of encoded images"):
        load(tmp_path / "numbers.parquet")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3)), "must have shape"),
        (np.full((2, 4, 4, 3), 2.0), r"must lie in \[0, 1\]"),
        (np.full((2, 4, 4, 3), 300), r"must lie in \[0, 255\]"),
        (np.full((2, 4, 4, 3), np.nan), r"must lie in \[0, 1\]"),
    ],
)
def test_arrays_that_are_no_images(images: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageArray(images)


def test_several_pictures_of_each_thing() -> None:
    data = ImageGroups(RNG.integers(0, 256, (5, 3, 8, 8, 3), dtype=np.uint8), np.arange(5))
    assert data.batch(np.array([1, 4])).images.shape == (2, 3, 3, 8, 8)
    with pytest.raises(ValueError, match=r"\(N, K, H, W, C\)"):
        ImageGroups(np.zeros((2, 8, 8, 3), np.uint8))


@pytest.mark.parametrize("source", ["photos", "cifar"])
def test_real_files_train_evaluate_embed_and_report(source: str, photos: Path, tmp_path: Path, capsys) -> None:
    method = {"photos": "relic", "cifar": "simclr"}[source]
    place = photos if source == "photos" else tmp_path / "cifar"
    if source == "cifar":
        write_cifar(place)
    out = tmp_path / "run"
    words = ["--encoder", "small-conv", "--steps", "2", "--batch-size", "8", "--size", "24", "--max-bad", "0.2"]
    assert main(["train", method, "--data", str(place), "--out", str(out), *words]) == 0
    assert (out / "skipped.tsv").exists() == (source == "photos")
    assert main(["evaluate", str(out), "--json"]) == 0
    assert "linear test" in capsys.readouterr().out
    assert main(["embed", str(out), str(place), "-o", str(tmp_path / "v.parquet")]) == 0
    assert pq.read_table(tmp_path / "v.parquet").num_rows == (16 if source == "photos" else 20)
    assert main(["report", str(out)]) == 0
