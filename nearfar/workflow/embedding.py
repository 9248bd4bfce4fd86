"""Opening what embeds: a finished run, and the collection to embed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearfar.system import require
from nearfar.training import Method
from nearfar.workflow.running import check_unchanged, like_the_run, load_run, run_data


def embedder(path: str, data: Any, accept_changes: bool, options: Mapping[str, Any]) -> tuple[str, Method, Any]:
    """The system's slug, the method of a finished run, and the collection to embed: the run's own or any other."""
    system, method, run = load_run(path)
    require(method, "embeds", system.slug)
    collection = run_data(system, like_the_run(run, data, dict(options)))
    if data is None and not options:  # other options give other arrays
        check_unchanged(run, collection, accept_changes)
    return system.slug, method, collection
