"""Exports, and models that other libraries keep, opened again: raw data in, vectors out, as of a method.

A folder is known by what it says of itself: ``preprocessing.json`` (ours), or ``config.json`` (transformers, timm).
None of its lines is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nearfar.common.extras import needed
from nearfar.common.files import read_whole
from nearfar.encoders import IMAGE_ENCODERS, ImageEncoder, TextEncoder, image_encoder
from nearfar.encoders.causal import without_bars
from nearfar.encoders.names import from_published
from nearfar.encoders.tokens import PretrainedTokenizer
from nearfar.exporting.graphs import PREPROCESSING

__all__ = ["OnnxSession", "Opened", "opened", "said_in"]

MOST = 1 << 24
WEIGHTS = "model.safetensors"
TOKENS = 128
"""Of a sentence that a text model of transformers is given, where its folder says nothing."""


class Opened(nn.Module):
    """What was exported, or a model of another library, with the call of a method: ``encode``.

    Args:
        module: raw inputs to vectors (N, D).
        about: what its folder says of it; ``preprocessing.json`` of an export.

    Attributes:
        inputs: names of what :meth:`encode` is given: ``images`` (N, 3, H, W) uint8 or in [0, 1], ``sentences`` (a list
            of strings), or whatever ``preprocessing.json`` lists.
    """

    def __init__(self, module: nn.Module, about: Mapping[str, Any], inputs: tuple[str, ...] = ("images",)) -> None:
        super().__init__()
        # Exported graphs are always in evaluation mode, and refuse to be told so.
        self._module = [module]
        self.about, self.inputs = dict(about), inputs

    @property
    def encoder(self) -> nn.Module:
        """The module from raw inputs to vectors."""
        return self._module[0]

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """As of a method: no gradients."""
        with torch.no_grad():
            yield

    def encode(self, *inputs: Any) -> Tensor:
        """Vectors (N, D), float32, of raw inputs in the order of :attr:`inputs`.

        Raises:
            TypeError: another number of inputs.
        """
        if len(inputs) != len(self.inputs):
            raise TypeError(f"encode takes {', '.join(self.inputs)}, got {len(inputs)} inputs")
        pictures = getattr(inputs[0], "pictures", inputs[0])
        given = (getattr(pictures, "images", pictures), *inputs[1:])
        with torch.no_grad():
            return self.encoder(*given).float()

    forward = encode


class OnnxSession(nn.Module):
    """``model.onnx`` of a folder behind the call of a module."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        runtime = needed("onnxruntime", "onnx", "opening an ONNX export")
        try:
            self.session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for every state, none of them public
            raise ValueError(f"{path} is no ONNX model that onnxruntime opens: {_first(error)}") from error
        self.inputs = tuple(each.name for each in self.session.get_inputs())

    def forward(self, *inputs: Tensor) -> Tensor:
        given = {name: torch.as_tensor(value).numpy() for name, value in zip(self.inputs, inputs, strict=True)}
        return torch.from_numpy(self.session.run(None, given)[0])


def opened(folder: Path, config: dict[str, Any], *, trusted: bool = False) -> Opened | None:
    """The model in a folder; ``None`` where nothing in it says what it is.

    Args:
        config: what the folder's ``config.json`` says; empty where there is none.
        trusted: open ``model.pt2`` too, whose reader in torch runs what a file asks it to.

    Raises:
        ValueError: it is damaged, its network is none that can be built here, or it is a ``.pt2`` and not trusted.
        ImportError: a package is missing; the message names the extra.
    """
    about = said_in(folder, PREPROCESSING)
    if "format" in about:
        return _export(folder, about, config, trusted)
    if "architecture" in config:
        pixels = config.get("pretrained_cfg") or config
        name = str(config["architecture"]).partition(".")[0]  # resnet50.a1_in1k: which weights it had
        return Opened(_with_pixels(_network(folder, name, config), pixels), config)
    if "model_type" in config:
        return _of_transformers(folder, config)
    return None


def said_in(folder: Path, name: str) -> dict[str, Any]:
    """What a JSON file of a folder says; nothing where there is none.

    Raises:
        ValueError: it cannot be read.
    """
    if not (folder / name).is_file():
        return {}
    try:
        said = json.loads(read_whole(folder / name, MOST))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder / name} is damaged and cannot be read as JSON ({error})") from error
    return said if isinstance(said, dict) else {}


def _export(folder: Path, about: dict[str, Any], config: dict[str, Any], trusted: bool) -> Opened:
    kind, said = about["format"], about.get("preprocessing") or {}
    if kind == "onnx":
        session = OnnxSession(folder / "model.onnx")
        return Opened(session, about, session.inputs)
    if kind == "torch-export":
        if not trusted:
            raise ValueError(
                f"{folder / 'model.pt2'} is of a kind whose reader in torch runs what the file asks it to; where you "
                "trust its maker, nearfar.load(folder, trusted=True) opens it"
            )
        with _damaged(folder / "model.pt2"):
            program = torch.export.load(folder / "model.pt2")
        return Opened(program.module(), about, tuple(about.get("inputs") or ("images",)))
    if kind == "transformers":
        with _damaged(folder), without_bars():
            return Opened(_with_pixels(image_encoder(f"hf:{folder}"), said), about)
    if kind in ("torchvision", "timm"):
        name = about.get("encoder") or config.get("architecture") or ""
        return Opened(_with_pixels(_network(folder, str(name), config), said), about)
    raise ValueError(f"{folder / PREPROCESSING} says that this is a {kind!r}, which is no format that is opened here")


def _network(folder: Path, name: str, config: Mapping[str, Any]) -> ImageEncoder:
    """The network of a name with the weights of a folder: ours where it is one, otherwise the library's.

    Raises:
        ValueError: there is none of that name, or it has other weights. ImportError: the library is not there.
    """
    if name not in IMAGE_ENCODERS and "architecture" in config:
        timm = needed("timm", "timm", f"opening timm's {config['architecture']}")
        with _damaged(folder):
            return ImageEncoder(timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0))
    if not name:
        raise ValueError(f"{folder} does not say which network its weights are of")
    found = image_encoder(name.replace("torchvision-pretrained:", "torchvision:"))
    with _damaged(folder / WEIGHTS):
        found.backbone.load_state_dict(from_published(found.backbone, load_file(str(folder / WEIGHTS))))
    return found


def _of_transformers(folder: Path, config: dict[str, Any]) -> Opened:
    """A picture or text model: which of them is decided by what the model takes."""
    with _damaged(folder), without_bars():
        found = image_encoder(f"hf:{folder}")
        backbone: Any = found.backbone
        if backbone.main_input_name == "pixel_values":
            pixels = said_in(folder, "preprocessor_config.json")
            said = {"mean": pixels.get("image_mean"), "std": pixels.get("image_std")}
            return Opened(_with_pixels(found, said), config)
        if backbone.main_input_name != "input_ids":
            raise ValueError(f"a {config['model_type']} is given {backbone.main_input_name}, neither pixels nor words")
        words = PretrainedTokenizer(str(folder), TOKENS)
    return Opened(TextEncoder(backbone, words, "avg").eval(), config, ("sentences",))


def _with_pixels(found: ImageEncoder, said: Mapping[str, Any]) -> ImageEncoder:
    """With the statistics of pixels that a folder says, in evaluation mode."""
    if said.get("mean") and said.get("std"):
        found = ImageEncoder(found.backbone, found.out_features, mean=said["mean"], std=said["std"])
    return found.eval()


@contextmanager
def _damaged(place: Path) -> Iterator[None]:
    """Whatever readers raise, in one sentence."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        raise ValueError(f"{place} cannot be opened: {_first(error)}") from error


def _first(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:300]
