"""Methods that count what a phrase names."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="c-rex",
        name="C-REX",
        field="segmentation",
        paper="2025, arXiv 2505.22850",
        target="nearfar.segmentation.methods.c_rex:CREX",
        summary="Counts what a phrase names; tokens of the named objects are alike and unlike all others of a picture.",
        parts=Parts(
            views="tokens of one picture; those of the objects that one phrase names are positives",
            encoder="backbone with maps at several depths, encoder of phrases",
            head="tokens with points; 2-layer MLP where tokens are contrasted",
            loss="focal loss of tokens and phrases + L1 of points + supervised contrast of tokens",
        ),
        verbs=("embeds", "predicts"),
        paper_training={"epochs": 15, "batch_size": 1},
        laptop={
            "encoder": "small-pyramid",
            "text": "words",
            "width": 64,
            "level": 1,
            "projection_dim": 32,
            "flip": 0.5,
            "detection.point_cost": 100.0,
            "detection.label_weight": 100.0,
            "detection.alpha": 0.6,
            "optimization.lr": 1.5e-3,
            "optimization.schedule": "cosine",
            "optimization.warmup": 0.05,
            "batch_size": 4,
            "steps": 700,
        },
        data="counted-shapes",
        tiny={"width": 16, "scenes": 16, "size": 32},
        commands=(("count", 'nearfar count RUN picture.png --phrase "red circles"'),),
        tags={"negatives": "batch"},
    ),
)
