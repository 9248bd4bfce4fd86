"""The model that a policy must not leave: a frozen copy, the model under the adapter, or numbers computed once."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from nearfar.common.files import atomic_write, cache_folder
from nearfar.preference.policy import Policy
from nearfar.sources.fingerprint import digest_of


class Known(nn.Module):
    """Log-probabilities under the reference by row of the training data, (rows, replies); none before they are known.

    They are part of a checkpoint, whatever their number.
    """

    logps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("logps", torch.zeros(0))

    def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
        if f"{prefix}logps" in state:
            self.logps = torch.empty_like(state[f"{prefix}logps"])
        super()._load_from_state_dict(state, prefix, *rest)


def fingerprint_of(policy: Policy, *rest: Any) -> str:
    """Sixteen characters that tell a model's weights, its tokenizer and whatever else counts from others."""
    found = hashlib.sha256()
    for name, value in policy.model.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    words = getattr(policy.tokenizer, "backend_tokenizer", None)
    return digest_of(found.hexdigest(), words.to_str() if words is not None else policy.tokenizer.get_vocab(), *rest)


def read_known(key: str) -> Tensor | None:
    """Log-probabilities that an earlier run kept under this fingerprint in the user's cache folder."""
    folder = cache_folder()
    path = None if folder is None else folder / f"reference-{key}.safetensors"
    if path is None or not path.is_file():
        return None
    try:
        return load_file(path)["logps"]
    except (SafetensorError, OSError, KeyError):
        return None  # damaged: computed anew


def keep_known(key: str, logps: Tensor) -> None:
    """Keep log-probabilities for later runs, where there is a place."""
    folder = cache_folder()
    if folder is None:
        return
    try:
        with atomic_write(folder / f"reference-{key}.safetensors") as file:
            file.write(save({"logps": logps.cpu().contiguous()}))
    except OSError:
        return  # the disk is full or read-only: the next run computes them again
