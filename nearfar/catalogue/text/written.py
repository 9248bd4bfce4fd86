"""Methods that write text."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="cont",
        name="CoNT",
        field="text",
        paper="An, Feng, Lv, Kong, Qiu and Huang, 2022, NeurIPS, arXiv 2205.14690",
        target="nearfar.text.methods.cont:CoNT",
        summary="A generator ranks its own candidates as their n-grams do, and chooses among its beams by that.",
        parts=Parts(
            views="a source and its target, the model's own candidates and other targets, ranked by bigrams in common",
            encoder="T5 or another encoder-decoder",
            head="one Linear and ReLU on averaged states of both sides",
            loss="likelihood, and margins of cosines that grow with the distance in rank",
            update="gradients only; likelihood alone first",
        ),
        verbs=("generates",),
        paper_training={"epochs": 10, "batch_size": 16},
        laptop={
            "model": "tiny-t5",
            "likelihood": 0.8,
            "contrast_rate": 0.3,
            "ranking.sampled": 4,
            "ranking.kept": 8,
            "search.beams": 4,
            "source_length": 24,
            "target_length": 40,
            "optimization.lr": 3e-3,
            "optimization.warmup": 0.05,
            "batch_size": 16,
            "steps": 500,
        },
        tiny={"examples": 100, "target_length": 8},
        data="records",
        tags={"negatives": "batch"},
        commands=(("write with a finished run", "nearfar generate RUN sources.csv --out texts.jsonl"),),
    ),
)
