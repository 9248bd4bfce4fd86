"""Methods on images."""

from nearfar.catalogue.system import Parts, System

# What every method on images changes for the embedded digits: a network, heads and a rate for minutes on a CPU.
SMALL = {
    "encoder": "small-conv",
    "optimization.optimizer": "adamw",
    "optimization.lr": 2e-3,
    "optimization.lr_batch": None,
    "optimization.weight_decay": 1e-4,
    "optimization.warmup": 0.05,
    "batch_size": 128,
    "steps": 500,
}

SYSTEMS = (
    System(
        slug="simclr",
        name="SimCLR",
        field="vision",
        paper="Chen et al., 2020, arXiv 2002.05709",
        target="nearfar.vision.methods.simclr:SimCLR",
        summary="Two strong random views of an image find each other among all views of a large batch.",
        parts=Parts(
            views="two random crops with colour distortion and blur",
            encoder="ResNet",
            head="2-layer MLP with batch norm",
            loss="NT-Xent",
        ),
        laptop={
            **SMALL,
            "projection_hidden": 256,
            "projection_dim": 64,
            "temperature": 0.2,
            "views": "simclr-small",
        },
    ),
    System(
        slug="moco",
        name="MoCo v1 and v2",
        field="vision",
        paper="He et al., 2019, arXiv 1911.05722; Chen et al., 2020, arXiv 2003.04297",
        target="nearfar.vision.methods.moco:MoCo",
        summary="A query finds its key, made by a slowly moving encoder, among a queue of past keys.",
        parts=Parts(
            views="two random crops with colour distortion and blur",
            encoder="ResNet",
            head="2-layer MLP without norm",
            loss="InfoNCE, one direction",
            update="momentum encoder, first-in first-out queue, shuffled batch norm",
        ),
        laptop={
            **SMALL,
            "projection_dim": 64,
            "queue_size": 2048,
            "momentum": 0.99,
            "views": "simclr-small",
            "optimization.schedule": "cosine",
            "optimization.decay_all": False,
        },
    ),
    System(
        slug="moco-v3",
        name="MoCo v3",
        field="vision",
        paper="Chen et al., 2021, arXiv 2104.02057",
        target="nearfar.vision.methods.moco_v3:MoCoV3",
        summary="Momentum contrast without a queue: symmetric, in-batch keys, a predictor on the query side.",
        parts=Parts(
            views="two random crops with colour distortion, blur and solarisation",
            encoder="ResNet or ViT",
            head="projection MLP and prediction MLP",
            loss="InfoNCE in both directions, times 2 tau",
            update="momentum encoder rising to 1",
        ),
        laptop={**SMALL, "hidden": 256, "projection_dim": 64, "temperature": 0.2, "views": "simclr-small"},
    ),
    System(
        slug="byol",
        name="BYOL",
        field="vision",
        paper="Grill et al., 2020, arXiv 2006.07733",
        target="nearfar.vision.methods.byol:BYOL",
        summary="Predict what a slowly moving copy of the network says of another view; no negatives.",
        parts=Parts(
            views="two random crops, unlike in blur and solarisation",
            encoder="ResNet",
            head="projection MLP and prediction MLP",
            loss="2 - 2 cos, both directions",
            update="target network with momentum rising to 1",
        ),
        laptop={**SMALL, "hidden": 256, "projection_dim": 64, "views": "simclr-small"},
    ),
    System(
        slug="relic",
        name="ReLIC",
        field="vision",
        paper="Mitrovic et al., 2020, arXiv 2010.07922",
        target="nearfar.vision.methods.relic:ReLIC",
        summary="Instance discrimination whose answer may not change with the augmentation: InfoNCE plus a KL term.",
        parts=Parts(
            views="two random crops with colour distortion, blur and solarisation",
            encoder="ResNet",
            head="critic MLP with batch norm",
            loss="InfoNCE both ways + alpha KL between the two proxy predictions",
            update="target network with momentum rising to 1",
        ),
        laptop={
            **SMALL,
            "hidden": 256,
            "projection_dim": 64,
            "temperature": 0.2,
            "momentum": 0.9,
            "views": "simclr-small",
        },
    ),
)
