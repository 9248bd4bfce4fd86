"""Data sets and studies of scenes."""

from nearfar.system import Entry

ENTRIES = (
    Entry(
        slug="carla4agt",
        name="CARLA-4AGT",
        field="segmentation",
        kind="data set",
        verbs=(),
        paper="2024, arXiv 2412.16592",
        target="nearfar.segmentation.data.folder:SceneFolder",
        summary="Street scenes in four appearances with one label map and a configuration that reproduces each.",
        commands=(
            ("train on", "nearfar train aligned-segmentation --data FOLDER"),
            ("check", "nearfar data check FOLDER --classes carla4agt16"),
            ("record", "nearfar data record --town Town10HD --scenes 100 --out FOLDER"),
            ("make small", "nearfar data export street --out FOLDER"),
        ),
    ),
    Entry(
        slug="volume-variety",
        name="Volume or variety: more layouts, or each in more appearances",
        field="segmentation",
        kind="study",
        verbs=(),
        paper="the CARLA-4AGT data set, 2024, arXiv 2412.16592",
    ),
)
