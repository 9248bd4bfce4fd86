"""Methods for classes without labels: unseen ones described by attributes, new ones to be discovered, other domains."""

from nearfar.catalogue.labels.labelled import SMALL, TINY
from nearfar.system import Entry, Parts

HEAD = {name: value for name, value in SMALL.items() if name != "projection_dim"}

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
    Entry(
        slug="gcd",
        name="GCD",
        field="labels",
        paper="Vaze et al., 2022, CVPR, arXiv 2201.02609",
        target="nearfar.labels.methods.gcd:GCD",
        summary="Contrast of views and of labelled classes, then k-means in which labelled pictures keep theirs.",
        parts=Parts(
            views="two random crops, labelled and unlabelled pictures equally often",
            encoder="ViT",
            head="3-layer MLP",
            loss="NT-Xent of all + SupCon of the labelled",
        ),
        paper_training={"epochs": 200, "batch_size": 128},
        laptop={**SMALL, "hidden": 128, "temperature": 0.3, "groups_count": 10, "restarts": 10},
        tiny={**TINY, "hidden": 16},
        data="open-digits",
        commands=(("discover", "nearfar discover runs/gcd pictures/ -o groups.csv"),),
    ),
    Entry(
        slug="protogcd",
        name="ProtoGCD",
        field="labels",
        paper="Ma et al., 2025, TPAMI, arXiv 2504.03755",
        target="nearfar.labels.methods.protogcd:ProtoGCD",
        summary="One prototype for every class, old or new; the network teaches itself, the surest pictures first.",
        parts=Parts(
            views="two random crops, labelled and unlabelled pictures equally often",
            encoder="ViT",
            head="3-layer MLP for contrast, cosine prototypes on the representation",
            loss="GCD's + cross-entropy with labels and with the other view's answer + entropy + separation",
        ),
        verbs=("embeds", "predicts", "scores"),
        paper_training={"epochs": 200, "batch_size": 128},
        laptop={**SMALL, "hidden": 128, "temperature": 0.3},
        tiny={**TINY, "hidden": 16},
        data="open-digits",
        commands=(("discover", "nearfar discover runs/protogcd pictures/ -o groups.csv"),),
    ),
    Entry(
        slug="covi",
        name="CoVi",
        field="labels",
        paper="Na et al., 2022, ECCV, arXiv 2111.13353",
        target="nearfar.labels.methods.covi:CoVi",
        summary="Mixes of a labelled and an unlabelled picture where the network is least sure, and their neighbours.",
        parts=Parts(
            views="mixes of pictures of two domains, just above and below their balance",
            encoder="ResNet",
            head="classifier with one hidden layer",
            loss="cross-entropy of mixed labels, swapped between the neighbours of the balance",
        ),
        verbs=("embeds", "predicts"),
        paper_training={"epochs": 100, "batch_size": 32},
        laptop={**HEAD, "hidden": 64, "batch_size": 64, "steps": 500},
        tiny=TINY,
        data="shifted-digits",
    ),
)
