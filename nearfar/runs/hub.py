"""``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` in the Hugging Face conventions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
from safetensors.torch import load_model, save_model

from nearfar.common.files import atomic_write

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"


class HubMixin(ModelHubMixin, library_name="nearfar", tags=["contrastive-learning", "self-supervised-learning"]):
    """Saves a method as ``config.json`` + ``model.safetensors`` + ``README.md``; never as a pickle."""

    config: dict[str, Any]
    measured: dict[str, Any] | None = None

    def _save_pretrained(self, save_directory: Path) -> None:
        from nearfar import __version__
        from nearfar.catalogue import slug_of

        config = {
            "nearfar_version": __version__,
            "method": slug_of(type(self)) or f"{type(self).__module__}:{type(self).__qualname__}",
            "hyperparameters": plain(self.config),
        }
        save_directory.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, WEIGHTS, CARD):
            if (save_directory / name).is_symlink():  # which would be written through
                (save_directory / name).unlink()
        with atomic_write(save_directory / CONFIG, "w") as file:
            file.write(json.dumps(config, indent=2) + "\n")
        save_model(self, str(save_directory / WEIGHTS))  # type: ignore[arg-type]

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The card of :func:`nearfar.runs.card.model_card`, with the run's measurements where it was evaluated."""
        from nearfar.catalogue import find, slug_of
        from nearfar.runs.card import model_card

        slug = slug_of(type(self))
        system = find(slug) if slug else None
        return ModelCard(model_card(system, type(self).__name__, plain(self.config), self.measured))

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, map_location: str = "cpu", strict: bool = True, **kwargs: Any
    ) -> HubMixin:
        names = ("revision", "cache_dir", "force_download", "local_files_only", "token")
        hub: Any = {name: kwargs[name] for name in names if kwargs.get(name) is not None}

        def locate(name: str) -> Path:
            local = Path(model_id) / name
            return local if local.is_file() else Path(hf_hub_download(model_id, name, **hub))

        description = json.loads(locate(CONFIG).read_text())
        method = build(cls, description["method"], description["hyperparameters"])
        load_model(method, str(locate(WEIGHTS)), strict=strict, device=map_location)
        method.eval()
        return method


def build(expected: type, name: str, hyperparameters: Mapping[str, Any]) -> Any:
    """Construct the method that a saved description names. Only catalogued methods, or the class asked for."""
    from nearfar.catalogue import find, slug_of

    own = f"{expected.__module__}:{expected.__qualname__}"
    if name == own or name == slug_of(expected):
        cls = expected
    else:
        cls = find(name).load()
    if not issubclass(cls, expected):
        raise TypeError(f"the saved method is {name!r} ({cls.__name__}), which is no {expected.__name__}")
    from nearfar.runs.configure import construct

    return construct(cls, hyperparameters)


def plain(value: Any) -> Any:
    """Constructor arguments as JSON and YAML can hold them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(
        f"a {type(value).__name__} cannot be written to a configuration file. Methods built with a module of your "
        "own can be trained and used; to save them, give the encoder by name or save its state_dict yourself."
    )
