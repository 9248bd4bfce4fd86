"""Methods that embed, write and draw in one network."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="cobit",
        name="CoBIT",
        field="multimodal",
        paper="You et al., 2024, ICLR, arXiv 2303.13455",
        target="nearfar.multimodal.methods.cobit:CoBIT",
        summary="One network finds captions and pictures, writes captions of pictures and draws pictures of captions.",
        parts=Parts(
            views="an image, its codes and its caption",
            encoder="a unicoder for each modality, which encodes and decodes with the same weights",
            head="linear projections for the contrast; a decoder across modalities for words and codes",
            loss="symmetric InfoNCE, cross-entropy of each next word and of each next code",
            update="temperature kept at 0.01 or above; words and codes of the training set before the first step",
        ),
        verbs=("embeds", "generates"),
        paper_training={"steps": 1000000, "batch_size": 30720},
        laptop={
            "projection_dim": 64,
            "sizes.width": 64,
            "sizes.depth": 2,
            "sizes.heads": 4,
            "sizes.decoder_width": 64,
            "sizes.decoder_depth": 1,
            "sizes.decoder_heads": 4,
            "sizes.patch": 8,
            "sizes.code_patch": 8,
            "sizes.codes": 64,
            "sizes.words": 256,
            "sizes.max_length": 24,
            "optimization.lr": 1e-3,
            "optimization.weight_decay": 1e-2,
            "batch_size": 64,
            "steps": 400,
        },
        tiny={"examples": 200, "sizes.codes": 16},
        commands=(("write captions and draw pictures", "nearfar generate RUN pairs.csv -o FOLDER"),),
    ),
)
