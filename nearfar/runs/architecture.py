"""What a run needs of the pretrained model that it began with: its architecture and its words, not its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from nearfar.runs.run import Run, RunError

__all__ = ["keep_architecture", "own_architecture", "placed_model"]

PRETRAINED = "hf:"


def placed_model(encoder: Any) -> Any:
    """The name of an encoder, a model's folder in it in full, so that any working folder will do later."""
    if isinstance(encoder, str) and encoder.startswith(PRETRAINED) and Path(encoder[3:]).is_dir():
        return f"{PRETRAINED}{Path(encoder[3:]).resolve()}"
    return encoder


def keep_architecture(method: Any, run: Run) -> None:
    """Keep the configuration, and the tokenizer, of a transformers model that the encoder is, in ``architecture/``.

    A finished run then needs neither the model's folder nor the hub: the weights are its own.
    """
    encoder = getattr(method, "encoder", None)
    named = getattr(method, "config", {}).get("encoder")
    if not isinstance(encoder, nn.Module) or not (isinstance(named, str) and named.startswith(PRETRAINED)):
        return
    from transformers import PreTrainedModel

    model = next((m for m in encoder.modules() if isinstance(m, PreTrainedModel)), None)
    if model is None:
        return
    folder = run.path / "architecture"
    if folder.is_symlink() or (folder.is_dir() and any(p.is_symlink() for p in folder.iterdir())):
        raise RunError(f"{folder} holds or is a link, and nothing is written outside of a run's folder; remove it")
    model.config.save_pretrained(folder)
    words: Any = next((m.tokenizer for m in encoder.modules() if hasattr(m, "tokenizer")), None)
    words = getattr(words, "tokenizer", words)
    if hasattr(words, "save_pretrained"):
        words.save_pretrained(folder)


def own_architecture(run: Run, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor's arguments with the run's own copy of the architecture, where it has one, for the model's."""
    named = hyperparameters.get("encoder")
    folder = run.path / "architecture"
    if isinstance(named, str) and named.startswith(PRETRAINED) and (folder / "config.json").is_file():
        return {**hyperparameters, "encoder": f"hf-config:{folder}"}
    return dict(hyperparameters)
