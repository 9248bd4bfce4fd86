"""Questions that are measured like a method's claims but belong to no single method."""

from nearfar.catalogue.system import Study

STUDIES = (
    Study(
        slug="relic-v2",
        name="ReLICv2: what its crops and its few negatives add",
        field="vision",
        paper="Tomasev et al., 2022, arXiv 2201.05119",
    ),
    Study(
        slug="volume-variety",
        name="Volume or variety: more layouts, or each in more appearances",
        field="segmentation",
        paper="the CARLA-4AGT data set, 2024, arXiv 2412.16592",
    ),
)
