"""The model card that travels with a saved method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearfar import __version__
from nearfar.system import VERBS, Entry

HEADER = """---
library_name: nearfar
tags:
- contrastive-learning
- self-supervised-learning
- nearfar-{slug}
---
"""


ARGUMENTS = {
    "embeds": "batch",
    "generates": "data, seed=0",
    "scores": "batch",
    "predicts": "batch",
    "ranks": "queries, k=20",
    "acts": "observations",
}


def verb_result(verb: str) -> str:
    """What a verb gives, as the name of a variable."""
    return {
        "embeds": "vectors",
        "generates": "made",
        "scores": "scores",
        "predicts": "predictions",
        "ranks": "items, scores",
        "acts": "actions",
    }[verb]


def model_card(system: Entry | None, name: str, config: Mapping[str, Any], measured: Mapping[str, Any] | None) -> str:
    """A README in the Hub's format: what the model is, how it was trained, what was measured, how to load it.

    Args:
        system: its row of the catalogue, ``None`` for a method of one's own.
        name: the class.
        config: the constructor's arguments as plain values.
        measured: the content of a run's ``evaluation.json``, when it was evaluated.
    """
    title = system.name if system else name
    lines = [HEADER.format(slug=system.slug if system else name.lower()), f"# {title}", ""]
    if system:
        lines += [system.summary, "", f"Paper: {system.paper}.", ""]
        if system.parts:
            lines += [f"- **{part}**: {text}" for part, text in vars(system.parts).items()] + [""]
    if measured:
        lines += [f"## Measured on {measured['data']}", ""]
        lines += ["| measure | untrained | trained |", "| --- | ---: | ---: |"]
        for measure, value in measured["trained"].items():
            lines.append(f"| {measure} | {measured['untrained'].get(measure, float('nan')):.3f} | {value:.3f} |")
        lines.append("")
    lines += ["## Settings", "", "| setting | value |", "| --- | --- |"]
    lines += [f"| {key} | {value} |" for key, value in config.items()] + [""]
    verbs = system.verbs if system else ("embeds",)
    module = (system.target.partition(":")[0] if system else "your.module").rpartition(".")[0]
    lines += [
        "## Use",
        "",
        "```python",
        f"from {module} import {name}",
        "",
        f'method = {name}.from_pretrained("<this model>")',
        *(f"{verb_result(verb)} = method.{VERBS[verb]}({ARGUMENTS[verb]})" for verb in verbs),
        "```",
        "",
        f"Made with nearfar {__version__}.",
    ]
    return "\n".join(lines) + "\n"
