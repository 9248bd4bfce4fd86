"""Small conversions between CARLA's objects and plain data, for :mod:`nearfar.segmentation.recorder.simulator`."""

from __future__ import annotations

import re
from typing import Any

from nearfar.segmentation.recorder.config import POSE


def client_module() -> Any:
    """CARLA's Python client. Raises ImportError, naming the extra, when it is not installed."""
    try:
        import carla
    except ImportError as error:
        raise ImportError(
            "recording needs CARLA's Python client, which is not installed: pip install 'nearfar[carla]', in the "
            "version of your server"
        ) from error
    return carla


def three_numbers(version: str) -> str:
    """``0.9.15`` of a version such as ``0.9.15-17-gabc``."""
    found = re.match(r"\d+\.\d+\.\d+", version)
    if not found:
        raise ConnectionError(f"the server calls its version {version!r}; expected one such as 0.9.15")
    return found[0]


def described(actor: Any) -> dict[str, Any]:
    """What it takes to spawn an actor again."""
    attributes = {str(name): str(value) for name, value in sorted(dict(actor.attributes).items())}
    return {"type_id": actor.type_id, "attributes": attributes, "transform": pose(actor.get_transform())}


def pose(transform: Any) -> dict[str, float]:
    """A transform in plain numbers: metres and degrees, to a tenth of a millimetre."""
    parts = (transform.location, transform.rotation)
    return {name: round(float(getattr(parts[name not in "xyz"], name)), 4) for name in POSE}


def attribute(blueprint: Any, name: str) -> str | None:
    """The value of a blueprint's attribute; None when it has none of that name."""
    return blueprint.get_attribute(name).as_str() if blueprint.has_attribute(name) else None
