"""Methods on any number of modalities."""

from nearfar.system import Entry, Parts

WHAT = "train on a table with a column for each modality"
COMMAND = "nearfar train {} --data rows.csv --modalities photo,sound,note"

ENTRIES = (
    Entry(
        slug="symile",
        name="Symile",
        field="multimodal",
        paper="Saporta et al., 2024, NeurIPS, arXiv 2411.01053",
        target="nearfar.multimodal.methods.symile:Symile",
        summary="Rows of any number of modalities are told from rows put together at random, by the product of all.",
        parts=Parts(
            views="the modalities of a row",
            encoder="a tower for each modality",
            head="one linear projection each, with layer norm",
            loss="softmax of multilinear inner products among rows with shuffled parts, for every modality as anchor",
        ),
        paper_training={"epochs": 24, "batch_size": 256},
        laptop={
            "towers.picture": "small-conv",
            "towers.sound": "small-sound",
            "towers.text": "tiny-bert",
            "towers.max_length": 24,
            "projection_dim": 64,
            "optimization.lr": 3e-3,
            "batch_size": 256,
            "steps": 300,
        },
        tiny={"examples": 300},
        data="xor",
        commands=((WHAT, COMMAND.format("symile")),),
    ),
    Entry(
        slug="cmc",
        name="CMC",
        field="multimodal",
        paper="Tian et al., 2019, arXiv 1906.05849",
        target="nearfar.multimodal.methods.cmc:CMC",
        summary="Every view of a thing finds that thing in the memories of its other views.",
        parts=Parts(
            views="several views or modalities of a thing",
            encoder="a tower for each view",
            head="one linear projection each",
            loss="noise-contrastive estimation or softmax against rows drawn from a memory, over pairs of views",
            update="a memory for each view with a running embedding of every example",
        ),
        paper_training={"epochs": 240, "batch_size": 128},
        laptop={
            "towers.picture": "small-conv",
            "towers.sound": "small-sound",
            "towers.text": "tiny-bert",
            "towers.max_length": 24,
            "projection_dim": 64,
            "drawn": 256,
            "form": "softmax",
            "examples": 2000,
            "optimization.optimizer": "adamw",
            "optimization.lr": 1e-3,
            "optimization.schedule": "cosine",
            "batch_size": 64,
            "steps": 300,
        },
        tiny={"examples": 200, "drawn": 32},
        data="scene-views",
        commands=((WHAT, COMMAND.format("cmc")),),
    ),
)
