"""Methods on pairs of modalities."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="clip",
        name="CLIP",
        field="multimodal",
        paper="Radford et al., 2021, arXiv 2103.00020",
        target="nearfar.multimodal.methods.clip:CLIP",
        summary="An image and its caption find each other among all images and captions of the batch.",
        parts=Parts(
            views="an image and its caption",
            encoder="image tower and text tower",
            head="one linear projection each, without bias",
            loss="symmetric InfoNCE with a learned temperature",
            update="temperature kept at 0.01 or above",
        ),
        paper_training={"epochs": 32, "batch_size": 32768},
        laptop={
            "image_encoder": "small-conv",
            "text_encoder": "tiny-bert",
            "projection_dim": 64,
            "max_length": 24,
            "optimization.lr": 1e-3,
            "optimization.weight_decay": 1e-2,
            "batch_size": 128,
            "steps": 500,
        },
        tiny={"examples": 200},
    ),
    Entry(
        slug="siglip",
        name="SigLIP",
        field="multimodal",
        paper="Zhai et al., 2023, arXiv 2303.15343",
        target="nearfar.multimodal.methods.siglip:SigLIP",
        summary="Every pair of an image and a caption is a decision of its own, without a softmax over the batch.",
        parts=Parts(
            views="an image and its caption",
            encoder="image tower and text tower",
            head="one linear projection each, without bias",
            loss="sigmoid of every pair, with a learned temperature and bias",
        ),
        paper_training={"steps": 107000, "batch_size": 32768},
        laptop={
            "image_encoder": "small-conv",
            "text_encoder": "tiny-bert",
            "projection_dim": 64,
            "max_length": 24,
            "optimization.lr": 1e-3,
            "optimization.weight_decay": 1e-2,
            "batch_size": 128,
            "steps": 500,
        },
        tiny={"examples": 200},
    ),
)
