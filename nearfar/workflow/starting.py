"""Beginning a run with weights that exist: those of another run, or of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nearfar.common.files import read_whole
from nearfar.encoders import IMAGE_ENCODERS, TEXT_ENCODERS
from nearfar.encoders.names import from_published
from nearfar.runs.architecture import own_architecture
from nearfar.runs.run import MOST_JSON, Run, RunError
from nearfar.training import Method


def begin_with(method: Method, start: Path | str) -> None:
    """Load weights into a method before it trains.

    The schedule of the rate is that of a new run: what decayed to 0 in the other rises again.

    Args:
        method: with its initial weights.
        start: the folder of a finished run (of this method or of another with the same encoder), or a ``.safetensors``
            file with the weights of an encoder, which for a ResNet may be torchvision's or timm's.

    Raises:
        RunError: there is nothing of the kind. ValueError: weights that do not fit, by name.
    """
    start = Path(start)
    if start.is_dir():
        run = Run.open(start)
        if not run.complete:
            raise RunError(f"{start} is not complete; continue it with `nearfar resume {start}` first")
        if run.kept_path.is_file() and run.config["method"] == _slug(method):
            return _load(method.kept(), run.kept_path)
        if not run.encoder_path.is_file():
            raise RunError(f"{start} keeps no encoder that another method could begin with")
        return _load(_encoder(method), run.encoder_path)
    if not start.is_file():
        raise RunError(f"there is no run and no file {start} to begin with")
    if start.suffix != ".safetensors":
        raise RunError(f"{start} is no .safetensors file; other formats can hold code, and are not read")
    return _load(_encoder(method), start)


def from_folder(arguments: Mapping[str, Any], start: Path | str | None) -> tuple[dict[str, Any], Path | str | None]:
    """``--encoder FOLDER``: the arguments with the name of the encoder that a folder holds, and where its weights are.

    A folder is a finished run, an export of one, or a model of transformers or open_clip.

    Raises:
        ValueError: it holds no encoder; or there is something else to begin with too. RunError: a run is not finished.
    """
    named = arguments.get("encoder")
    if not isinstance(named, str) or named in (*IMAGE_ENCODERS, *TEXT_ENCODERS) or not Path(named).is_dir():
        return dict(arguments), start
    folder = Path(named)
    if (folder / "config.yaml").is_file():
        run = Run.open(folder)
        if not run.encoder_path.is_file():
            raise RunError(f"{folder} keeps no encoder, or is not finished (`nearfar resume {folder}`)")
        own = own_architecture(run, run.config.get("hyperparameters", {})).get("encoder")
        found, weights = own, run.encoder_path
    else:
        found, weights = _exported(folder), folder / "model.safetensors"
    if not isinstance(found, str):
        raise ValueError(f"{folder} is no run, no export and no model of transformers, so it holds no encoder")
    if found.startswith(("hf:", "open-clip:")):
        return {**arguments, "encoder": found}, start
    if start is not None:
        raise ValueError(f"--from {start} and --encoder {folder} both have weights; give --encoder the name {found}")
    return {**arguments, "encoder": found}, weights


def _exported(folder: Path) -> str | None:
    """The name of the encoder that an export of ours holds, or of the model of transformers."""
    if (folder / "open_clip_config.json").is_file():
        return f"open-clip:{folder}"
    for name in ("preprocessing.json", "config.json"):
        if not (folder / name).is_file():
            continue
        try:
            said = json.loads(read_whole(folder / name, MOST_JSON))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{folder / name} is damaged and cannot be read as JSON ({error})") from error
        if name == "config.json" and isinstance(said, dict) and "model_type" in said:
            return f"hf:{folder}"
        if name == "preprocessing.json" and isinstance(said, dict) and said.get("format") in ("torchvision", "timm"):
            return str(said["encoder"]) if said.get("encoder") else None
    return None


def _slug(method: Method) -> str | None:
    from nearfar.catalogue import slug_of

    return slug_of(type(method))


def _encoder(method: Method) -> nn.Module:
    encoder = getattr(method, "encoder", None)
    if not isinstance(encoder, nn.Module):
        raise ValueError(f"{type(method).__name__} has no encoder to begin with the weights of another")
    return encoder


def _load(module: nn.Module, path: Path) -> None:
    """All weights of a file, which must be those of the module."""
    try:
        found = load_file(str(path))
    except SafetensorError as error:
        raise RunError(f"{path} holds no weights: {error}") from error
    backbone = getattr(module, "backbone", None)
    if isinstance(backbone, nn.Module) and not any(name.startswith("backbone.") for name in found):
        found = {f"backbone.{name}": value for name, value in from_published(backbone, found).items()}
    mine: dict[str, Tensor] = module.state_dict()
    other = [n for n in found if n not in mine or mine[n].shape != found[n].shape]
    # Tensors that a module shares under two names are in a file once.
    held = {mine[n].data_ptr() for n in found if n in mine}
    missing = [n for n, value in mine.items() if n not in found and value.data_ptr() not in held]
    if other or missing:
        named = [*(f"{n} is not here, or of another shape" for n in other), *(f"{n} is missing" for n in missing)]
        raise ValueError(
            f"{path} holds the weights of another network: {'; '.join(named[:3])}"
            f"{f' and {len(named) - 3} more' if len(named) > 3 else ''}. Train with the encoder that made them"
        )
    module.load_state_dict(found, strict=False)
