"""Questions about images that several methods answer."""

from nearfar.system import Entry

ENTRIES = (
    Entry(
        slug="relic-v2",
        name="ReLICv2: what its crops and its few negatives add",
        field="vision",
        kind="study",
        verbs=(),
        paper="Tomasev et al., 2022, arXiv 2201.05119",
    ),
)
