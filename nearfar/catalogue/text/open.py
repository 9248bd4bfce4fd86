"""Sentences with the objective left open."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="contrast-text",
        name="Sentences under any objective",
        field="text",
        paper="after Le-Khac, Healy and Smeaton, 2020, arXiv 2010.05113",
        target="nearfar.text.methods.contrast_text:ContrastText",
        summary="The field's views and encoder with an objective by name: `--objective vicreg`.",
        parts=Parts(
            views="two dropout masks of a sentence, or a sentence and its partner",
            encoder="BERT or RoBERTa",
            head="one Linear",
            loss="any of two views, by name",
        ),
        paper_training={"epochs": 1, "batch_size": 64},
        laptop={
            "encoder": "tiny-bert",
            "optimization.lr": 5e-4,
            "optimization.warmup": 0.05,
            "batch_size": 64,
            "steps": 400,
        },
        tiny={"examples": 200},
    ),
)
