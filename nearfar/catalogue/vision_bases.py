"""More methods on images: regression without negatives, redundancy reduction, clusters, many views."""

from nearfar.catalogue.system import Parts, System
from nearfar.catalogue.vision import SMALL

# What methods without negatives want in place of AdamW: the rate and the decay that the theory of them asks for.
SGD = {
    "optimization.optimizer": "sgd",
    "optimization.lr": 0.1,
    "optimization.weight_decay": 5e-4,
    "optimization.decay_all": False,
}

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
            "predictor_hidden": 256,
            "views": "gentle",
            **SGD,
        },
    ),
    System(
        slug="barlow-twins",
        name="Barlow Twins",
        field="vision",
        paper="Zbontar et al., 2021, arXiv 2103.03230",
        target="nearfar.vision.methods.barlow_twins:BarlowTwins",
        summary="Make the correlation of two views' projections the identity: dimensions that agree and do not repeat.",
        parts=Parts(
            views="two random crops, unlike in blur and solarisation",
            encoder="ResNet",
            head="3-layer MLP, wider than the representation",
            loss="squared distance of the cross-correlation from the identity",
        ),
        laptop={
            **SMALL,
            "hidden": 256,
            "projection_dim": 256,
            "lambd": 1 / 256,
            "vector_rate": 1.0,
            "views": "gentle",
        },
    ),
    System(
        slug="vicreg",
        name="VICReg",
        field="vision",
        paper="Bardes, Ponce & LeCun, 2021, arXiv 2105.04906",
        target="nearfar.vision.methods.vicreg:VICReg",
        summary="Views agree, every dimension keeps its spread, no two dimensions correlate: one term for each.",
        parts=Parts(
            views="two random crops, unlike in blur and solarisation",
            encoder="ResNet",
            head="3-layer MLP, wider than the representation",
            loss="squared difference, hinge on standard deviations, squared covariances",
        ),
        laptop={**SMALL, "hidden": 256, "projection_dim": 256, "views": "gentle"},
    ),
    System(
        slug="swav",
        name="SwAV",
        field="vision",
        paper="Caron et al., 2020, arXiv 2006.09882",
        target="nearfar.vision.methods.swav:SwAV",
        summary="Assign views to prototypes in equal shares, and predict one view's assignment from another.",
        parts=Parts(
            views="two large and several small random crops with colour distortion and blur",
            encoder="ResNet",
            head="2-layer MLP with batch norm, then prototypes",
            loss="cross-entropy with balanced codes of another view",
            update="prototypes kept on the sphere; codes by Sinkhorn's algorithm, optionally with a queue",
        ),
        laptop={
            **SMALL,
            "hidden": 256,
            "projection_dim": 64,
            "prototypes": 64,
            "epsilon": 0.02,
            "small_crops": 4,
            "small_size": 8,
            "large_scale": (0.4, 1.0),
            "small_scale": (0.4, 0.8),
            "frozen_steps": 10,
            "views": "gentle",
        },
    ),
    System(
        slug="directpred",
        name="DirectPred, DirectSet, DirectCopy",
        field="vision",
        paper="Tian, Chen & Ganguli, 2021, arXiv 2102.06810; Wang et al., 2021, arXiv 2110.04947",
        target="nearfar.vision.methods.directpred:DirectPred",
        summary="BYOL with a linear predictor that is computed from the features' correlation instead of trained.",
        parts=Parts(
            views="two random crops with colour distortion and blur",
            encoder="ResNet",
            head="2-layer projection MLP and a linear predictor",
            loss="2 - 2 cos, both directions",
            update="predictor set from the eigenvectors of the projections' correlation; target network",
        ),
        laptop={
            **SMALL,
            "hidden": 256,
            "projection_dim": 64,
            "momentum": 0.99,
            "views": "gentle",
            **SGD,
        },
    ),
)
