"""Data sets of graphs."""

from nearfar.system import Entry

ENTRIES = (
    Entry(
        slug="bisnd",
        name="BiSND",
        field="graph",
        kind="data set",
        verbs=(),
        paper="2025, arXiv 2503.02397",
        target="nearfar.graph.data.bisnd:BiSND",
        summary="12,788 users of a social network with 19 numbers each and who mentions whom; half are gone.",
        commands=(
            ("train on", "nearfar train grace --data FOLDER/directed"),
            ("measure", "nearfar evaluate runs/grace"),
            ("compare", "nearfar compare grace bgrl daens --data FOLDER/directed --seeds 3"),
        ),
    ),
)
