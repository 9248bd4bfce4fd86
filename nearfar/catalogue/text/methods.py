"""Methods on sentences."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="simcse",
        name="SimCSE",
        field="text",
        paper="Gao, Yao and Chen, 2021, EMNLP, arXiv 2104.08821",
        target="nearfar.text.methods.simcse:SimCSE",
        summary="A sentence finds itself under another dropout mask; supervised, the sentence that it entails.",
        parts=Parts(
            views="two dropout masks of a sentence; entailed and contradicting sentences",
            encoder="BERT or RoBERTa",
            head="Linear and Tanh",
            loss="InfoNCE, one direction, with hard negatives",
        ),
        paper_training={"epochs": 1, "batch_size": 64},
        laptop={
            "encoder": "tiny-bert",
            "pooling": "avg",
            "optimization.lr": 5e-4,
            "optimization.warmup": 0.05,
            "batch_size": 64,
            "steps": 400,
        },
        tiny={"examples": 200},
    ),
)
