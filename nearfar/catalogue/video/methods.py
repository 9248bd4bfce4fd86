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
    Entry(
        slug="pretext-contrastive",
        name="Pretext-Contrastive Learning",
        field="video",
        paper="Tao, Wang and Yamasaki, 2020, arXiv 2010.15464",
        target="nearfar.video.methods.pretext_contrastive:PretextContrastive",
        summary="Says how the middle of three clips was changed, and finds the third clip from the first and back.",
        parts=Parts(
            views="three clips of a video, each with one draw of crop and colours; the middle one changed in one of "
            "five ways; differences between frames",
            encoder="3-D residual network (R3D)",
            head="MLP of two layers for the contrast, a linear classifier on all three clips for the change",
            loss="cross-entropy of the change, and softmax over rows of a memory of the other clip, in both directions",
            update="two memories with a row for every video",
        ),
        paper_training={"epochs": 200, "batch_size": 16},
        laptop={
            "steps": 120,
            "batch_size": 16,
            "width": 8,
            "clip": 8,
            "stride": 7,
            "remote": 8,
            "drawn": 128,
            "views.size": 16,
            "views.flip": 0.0,  # a mirrored circle goes the other way round
            "optimization.lr": 0.03,
        },
        tiny={"steps": 3, "batch_size": 8, "width": 2, "drawn": 16},
        data="moving-shapes",
    ),
)
