"""Few labelled scenes beside many of the same kind without labels."""

from __future__ import annotations

from nearfar.segmentation.data.adaptation import AdaptationScenes
from nearfar.segmentation.data.scenes import RenderedScenes

APPEARANCES = ("noon",)


def street_few_labels(size: int | None = None, scenes: int | None = None, labelled: int = 16) -> AdaptationScenes:
    """Streets at noon: ``labelled`` of them with labels, ``scenes`` (160 when not given) without, 60 held out."""
    height = size or 64
    shape = (height, 2 * height)
    unlabelled = range(50_000, 50_000 + (scenes or 160))
    found = AdaptationScenes(
        RenderedScenes(range(labelled), APPEARANCES, shape, name="labelled"),
        RenderedScenes(unlabelled, APPEARANCES, shape, name="unlabelled"),
        {"test": RenderedScenes(range(100_000, 100_060), APPEARANCES, shape, name="test")},
    )
    found.name = "street-few-labels"
    return found
