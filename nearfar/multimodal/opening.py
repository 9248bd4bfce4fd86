"""A CLIP or SigLIP of transformers or open_clip, opened as a method."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nearfar.multimodal.methods import CLIP, SigLIP
from nearfar.multimodal.open_clip import CONFIG
from nearfar.training import Method

__all__ = ["opened"]


def opened(folder: Path, config: Mapping[str, Any]) -> Method | None:
    """``CLIP`` or ``SigLIP`` with both towers, the temperature and the words of a folder; ``None`` for other folders.

    Args:
        config: what the folder's ``config.json`` says; empty where there is none.

    Raises:
        ValueError: it is damaged.
    """
    if (folder / CONFIG).is_file():
        return CLIP(encoder=f"open-clip:{folder}").eval()
    kind = config.get("model_type")
    if kind == "clip":
        return CLIP(encoder=f"hf:{folder}").eval()
    if kind == "siglip":
        return SigLIP(encoder=f"hf:{folder}").eval()
    return None
