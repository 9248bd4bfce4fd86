"""Where pretrained models are."""

from __future__ import annotations

from pathlib import Path

__all__ = ["there"]


def there(name: str) -> str:
    """A model's name on the hub, or its folder.

    Raises:
        FileNotFoundError: it can only be a folder, and is not there; the hub is not asked for it.
    """
    if name.startswith(("/", "./", "../", "~")) and not Path(name).expanduser().is_dir():
        raise FileNotFoundError(f"there is no model in the folder {name}")
    return name
