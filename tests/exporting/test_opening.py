"""``nearfar.load``: runs, every kind of export, other libraries' models and the Hub's copies give the same vectors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import nearfar
from nearfar import workflow
from nearfar.encoders import ImageEncoder
from nearfar.encoders.names import published
from nearfar.exporting import FORMATS, opening
from nearfar.exporting.opening import Opened
from nearfar.training import Training
from nearfar.training.door import Door
from tests.exporting.test_libraries import SIDE, door

SENTENCES = ["a red circle", "the blue square and a circle", ""]


def images(count: int = 5) -> Tensor:
    return torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tensor]:
    """A ResNet in every format, and its vectors of :func:`images`."""
    folder = tmp_path_factory.mktemp("exports")
    ours = door("resnet18")
    ours.module.mean.fill_(0.3)  # type: ignore[union-attr, operator]
    ours.says["mean"][:] = [0.3] * 3  # type: ignore[index]
    for to in ("torchvision", "timm", "transformers"):
        FORMATS[to](ours, folder / to, {"system": "simclr", "encoder": "resnet18"})
    with torch.no_grad():
        return folder, ours.module(images())


@pytest.mark.parametrize("to", ["torchvision", "timm", "transformers"])
def test_folders_of_libraries_are_opened_with_the_runs_vectors(to: str, resnet: tuple[Path, Tensor]) -> None:
    found = nearfar.load(resnet[0] / to)
    assert isinstance(found, Opened)
    assert found.inputs == ("images",)
    assert found.about["system"] == "simclr"
    close(found.encode(images()), resnet[1])
    step = nearfar.Representation.load(resnet[0] / to)
    close(torch.from_numpy(step.transform(images().numpy())), resnet[1])
    assert step.method == "simclr"


def test_a_folder_is_asked_once_what_it_is(resnet: tuple[Path, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    read = opening.read_whole

    def watched(path: Path, most: int) -> bytes:
        asked.append(path)
        return read(path, most)

    monkeypatch.setattr(opening, "read_whole", watched)
    nearfar.load(resnet[0] / "timm")
    assert [path.name for path in asked].count("config.json") == 1


@pytest.mark.parametrize("to", ["onnx", "torch-export"])
def test_graphs_are_opened_with_the_runs_vectors_and_code_only_where_it_is_trusted(to: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.ReLU())
    ours = Door(
        ImageEncoder(network, 4).eval(), {"images": images(2)}, {"images": {0: "images"}}, {"size": [SIDE, SIDE]}
    )
    FORMATS[to](ours, tmp_path / "out", {"system": "simclr"})
    if to == "torch-export":
        with pytest.raises(ValueError, match=r"runs what the file asks it to; where you trust its maker"):
            nearfar.load(tmp_path / "out")
    found = nearfar.load(tmp_path / "out", trusted=to == "torch-export")
    with torch.no_grad():
        close(found.encode(images()), ours.module(images()))
    with pytest.raises(TypeError, match="encode takes images, got 2 inputs"):
        found.encode(images(), images())


def test_a_vision_transformer_comes_back_by_its_name(tmp_path: Path) -> None:
    ours = door("vit-nano")
    for to in ("torchvision", "timm", "transformers"):
        FORMATS[to](ours, tmp_path / to, {"encoder": "vit-nano"})
        with torch.no_grad():
            close(nearfar.load(tmp_path / to).encode(images()), ours.module(images()))


def test_folders_of_timm_and_the_hubs_layout_are_opened(tmp_path: Path) -> None:
    """As ``timm.save_for_hf`` and ``snapshot_download`` leave them: links to blobs, one of several copies is main."""
    ours = door("resnet18")
    cache = tmp_path / "models--somebody--resnet"
    blobs, snapshot, old = cache / "blobs", cache / "snapshots" / "1234", cache / "snapshots" / "0123"
    for folder in (blobs, snapshot, old, cache / "refs"):
        folder.mkdir(parents=True)
    (cache / "refs" / "main").write_text("1234")
    weights = published(ours.module.backbone, "timm")  # type: ignore[arg-type]
    weights = {name: value.contiguous() for name, value in weights.items()}
    save_file({**weights, "fc.weight": torch.zeros(10, 512)}, blobs / "a")
    config = {"architecture": "resnet18.a1_in1k", "num_classes": 10}
    pixels = {"mean": ours.says["mean"], "std": ours.says["std"]}
    (blobs / "b").write_text(json.dumps({**config, "pretrained_cfg": pixels}))
    for name, blob in (("model.safetensors", "a"), ("config.json", "b")):
        os.symlink(f"../../blobs/{blob}", snapshot / name)
    for place in (cache, snapshot):
        with torch.no_grad():
            close(nearfar.load(place).encode(images()), ours.module(images()))
    (cache / "refs" / "main").unlink()
    with pytest.raises(ValueError, match="holds 2 snapshots and does not say which is main"):
        nearfar.load(cache)


def test_sentences_go_through_what_was_exported_of_them(tmp_path: Path) -> None:
    from nearfar.text.export import to_onnx, to_sentence_transformers
    from nearfar.text.methods import SimCSE
    from tests.text.test_export import bert

    torch.manual_seed(0)
    method = SimCSE(f"hf:{bert(tmp_path / 'bert')}", max_length=16).eval()
    to_sentence_transformers(method, tmp_path / "st")
    to_onnx(method, tmp_path / "onnx")
    hashed = SimCSE("tiny-bert").eval()
    to_onnx(hashed, tmp_path / "hashed")
    for folder, made in (("st", method), ("onnx", method), ("hashed", hashed)):
        found = nearfar.load(tmp_path / folder)
        assert isinstance(found, Opened)
        assert found.inputs == ("sentences",)
        with torch.no_grad():
            close(found.encode(SENTENCES), made.encode(SENTENCES))
    with pytest.raises(ValueError, match="does not say which system it is of"):
        nearfar.Representation.load(tmp_path / "st")


def test_pairs_of_towers_are_opened_as_methods(tmp_path: Path) -> None:
    from nearfar.multimodal.export import to_open_clip_folder, to_transformers
    from nearfar.multimodal.methods import CLIP
    from tests.multimodal.test_pretrained import made

    method = CLIP(encoder=f"hf:{made('clip', tmp_path / 'clip')}").eval()
    to_transformers(method, tmp_path / "back")
    to_open_clip_folder(method, tmp_path / "open")
    for folder in ("clip", "back", "open"):
        found = nearfar.load(tmp_path / folder)
        assert isinstance(found, CLIP)
        with torch.no_grad():
            close(found.encoder.embed_text(SENTENCES), method.encoder.embed_text(SENTENCES))
            close(found.encoder.embed_images(images()), method.encoder.embed_images(images()))


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("preprocessing.json", '{"format": "coreml"}', "says that this is a 'coreml', which is no format"),
        ("preprocessing.json", "{", "is damaged and cannot be read as JSON"),
        ("preprocessing.json", '{"format": "onnx"}', "is no ONNX model that onnxruntime opens"),
        ("preprocessing.json", '{"format": "torchvision"}', "does not say which network its weights are of"),
        (
            "preprocessing.json",
            '{"format": "torchvision", "encoder": "resnet18"}',
            "model.safetensors cannot be",
        ),
        ("config.json", '{"model_type": "no-such"}', "cannot be opened"),
        ("modules.json", "[]", "pools in a way that is not known here"),
    ],
)
def test_damaged_folders_are_named_in_a_sentence(name: str, said: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(said)
    with pytest.raises(ValueError, match=message):
        nearfar.load(tmp_path)


def test_a_finished_run_needs_neither_where_it_began_nor_where_it_was(tmp_path: Path) -> None:
    """Begun with a transformers folder by a relative name, which is deleted; the run is moved; another process, another
    working directory and no network."""
    from transformers import ConvNextConfig, ConvNextModel

    torch.manual_seed(0)
    work = tmp_path / "work"
    ConvNextModel(ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1])).save_pretrained(work / "model")
    before = Path.cwd()
    os.chdir(work)
    try:
        method, _ = workflow.train(
            "simclr", data=images(8).permute(0, 2, 3, 1).numpy(), out="run", arguments={"encoder": "hf:model"},
            training=Training(steps=1, batch_size=4), progress=False,
        )  # fmt: skip
    finally:
        os.chdir(before)
    with method.frozen():
        expected = method.encode(images()).numpy()
    shutil.move(work / "run", tmp_path / "moved")
    shutil.rmtree(work)
    np.save(tmp_path / "images.npy", images().numpy())
    code = "import numpy as np, torch, nearfar; x = torch.from_numpy(np.load('images.npy'));"
    code += "np.save('found.npy', nearfar.load('moved').encode(x).detach())"
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(nearfar.__file__).parent.parent)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), expected)
