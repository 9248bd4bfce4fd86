"""Beginning a run with weights that exist: those of another run, or of a file."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nearfar.encoders.names import from_published
from nearfar.runs.run import Run, RunError
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
    if isinstance(backbone, nn.Module) and "conv1.weight" in found:  # as torchvision and timm call them
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
