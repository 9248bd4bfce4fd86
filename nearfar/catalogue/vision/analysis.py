"""Analyses of representations of images, and what they recommend to train."""

from nearfar.catalogue.vision.founding import SMALL
from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="invariance-analysis",
        name="Demystifying contrastive SSL: invariances, and pairs from video",
        field="vision",
        paper="Purushwalkam & Gupta, 2020, arXiv 2007.13916",
        target="nearfar.vision.methods.video_pairs:VideoPairs",
        summary="MoCo v2 on pairs of video frames; `evaluate --also invariances` says which changes it ignores.",
        parts=Parts(
            views="two frames of one video, or two tracked regions, each with MoCo v2's augmentation",
            encoder="ResNet",
            head="2-layer MLP without norm",
            loss="InfoNCE, one direction",
            update="momentum encoder, first-in first-out queue, shuffled batch norm",
        ),
        paper_training={"epochs": 200, "batch_size": 256},
        laptop={
            **SMALL,
            "projection_dim": 64,
            "queue_size": 256,
            "momentum": 0.99,
            "views": "gentle",
            "optimization.schedule": "cosine",
            "optimization.decay_all": False,
        },
        data="shape-clips",
    ),
    Entry(
        slug="vit-analysis",
        name="Teaching Matters: what vision transformers attend to",
        field="vision",
        paper="Walmer et al., 2023, arXiv 2212.03862",
        kind="procedure",
        target="nearfar.vision.methods.vit_analysis:VitAnalysis",
        summary="Where each layer of any vision transformer looks, and what it knows.",
        parts=Parts(
            views="pictures as they are",
            encoder="vision transformer, whose attention is measured",
            head="none",
            loss="none; measures of attention, neighbours, clusters and likeness of layers",
        ),
        verbs=(),
        laptop={"encoder": "vit-mini"},
        data="shapes",
        commands=(("of runs", "nearfar evaluate runs/simclr --also attention layers"),),
    ),
)
