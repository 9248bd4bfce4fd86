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
        target="nearfar.vision.methods.simclr:SimCLR",
        summary="An analysis of any ViT by `evaluate --also attention layers`; what trains here is SimCLR with one.",
        parts=Parts(
            views="two random crops with colour distortion and blur",
            encoder="vision transformer, whose attention is measured",
            head="2-layer MLP with batch norm",
            loss="NT-Xent",
        ),
        paper_training={"epochs": 300, "batch_size": 4096},
        laptop={
            **SMALL,
            "encoder": "vit-mini",
            "projection_hidden": 256,
            "projection_dim": 64,
            "temperature": 0.2,
            "views": "gentle",
            "optimization.lr": 1e-3,
            "optimization.weight_decay": 0.05,
            "optimization.warmup": 0.1,
            "batch_size": 64,
            "steps": 300,
        },
        data="shapes",
        tiny={"size": 16, "projection_hidden": 32},
    ),
)
