"""Methods whose vectors have to suffice for something."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="denosent",
        name="DenoSent",
        field="text",
        paper="Wang et al., 2024, AAAI, arXiv 2401.13621",
        target="nearfar.text.methods.denosent:DenoSent",
        summary="Beside contrast, a small decoder must restore the sentence from its vector and a sixth of its words.",
        parts=Parts(
            views="two dropout masks of a sentence, or a sentence and its partner, translated forth and back",
            encoder="BERT, the state of a prompt's blank",
            head="one Linear, and a transformer decoder over embedded words that dropout has emptied",
            loss="InfoNCE, one direction, and cross-entropy of every word",
        ),
        paper_training={"steps": 5000, "batch_size": 64},
        laptop={
            "encoder": "tiny-bert",
            "pooling": "avg",
            "restoring.layers": 2,
            "restoring.hidden": 256,
            "optimization.lr": 5e-4,
            "optimization.warmup": 0.05,
            "batch_size": 64,
            "steps": 200,
        },
        tiny={"examples": 100, "restoring.layers": 1},
    ),
)
