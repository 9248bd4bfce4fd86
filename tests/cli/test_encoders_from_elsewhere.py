"""Encoders by timm's and torchvision's names, from folders, runs and exports; a finished run needs none of them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from nearfar import workflow
from nearfar.cli import main
from nearfar.encoders import image_encoder
from nearfar.training import Training

WORDS = ["train", "simclr", "--preset", "laptop", "--batch-size", "4", "--size", "16", "--monitor-every", "-1"]
ONE = Training(steps=1, batch_size=4, monitor_every=-1)


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)


class Elsewhere(nn.Module):
    """A network of another library: a convolution, and a classifier deep inside."""

    num_features = 6
    pretrained_cfg: dict[str, Any] = {"architecture": "tiny", "mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)}  # noqa: RUF012

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 6, 3, 2)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(6, classes)) if classes else nn.Flatten()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3), keepdim=True))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Stand-ins for timm and torchvision, and what they were asked for: the name, and whether with weights."""
    calls: list[tuple[str, bool]] = []
    timm, vision, models = ModuleType("timm"), ModuleType("torchvision"), ModuleType("torchvision.models")

    def create_model(name: str, *, pretrained: bool, num_classes: int) -> nn.Module:
        calls.append((name, pretrained))
        if name != "tiny":
            raise RuntimeError(f"Unknown model ({name})")
        return Elsewhere(num_classes)

    def get_model(name: str, weights: str | None) -> nn.Module:
        calls.append((name, weights is not None))
        if name != "tiny":
            raise ValueError(f"Unknown model {name}")
        return Elsewhere(10)

    timm.create_model = create_model  # type: ignore[attr-defined]
    models.get_model = get_model  # type: ignore[attr-defined]
    for module in (timm, vision, models):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_run_by_a_librarys_name_asks_for_weights_once(library: str, asked: list[Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = {"encoder": f"{library}-pretrained:tiny"}
    method, _ = workflow.train("simclr", data=pictures(), out=run, arguments=arguments, training=ONE, progress=False)
    assert asked == [("tiny", True)]
    assert method.encoder.out_features == 6
    _, again, opened = workflow.load_run(run)
    assert asked[1:] == [("tiny", False)]
    assert again.config["encoder"] == opened.config["hyperparameters"]["encoder"] == f"{library}-pretrained:tiny"
    images = torch.from_numpy(pictures()).permute(0, 3, 1, 2)
    with method.frozen(), again.frozen():
        assert again.encode(images).equal(method.encode(images))
    if library == "timm":
        assert again.encoder.mean.flatten().tolist() == [0.5] * 3
    with pytest.raises(ValueError, match=f"{library} has no model 'x'"):
        image_encoder(f"{library}:x")


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_missing_library_is_named_with_its_extra(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (library, f"{library}.models"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    with pytest.raises(
        ImportError, match=rf"an encoder of {library} needs {library}: pip install 'nearfar\[{library}\]'"
    ):
        image_encoder(f"{library}:resnet18")


def test_both_towers_of_a_run_outlive_the_folders_they_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import BertConfig, BertModel, BertTokenizerFast, ViTConfig, ViTModel

    shape: Any = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "blue", "circle", "square"]
    BertTokenizerFast(vocab={word: row for row, word in enumerate(words)}).save_pretrained(tmp_path / "words")
    BertModel(BertConfig(vocab_size=len(words), **shape)).save_pretrained(tmp_path / "words")
    ViTModel(ViTConfig(image_size=16, patch_size=8, **shape)).save_pretrained(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    arguments = {"image_encoder": "hf:pictures", "text_encoder": "hf:words", "projection_dim": 8, "max_length": 8}
    method, _ = workflow.train(
        "clip", out="run", arguments=arguments, training=ONE, data_options={"size": 16, "examples": 40}, progress=False
    )
    for name in ("words", "pictures"):
        shutil.rmtree(tmp_path / name)
    shutil.move(tmp_path / "run", tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked"))
    _, again, _ = workflow.load_run(tmp_path / "moved")
    texts = ["a red circle", "a blue square"]
    with method.frozen(), again.frozen():
        assert again.encode(texts).equal(method.encode(texts))
        images = torch.from_numpy(pictures()).permute(0, 3, 1, 2)
        assert again.encode(images).equal(method.encode(images))


def test_a_run_begins_with_the_encoder_of_a_run_and_of_its_export(tmp_path: Path, capsys: Any) -> None:
    np.save(tmp_path / "pictures.npy", pictures())
    words = [*WORDS, "--data", str(tmp_path / "pictures.npy")]
    first, timm = tmp_path / "first", tmp_path / "timm"
    assert main([*words, "--encoder", "vit-nano", "--steps", "2", "--out", str(first)]) == 0
    assert main(["export", str(first), "--to", "timm", "-o", str(timm)]) == 0
    for number, folder in enumerate((first, timm)):
        out = tmp_path / f"on-{number}"
        lr = ["--optimization.lr", "1e-9", "--steps", "1"]  # so that what it began with is seen at its end
        assert main([*words, "--encoder", str(folder), *lr, "--out", str(out)]) == 0
        _, method, run = workflow.load_run(out)
        assert method.config["encoder"] == run.config["hyperparameters"]["encoder"] == "vit-nano"
        found, given = load_file(out / "encoder.safetensors"), load_file(first / "encoder.safetensors")
        assert all(torch.allclose(found[name], given[name], atol=1e-6) for name in given)
    shutil.rmtree(first)
    workflow.load_run(tmp_path / "on-0")
    (tmp_path / "empty").mkdir()
    capsys.readouterr()
    assert main([*words, "--encoder", str(tmp_path / "empty"), "--out", str(tmp_path / "x")]) == 2
    assert "is no run, no export and no model of transformers" in capsys.readouterr().err
    assert main([*words, "--encoder", str(timm), "--from", str(timm), "--out", str(tmp_path / "x")]) == 2
    assert "both have weights" in capsys.readouterr().err
