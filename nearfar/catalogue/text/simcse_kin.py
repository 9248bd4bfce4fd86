"""Methods that add something to SimCSE."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="promcse",
        name="PromCSE",
        field="text",
        paper="Jiang, Zhang and Wang, 2022, Findings of EMNLP, arXiv 2203.06875",
        target="nearfar.text.methods.promcse:PromCSE",
        summary="A frozen language model learns a prefix for each layer; a hinge keeps the nearest wrong sentence off.",
        parts=Parts(
            views="two dropout masks of a sentence; entailed and contradicting sentences",
            encoder="frozen BERT or RoBERTa with learned keys and values in each layer",
            head="Linear and Tanh",
            loss="InfoNCE with hard negatives, and an energy-based hinge on cosines",
        ),
        paper_training={"epochs": 1, "batch_size": 256},
        laptop={
            "encoder": "tiny-bert",
            "pooling": "avg",
            "keep_head": True,
            "optimization.lr": 1e-2,
            "batch_size": 64,
            "steps": 300,
        },
        tiny={"examples": 200},
        data="grammar-entailment",
    ),
    Entry(
        slug="micse",
        name="miCSE",
        field="text",
        paper="Klein and Nabi, 2023, ACL, arXiv 2211.04928",
        target="nearfar.text.methods.micse:MiCSE",
        summary="Two dropout masks of a sentence should also attend alike, which helps where sentences are few.",
        parts=Parts(
            views="two dropout masks of a sentence",
            encoder="BERT or RoBERTa",
            head="Linear and Tanh",
            loss="InfoNCE, and mutual information of the attention maps",
        ),
        paper_training={"epochs": 1, "batch_size": 64},
        laptop={
            "encoder": "tiny-bert",
            "pooling": "avg",
            "first_layer": 0,
            "last_layer": 2,
            "optimization.lr": 5e-4,
            "optimization.warmup": 0.05,
            "batch_size": 64,
            "steps": 300,
        },
        tiny={"examples": 200},
    ),
)
