"""Every system of the library: slug, field, paper, class, its five parts, its reproduction and verdict.

Reading it imports neither torch nor any field, so that ``nearfar list`` answers at once.
"""

from __future__ import annotations

import difflib

from nearfar.catalogue import (
    graph,
    multimodal,
    segmentation,
    segmentation_dense,
    text,
    vision,
    vision_analysis,
    vision_bases,
    vision_masked,
    vision_variants,
)
from nearfar.catalogue.studies import STUDIES
from nearfar.catalogue.system import Measured, Parts, Study, System

__all__ = [
    "FIELDS",
    "MEASURED",
    "STUDIES",
    "SYSTEMS",
    "Measured",
    "Parts",
    "Study",
    "System",
    "find",
    "find_measured",
    "slug_of",
]

SYSTEMS: tuple[System, ...] = (
    *vision.SYSTEMS,
    *vision_bases.SYSTEMS,
    *vision_variants.SYSTEMS,
    *vision_analysis.SYSTEMS,
    *vision_masked.SYSTEMS,
    *segmentation.SYSTEMS,
    *segmentation_dense.SYSTEMS,
    *text.SYSTEMS,
    *multimodal.SYSTEMS,
    *graph.SYSTEMS,
)
FIELDS: tuple[str, ...] = tuple(dict.fromkeys(system.field for system in SYSTEMS))
MEASURED: tuple[System | Study, ...] = (*SYSTEMS, *STUDIES)
"""Everything that a reproduction measures."""
_BY_SLUG = {system.slug: system for system in SYSTEMS}


def find(slug: str) -> System:
    """The system called ``slug``.

    Raises:
        KeyError: unknown slug; the message names the closest ones.
    """
    if slug in _BY_SLUG:
        return _BY_SLUG[slug]
    close = difflib.get_close_matches(slug.lower(), _BY_SLUG, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(close)}?" if close else "`nearfar list` shows them all."
    raise KeyError(f"there is no method called {slug!r}; {hint}")


def find_measured(slug: str) -> System | Study:
    """The system or the study called ``slug``. Raises KeyError as :func:`find` does."""
    return next((study for study in STUDIES if study.slug == slug), None) or find(slug)


def slug_of(cls: type) -> str | None:
    """The slug under which a class is catalogued."""
    target = f"{cls.__module__}:{cls.__qualname__}"
    return next((system.slug for system in SYSTEMS if system.target == target), None)
