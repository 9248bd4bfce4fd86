"""Methods on what moves: clips, skeletons, clouds of points."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="hiclr",
        name="HiCLR",
        field="video",
        paper="Zhang et al., 2022, AAAI 2023, arXiv 2211.13466",
        target="nearfar.video.methods.hiclr:HiCLR",
        summary="A skeleton finds its key; stronger views of it agree with weaker ones, step by step.",
        parts=Parts(
            views="crops in time and shears, then turned, flattened, smoothed, with hidden joints",
            encoder="graph convolution over joints and convolution over time (ST-GCN)",
            head="MLP of two layers",
            loss="InfoNCE over a queue, and cross-entropy between distributions of weaker and stronger views",
            update="momentum encoder and a queue; nearest neighbours join the positives half-way",
        ),
        paper_training={"epochs": 300, "batch_size": 128},
        laptop={
            "steps": 150,
            "batch_size": 32,
            "hidden": 8,
            "out_features": 64,
            "depth": (1, 1, 1),
            "dropout": 0.0,
            "projection_dim": 64,
            "queue_size": 1024,
            "momentum": 0.99,
            "optimization.lr": 0.05,
        },
        tiny={"steps": 3, "batch_size": 16, "depth": (1, 1, 1), "queue_size": 64},
        data="stick-figures",
    ),
)
