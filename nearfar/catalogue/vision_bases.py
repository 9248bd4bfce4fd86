"""More methods on images: regression without negatives, redundancy reduction, clusters, many views."""

from nearfar.catalogue.system import Parts, System
from nearfar.catalogue.vision import SMALL

SYSTEMS = (
    System(
        slug="simsiam",
        name="SimSiam",
        field="vision",
        paper="Chen & He, 2020, arXiv 2011.10566",
        target="nearfar.vision.methods.simsiam:SimSiam",
        summary="Predict one view's projection from the other's with shared weights; no negatives, no teacher.",
        parts=Parts(
            views="two random crops with colour distortion and blur",
            encoder="ResNet",
            head="3-layer projection MLP and a bottleneck prediction MLP",
            loss="negative cosine with a stop-gradient, both directions",
            update="gradients only; the predictor's rate stays constant",
        ),
        laptop={
            **SMALL,
            "projection_dim": 256,
            "predictor_hidden": 64,
            "views": "simclr-small",
            "optimization.decay_all": False,
        },
    ),
)
