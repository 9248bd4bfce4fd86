"""Any folder of a trained system, opened: a run, a saved method, an export, another library's model, the Hub's copy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from nearfar import catalogue
from nearfar.catalogue import find
from nearfar.exporting.opening import Opened, opened, said_in
from nearfar.runs.hub import CONFIG
from nearfar.system import Entry, imported
from nearfar.training import Method
from nearfar.workflow.running import load_run

__all__ = ["Found", "load", "open_folder"]

FROM_THE_HUB = ["*.json", "*.safetensors", "*.onnx", "*.txt", "*.model"]
"""What is fetched of a name on the Hub: nothing that could hold code."""


class Found(NamedTuple):
    """What a folder holds.

    Attributes:
        model: a method, or an export or model of another library.
        entry: its system, where that is known.
        arguments: its hyper-parameters.
        options: how its data were read.
    """

    model: Method | Opened
    entry: Entry | None
    arguments: dict[str, Any]
    options: dict[str, Any]


def load(path: Path | str, *, trusted: bool = False) -> Method | Opened:
    """The trained system of a folder, ready for its verbs: ``nearfar.load("runs/relic").encode(batch)``.

    ====================================================  ==========================================================
    finished runs, and what ``save_pretrained`` wrote      the method
    exports (onnx, torchvision, timm, transformers, ...)   an ``Opened``, whose ``encode`` is given raw pictures,
                                                           sentences or what ``preprocessing.json`` lists, and gives
                                                           the run's vectors
    folders of transformers, timm, sentence-transformers   the same; of sentences the mean of tokens, where nothing
                                                           else is said
    a CLIP or SigLIP of transformers or open_clip          ``CLIP`` or ``SigLIP`` with its towers
    ====================================================  ==========================================================

    ``path`` may be such a folder, the Hub's local copy of one (``models--owner--name``, or a snapshot in it), or a
    name on the Hub (``owner/model``). Nothing of a folder is run, whoever wrote it; see ``docs/robustness.md``. For
    arrays in and arrays out take ``Representation.load``.

    Args:
        trusted: open exports ``--to torch-export`` too, whose reader in torch runs what a file asks it to.

    Raises:
        FileNotFoundError: there is no such folder. ValueError: it holds nothing of the kind, or is damaged. RunError:
            the run is not finished. ImportError: a package is missing; the message names the extra.
    """
    return open_folder(path, trusted=trusted).model


def open_folder(path: Path | str, *, trusted: bool = False) -> Found:
    """See :func:`nearfar.load`."""
    folder = _located(path)
    if (folder / "config.yaml").is_file():
        entry, method, run = load_run(folder)
        options = {name: value for name, value in run.config.get("data", {}).items() if name != "source"}
        return Found(method, entry, dict(run.config.get("hyperparameters", {})), options)
    described = said_in(folder, CONFIG)
    if {"method", "hyperparameters"} <= described.keys():
        entry = find(described["method"])
        cls: Any = entry.load()
        return Found(cls.from_pretrained(folder).eval(), entry, dict(described["hyperparameters"]), {})
    for name in catalogue.FIELDS:
        opens = catalogue.field(name).opens
        model = imported(opens)(folder, described) if opens else None
        if model is not None:
            return Found(model, None, {}, {})
    export = opened(folder, described, trusted=trusted)
    if export is None:
        raise ValueError(
            f"{folder} is neither a run (config.yaml), a saved method, a model of transformers or timm ({CONFIG}), an "
            "export (preprocessing.json), nor a folder of sentence-transformers or open_clip"
        )
    system = export.about.get("system")
    size = (export.about.get("preprocessing") or {}).get("size")
    options = {"size": size[0]} if isinstance(size, list) and len({*size}) == 1 else {}
    return Found(export, find(system) if isinstance(system, str) else None, {}, options)


def _located(path: Path | str) -> Path:
    """The folder: itself, the snapshot in the Hub's own layout, or the one that a name on the Hub is fetched into.

    Raises:
        FileNotFoundError: there is none. ValueError: the Hub's layout without a snapshot.
    """
    folder = Path(path).expanduser()
    if folder.is_dir():
        return _snapshot(folder) if (folder / "snapshots").is_dir() else folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(path)):
        raise FileNotFoundError(f"there is no folder {path}, and that is no name on the Hub (owner/model) either")
    try:
        return Path(snapshot_download(str(path), allow_patterns=FROM_THE_HUB))
    except (OSError, ValueError, HfHubHTTPError) as error:  # not there, or not reachable
        raise FileNotFoundError(f"there is no folder {path}, and the Hub gives nothing of that name") from error


def _snapshot(folder: Path) -> Path:
    """Of ``models--owner--name`` the copy that ``main`` means, or the only one."""
    copies = sorted(each for each in (folder / "snapshots").iterdir() if each.is_dir())
    main = folder / "refs" / "main"
    if main.is_file():
        named = [each for each in copies if each.name == main.read_text().strip()]
        copies = named or copies
    if len(copies) != 1:
        raise ValueError(f"{folder} holds {len(copies)} snapshots and does not say which is main; name one of them")
    return copies[0]
