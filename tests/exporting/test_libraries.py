"""Folders for torchvision, timm and transformers: their names, the same vectors, and what does not go there.

The libraries themselves open them in ``make test-exports``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nearfar import workflow
from nearfar.cli import main
from nearfar.encoders import ImageEncoder, ResNet, image_encoder
from nearfar.encoders.names import published, published_name
from nearfar.exporting import FORMATS, kept
from nearfar.training.door import Door, picture_door
from nearfar.vision.methods import SimCLR

SIDE = 32


def door(encoder: str | nn.Module) -> Door:
    torch.manual_seed(0)
    method = SimCLR(encoder)
    images = torch.randint(0, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8)
    with torch.no_grad():
        for parameter in method.encoder.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
        method.encoder(images)  # statistics that are not 0 and 1
        method.eval()
        return picture_door(method, images)


def by_names(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """ResNet-18 as torchvision describes it, from nothing but its names."""

    def norm(x: Tensor, name: str) -> Tensor:
        parts = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return nn.functional.batch_norm(x, *parts)

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        return nn.functional.conv2d(x, w[f"{name}.weight"], stride=stride, padding=w[f"{name}.weight"].shape[-1] // 2)

    x = nn.functional.max_pool2d(norm(conv(x, "conv1", 2), "bn1").relu(), 3, 2, 1)
    for layer in range(1, 5):
        for block in range(2):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            around = x
            if f"{name}.downsample.0.weight" in w:
                around = norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
            x = norm(conv(x, f"{name}.conv1", stride), f"{name}.bn1").relu()
            x = (norm(conv(x, f"{name}.conv2"), f"{name}.bn2") + around).relu()
    return x.mean((2, 3))


def test_a_resnet_goes_to_torchvision_and_timm_by_their_names_and_comes_back(tmp_path: Path) -> None:
    ours = door("resnet18")
    for to in ("torchvision", "timm"):
        FORMATS[to](ours, tmp_path / to, {"system": "simclr"})
        weights = load_file(tmp_path / to / "model.safetensors")
        assert len(weights) == 120
        said = json.loads((tmp_path / to / "preprocessing.json").read_text())["preprocessing"]
        mean, std = (torch.tensor(said[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
        with torch.no_grad():
            found = by_names(weights, (ours.inputs["images"] / 255 - mean) / std)
        torch.testing.assert_close(found, ours.vectors(), rtol=1e-4, atol=1e-4)
    config = json.loads((tmp_path / "timm" / "config.json").read_text())
    assert config["architecture"] == "resnet18"
    assert config["pretrained_cfg"]["input_size"] == [3, SIDE, SIDE]
    fresh = SimCLR("resnet18")
    save_file({**weights, "fc.weight": torch.zeros(10, 512)}, tmp_path / "theirs.safetensors")
    workflow.starting.begin_with(fresh, tmp_path / "theirs.safetensors")
    with fresh.frozen():
        torch.testing.assert_close(fresh.encode(ours.inputs["images"]), ours.vectors())


@pytest.mark.parametrize("encoder", ["resnet18", "vit-nano"])
def test_transformers_opens_it_with_the_same_vectors(encoder: str, tmp_path: Path) -> None:
    from transformers import AutoModel

    ours = door(encoder)
    FORMATS["transformers"](ours, tmp_path / "out", {})
    about = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    images = ours.inputs["images"]
    assert isinstance(ours.module, ImageEncoder)
    model = AutoModel.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        found = model(pixel_values=ours.module.standardized(images))
    vectors = found.last_hidden_state[:, 0] if "last_hidden_state" in about["open"][-1] else found.pooler_output
    torch.testing.assert_close(vectors.flatten(1), ours.vectors(), rtol=1e-4, atol=1e-4)
    # It is a place to start from, without the layer that transformers adds with random weights.
    again = image_encoder(f"hf:{tmp_path / 'out'}").eval()
    with torch.no_grad():
        torch.testing.assert_close(again(images), ours.vectors(), rtol=1e-4, atol=1e-4)


def test_a_transformer_takes_its_positions_along(tmp_path: Path) -> None:
    ours = door("vit-nano")
    FORMATS["timm"](ours, tmp_path / "timm", {})
    FORMATS["torchvision"](ours, tmp_path / "torchvision", {})
    timm, torchvision = (load_file(tmp_path / to / "model.safetensors") for to in ("timm", "torchvision"))
    assert timm["pos_embed"].shape == torchvision["encoder.pos_embedding"].shape == (1, 1 + 16, 64)
    assert not timm["pos_embed"][0, 0].any()
    assert timm["blocks.1.attn.qkv.weight"].equal(
        torchvision["encoder.layers.encoder_layer_1.self_attention.in_proj_weight"]
    )
    arguments = json.loads((tmp_path / "timm" / "config.json").read_text())["model_args"]
    assert (arguments["img_size"], arguments["patch_size"], arguments["depth"], arguments["num_heads"]) == (32, 8, 2, 4)


def test_what_a_library_does_not_have_is_said(tmp_path: Path) -> None:
    for encoder, to, message in (
        ("small-conv", "timm", "timm has no network like a SmallConvNet"),
        ("resnet18-cifar", "timm", "the stem for small pictures"),
        ("resnet18-gn", "transformers", "has no ResNet with this stem or norm"),
    ):
        with pytest.raises(ValueError, match=message):
            FORMATS[to](door(encoder), tmp_path / "out", {})
    with pytest.raises(ValueError, match="no ResNet 2 times as wide"):
        FORMATS["torchvision"](door(ResNet(18, width=2)), tmp_path / "out", {})
    with pytest.raises(ValueError, match="is no network of torchvision's"):
        published_name(nn.Linear(2, 2), "weight", "torchvision")
    with pytest.raises(ValueError, match="size is needed"):
        published(image_encoder("vit-nano").backbone, "timm")
    assert not [*tmp_path.iterdir()]


def test_nothing_is_kept_that_says_something_else(tmp_path: Path) -> None:
    one = np.ones((2, 3))
    with pytest.raises(ValueError, match="what was read back gives other vectors"):
        kept(tmp_path / "out", lambda: one, lambda place: None, lambda place: one + 1e-3)
    with pytest.raises(ValueError, match="what was read back gives other vectors"):
        kept(tmp_path / "out", lambda: one, lambda place: None, lambda place: np.full((2, 3), np.nan))
    assert not [*tmp_path.iterdir()]
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="choose another name"):
        kept(tmp_path / "there", lambda: one, lambda place: None, lambda place: one)


def test_a_run_is_written_by_command_without_its_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    np.save(tmp_path / "pictures.npy", pictures)
    run = tmp_path / "run"
    words = ["train", "simclr", "--preset", "laptop", "--encoder", "vit-nano", "--steps", "1", "--batch_size", "4"]
    assert main([*words, "--data", str(tmp_path / "pictures.npy"), "--out", str(run)]) == 0
    (tmp_path / "pictures.npy").unlink()
    assert main(["export", str(run), "--to", "timm"]) == 2
    assert "name their place with --data" in capsys.readouterr().err
    assert main(["export", str(run), "--to", "timm", "--size", "32"]) == 0
    shown = capsys.readouterr()
    assert shown.out.split() == [str(tmp_path / "run-timm")]
    assert "timm.create_model" in shown.err
    assert main(["export", str(run), "--to", "timm", "--size", "32"]) == 2
    assert "exists and is not an empty folder" in capsys.readouterr().err
    assert main(["export", str(run), "--to", "tim"]) == 2
    assert "--to takes onnx, torch-export, torchvision, timm, transformers" in capsys.readouterr().err
