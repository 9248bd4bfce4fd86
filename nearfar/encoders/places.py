"""Where pretrained models are."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["there"]


def there(name: str) -> str:
    """A model's name on the hub, or its folder.

    Raises:
        FileNotFoundError: it can only be a folder, and is not there; the hub is not asked for it.
        ValueError: it is a folder without a model, or with one that only code of its own could read.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if name.startswith(("/", "./", "../", "~")):
            raise FileNotFoundError(f"there is no model in the folder {name}")
        return name
    settings = folder / "config.json"
    if not settings.is_file():
        raise ValueError(f"the folder {name} holds no model of transformers: it has no config.json")
    try:
        said = json.loads(settings.read_text())
    except ValueError as error:
        raise ValueError(f"the model in {name} cannot be read: its config.json is damaged: {error}") from error
    if isinstance(said, dict) and "auto_map" in said:
        from transformers import CONFIG_MAPPING

        if said.get("model_type") not in CONFIG_MAPPING:
            raise ValueError(
                f"the model in {name} brings code of its own (auto_map in its config.json), which is never run; take "
                "one of an architecture that transformers has"
            )
    return name
