"""Diffusion models by name, folder or as objects."""

from __future__ import annotations

from pathlib import Path

from nearfar.generation.base import HUB, UNWANTED, WANTED, Base, read_base
from nearfar.generation.made_bases import PREFIX, made_base


def open_base(base: str | Path | Base) -> Base:
    """A diffusion model by name, folder or as an object.

    Args:
        base: a folder of diffusers, ``hf:<model>`` from the hub, a made one (``made:sprites``, ``made:digits``), or a
            :class:`nearfar.generation.base.Base`.

    Raises:
        ValueError: no such model, or parts of kinds that are not read. ImportError: diffusers is not installed.
    """
    if isinstance(base, Base):
        return base
    name = str(base)
    if name.startswith(PREFIX):
        return made_base(name)
    if name.startswith(HUB):
        from huggingface_hub import snapshot_download

        found = snapshot_download(name.removeprefix(HUB), allow_patterns=WANTED, ignore_patterns=UNWANTED)
        return read_base(Path(found))
    return read_base(Path(name).expanduser())
