"""What people hold and where they keep it: in memory, in files of every usual kind, in folders that move."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from nearfar import workflow
from nearfar.evaluation import Embeddings
from nearfar.runs.run import Run, RunError
from nearfar.sources.found import describe
from nearfar.training import Training, embed
from nearfar.vision import data as images
from nearfar.vision.data import ImageArray
from tests.dirty import corpus

X = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
Y = np.arange(6) % 2


class Items(torch.utils.data.Dataset):  # type: ignore[type-arg]
    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> Any:
        return Image.fromarray(X[i]), int(Y[i])


HELD: dict[str, tuple[Any, bool]] = {
    "tensor": (torch.from_numpy(X).permute(0, 3, 1, 2), False),
    "half tensor": (torch.from_numpy(X / 255.0).to(torch.float16), False),
    "gradient": (torch.from_numpy(X / 255.0).float().requires_grad_(), False),
    "list of arrays": ([*X], False),
    "list of tensors": ([*torch.from_numpy(X).permute(0, 3, 1, 2)], False),
    "list of pictures": ([Image.fromarray(x) for x in X], False),
    "pair": ((X, Y), True),
    "pair of lists": (([*X], [*Y]), True),
    "TensorDataset": (torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), True),
    "data set": (Items(), True),
    "columns": ({"image": [*X], "label": Y}, True),
    "data frame": (pd.DataFrame({"image": [*X], "label": Y}), True),
    "frame of pictures": (pd.DataFrame({"Image": [Image.fromarray(x) for x in X], "Label": Y}), True),
}


@pytest.mark.parametrize("what", HELD)
def test_what_a_program_holds_is_taken_in_its_order(what: str) -> None:
    data, labelled = HELD[what]
    found = images.load(data, size=None if "picture" not in what and what != "data set" else 16)
    assert isinstance(found, ImageArray)
    assert np.abs(found.images.astype(int) - X).max() <= 1
    assert (found.labels is not None) == labelled
    if labelled:
        assert np.asarray(found.labels).tolist() == Y.tolist()


def test_paths_and_pictures_of_several_sizes_become_squares(tmp_path: Path) -> None:
    paths = []
    for i in (2, 0, 1):
        paths.append(tmp_path / f"{i}.png")
        paths[-1].write_bytes(corpus.encoded(corpus.clean(20 + i, 40), "PNG"))
    for data in (
        paths,
        [str(p) for p in paths],
        [Image.open(p) for p in paths],
        [corpus.clean(22, 40), corpus.clean(20, 40), corpus.clean(21, 40)],
    ):
        found: Any = images.load(data, size=12)
        assert found.images.shape == (3, 12, 12, 3)
    assert np.array_equal(found.images, images.load(paths, size=12).images)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "images are an array, a tensor, a list of pictures.*got int"),
        (object(), "got object"),
        ([], "holds no images"),
        (["no such file.png"], r"image 0 \(no such file\.png\) cannot be read: the link leads nowhere"),
        ([X[0], "x.png"], r"image 1 \(x\.png\) cannot be read"),
        ([X[0], 7], "image 1 is a int; expected a picture, an array, a tensor or a path"),
        ([X[0], None], "image 1 is missing"),
        ({"sound": [1]}, "no column of images: its columns are sound; expected one of image"),
        ((X, Y[:3]), "labels has 3 entries for 6 images"),
        (np.array(["a"]), "images must have shape"),
        (np.zeros((2, 5)), "images must have shape"),
        (torch.zeros(2, 7, 8, 8), "images must have shape"),
        (X[:0], None),
    ],
)
def test_what_is_no_images_is_refused_by_a_sentence(data: Any, message: str | None) -> None:
    if message is None:
        with pytest.raises(ValueError, match=r"no examples|holds no|array"):
            workflow.train("simclr", data=data, progress=False)
        return
    with pytest.raises((TypeError, ValueError), match=message):
        images.load(data)


# Files ------------------------------------------------------------------------------------------------------


def idx(path: Path, array: np.ndarray, *, packed: bool) -> None:
    content = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_and_its_kin(packed: bool, tmp_path: Path) -> None:
    end = ".gz" if packed else ""
    for part, count in (("train", 6), ("t10k", 4)):
        idx(tmp_path / f"raw/{part}-images-idx3-ubyte{end}", X[:count, ..., 0], packed=packed)
        idx(tmp_path / f"raw/{part}-labels-idx1-ubyte{end}", Y[:count].astype(np.uint8), packed=packed)
    data: Any = images.load(tmp_path / "raw")
    assert np.array_equal(data.images[..., 0], X[..., 0])
    assert data.labels.tolist() == Y.tolist()
    assert len(data.splits()["test"]) == 4
    assert len(images.load(tmp_path / f"raw/train-images-idx3-ubyte{end}")) == 6
    path = tmp_path / f"raw/train-images-idx3-ubyte{end}"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="train-images-idx3-ubyte"):
        images.load(tmp_path / "raw")


def test_stl10_and_plain_arrays(tmp_path: Path) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    for part in ("train", "test", "unlabeled"):
        (tmp_path / f"{part}_X.bin").write_bytes(pictures.transpose(0, 3, 2, 1).tobytes())
        if part != "unlabeled":
            (tmp_path / f"{part}_y.bin").write_bytes(bytes([1, 10]))
    data: Any = images.load(tmp_path)
    assert np.array_equal(data.images, np.concatenate([pictures, pictures]))
    assert data.labels.tolist() == [0, 9, -1, -1]
    assert len(data.splits()["test"]) == 2
    np.save(tmp_path / "x.npy", X)
    assert np.array_equal(images.load(tmp_path / "x.npy").images, X)  # type: ignore[attr-defined]
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"o\.npy cannot be read as an array"):
        images.load(tmp_path / "o.npy")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_tables_of_files_and_labels(suffix: str, tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(corpus.encoded(X[i], "PNG"))
    frame = pd.DataFrame(
        {"filename": [f"{i}.png" for i in (3, 1, 0, 2)], "category": list("dbac"), "kind": [1, 1, 2, 2]}
    )
    path = tmp_path / f"t.{suffix}"
    if suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    data: Any = images.load(path, size=16)
    assert np.array_equal(data.images, X[[3, 1, 0, 2]])
    assert data.labels.tolist() == list("dbac")
    assert images.load(path, size=16, label_column="kind").labels.tolist() == [1, 1, 2, 2]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="has no column 'breed'; its columns are filename, category, kind"):
        images.load(path, label_column="breed")


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_vectors_for_other_programs(suffix: str, tmp_path: Path) -> None:
    found = Embeddings(np.arange(6, dtype=np.float32).reshape(3, 2), np.array(["a", "b,c", "d"]), np.array([0, 1, 0]))
    found.save(tmp_path / f"v.{suffix}")
    if suffix == "npy":
        assert np.array_equal(np.load(tmp_path / "v.npy"), found.array)
    else:
        frame = pd.read_csv(tmp_path / "v.csv")
        assert frame.columns.tolist() == ["id", "label", "0", "1"]
        assert frame["id"].tolist() == ["a", "b,c", "d"]
        assert np.array_equal(frame[["0", "1"]].to_numpy(), found.array)
    with pytest.raises(FileExistsError):
        found.save(tmp_path / f"v.{suffix}")


# What is said, and places -----------------------------------------------------------------------------------


def test_what_is_in_the_data_is_said_and_kept(tmp_path: Path) -> None:
    held = ImageArray(X, Y)
    data = ImageArray(X, np.array([0, 1, 1, 1, -1, -1]), name="na\x1bme", splits={"test": held})
    said: list[str] = []
    _, run = workflow.train("simclr", data=data, out=tmp_path / "run", say=said.append, progress=False,
                            arguments={"encoder": "small-conv"}, training=Training(steps=1, batch_size=4))  # fmt: skip
    assert run is not None
    assert (run.path / "data.txt").read_text().splitlines() == said == describe(data)
    assert said == [
        "data      na\\x1bme: 6 examples",
        "          16 x 16 pixels, values 0 to 255 of 8 bits",
        "labels    2 classes (0 1, 1 3), 2 without one",
        "held out  test: 6 examples, labels: 2 classes (0 3, 1 3)",
    ]
    assert describe(ImageArray(X))[2:] == ["labels    none", "held out  nothing"]


def test_a_finished_run_needs_neither_its_model_nor_its_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import ViTConfig, ViTModel

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    config = ViTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16,
                       patch_size=8)  # fmt: skip
    ViTModel(config).save_pretrained("vit")
    np.savez("x.npz", images=X)
    method, run = workflow.train("simclr", data="x.npz", out="run", arguments={"encoder": "hf:vit"}, progress=False,
                                 training=Training(steps=1, batch_size=4, monitor_every=-1))  # fmt: skip
    assert run is not None
    assert run.config["hyperparameters"]["encoder"] == f"hf:{tmp_path / 'vit'}"
    assert run.config["data"]["source"] == str(tmp_path / "x.npz")
    run.unlock()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert workflow.evaluate_run("../run")["untrained"]
    (tmp_path / "vit").rename(tmp_path / "archived")
    _, again, opened = workflow.load_run(Path("../run"))
    assert np.array_equal(embed(again, ImageArray(X)).array, embed(method, ImageArray(X)).array)
    assert isinstance(opened, Run)
    with pytest.raises(RunError, match=r"there is no model in the folder .*vit, where \.\./run began"):
        workflow.evaluate_run("../run")
