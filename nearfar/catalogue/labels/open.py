"""Methods for classes without labels: unseen ones described by attributes, new ones to be discovered, other domains."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="ce-gzsl",
        name="CE-GZSL",
        field="labels",
        paper="Han et al., 2021, CVPR, arXiv 2103.16173",
        target="nearfar.labels.methods.ce_gzsl:CEGZSL",
        summary="Features of unseen classes are made from attributes and classified in a space trained by contrast.",
        parts=Parts(
            views="features of the same class; made and real ones",
            encoder="one layer on pre-extracted features",
            head="projection for instances, comparator with attributes for classes",
            loss="supervised contrast of instances + class-level contrast + WGAN with gradient penalty",
            update="critic and generator in turns",
        ),
        paper_training={"epochs": 2000, "batch_size": 2048},
        laptop={
            "hidden": 128,
            "embed_dim": 128,
            "projection_dim": 64,
            "init_std": 0.1,
            "optimization.lr": 1e-3,
            "batch_size": 128,
            "steps": 1500,
        },
        tiny={"steps": 4, "batch_size": 16, "hidden": 16},
        data="attribute-features",
    ),
)
