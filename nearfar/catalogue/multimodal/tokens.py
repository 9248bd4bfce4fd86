"""Methods whose modalities meet in a set of tokens."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="fdt",
        name="FDT",
        field="multimodal",
        paper="Chen et al., 2023, CVPR, arXiv 2303.14865",
        target="nearfar.multimodal.methods.fdt:FDT",
        summary="Patches and words are sparse mixtures of one learned set of tokens, and the mixtures find each other.",
        parts=Parts(
            views="an image and its caption",
            encoder="image tower and text tower, read patch by patch and word by word",
            head="two layers for each tower's queries, and a codebook that both share",
            loss="symmetric InfoNCE of the mixtures, with a learned temperature",
            update="the temperature of the tokens' scores falls in steps",
        ),
        paper_training={"epochs": 32, "batch_size": 1024},
        laptop={
            "image_encoder": "small-conv",
            "text_encoder": "tiny-bert",
            "projection_dim": 64,
            "tokens": 128,
            "attention.temperature": 80.0,
            "attention.rate": 0.7,
            "attention.every": 100,
            "attention.least": 20.0,
            "max_length": 24,
            "optimization.lr": 1e-3,
            "optimization.weight_decay": 1e-2,
            "batch_size": 128,
            "steps": 500,
        },
        tiny={"examples": 200},
    ),
)
