"""What a run needs of the pretrained models that it began with: their architectures and words, not their weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from nearfar.runs.run import Run, RunError

__all__ = ["keep_architecture", "own_architecture", "placed_model"]

PRETRAINED = ("hf:", "open-clip:")
UNTRAINED = {"timm-pretrained:": "timm:", "torchvision-pretrained:": "torchvision:"}
"""Names of architectures with weights from elsewhere, and what names the architecture alone."""


def placed_model(encoder: Any) -> Any:
    """The name of an encoder, a model's folder in it in full, so that any working folder will do later."""
    if isinstance(encoder, str) and encoder.startswith(PRETRAINED):
        kind, _, name = encoder.partition(":")
        return f"{kind}:{Path(name).resolve()}" if Path(name).is_dir() else encoder
    return encoder


def keep_architecture(method: Any, run: Run) -> None:
    """Keep the configurations, and the tokenizers, of transformers models that encoders are, in ``architecture/``.

    A finished run then needs neither the model's folder nor the hub: the weights are its own.
    """
    for name, source in _pretrained(getattr(method, "config", {})):
        model, words = _found(method, name, source)
        if model is None:
            continue
        folder = _place(run, name)
        for place in (run.path / "architecture", folder):
            if place.is_symlink() or (place.is_dir() and any(p.is_symlink() for p in place.iterdir())):
                raise RunError(
                    f"{place} holds or is a link, and nothing is written outside of a run's folder; remove it"
                )
        model.config.save_pretrained(folder)
        if words is not None:
            words.save_pretrained(folder)


def own_architecture(run: Run, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor's arguments with the run's own copies of architectures, where it has them, for the models'."""
    found = dict(hyperparameters)
    for name, _ in _pretrained(hyperparameters):
        folder = _place(run, name)
        if (folder / "config.json").is_file():
            found[name] = f"hf-config:{folder}"
    for name, value in hyperparameters.items():
        for given, alone in UNTRAINED.items():
            if isinstance(value, str) and value.startswith(given):
                found[name] = alone + value.removeprefix(given)
    return found


def _pretrained(arguments: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Arguments that name an encoder of transformers with its weights, and where that is."""
    for name, value in arguments.items():
        if name.endswith("encoder") and isinstance(value, str) and value.startswith(PRETRAINED):
            yield name, value.partition(":")[2]


def _place(run: Run, name: str) -> Path:
    return run.path / "architecture" / ("" if name == "encoder" else name)


def _found(method: Any, name: str, source: str) -> tuple[Any, Any]:
    """The model that was read from ``source``, and its tokenizer; what there is of each."""
    from transformers import PreTrainedModel

    where = getattr(method, name, None) if name == "encoder" else method
    if not isinstance(where, nn.Module):
        return None, None
    models = [module for module in where.modules() if isinstance(module, PreTrainedModel)]
    words: list[Any] = [module.tokenizer for module in where.modules() if hasattr(module, "tokenizer")]
    words = [each for each in (getattr(w, "tokenizer", w) for w in words) if hasattr(each, "save_pretrained")]
    if name != "encoder":  # several encoders: each by where it came from
        models = [model for model in models if model.name_or_path == source]
        words = [each for each in words if getattr(each, "name_or_path", None) == source]
    return next(iter(models), None), next(iter(words), None)
