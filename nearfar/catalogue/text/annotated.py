"""Methods on texts with annotations in levels or trees."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="golf",
        name="GOLF",
        field="text",
        paper="Jiang, Zhang and Wang, 2023, Findings of ACL, arXiv 2211.13873",
        target="nearfar.text.methods.golf:GOLF",
        summary="Relations between two texts, classified at several levels with the hierarchy of labels in the losses.",
        parts=Parts(
            views="two dropout masks of a pair of texts; pairs as far as their labels' paths agree; labels of a graph",
            encoder="RoBERTa on both texts, and attention from each to the other",
            head="Linear and Tanh, one for labels and one for pairs",
            loss="cross-entropy, InfoNCE over labels, and InfoNCE over pairs weighted by Dice coefficients",
        ),
        verbs=("embeds", "predicts"),
        paper_training={"epochs": 15, "batch_size": 32},
        laptop={
            "encoder": "tiny-bert",
            "heads": 4,
            "max_length": 32,
            "optimization.lr": 5e-4,
            "batch_size": 32,
            "steps": 400,
            "examples": 1200,
        },
        tiny={"examples": 100},
        data="arguments",
        commands=(("classify pairs of your own", "nearfar train golf --data arguments.csv"),),
    ),
    Entry(
        slug="space-2",
        name="SPACE-2",
        field="text",
        paper="He et al., 2022, COLING, arXiv 2209.06638",
        target="nearfar.text.methods.space2:SPACE2",
        summary="Dialogs attract as much as the trees of their annotations have in common; others find themselves.",
        parts=Parts(
            views="two dropout masks of a dialog; dialogs as far as their domains, intents, slots and values agree",
            encoder="a transformer for dialogs, begun as ConvBERT",
            head="Linear and Tanh to ten subspaces, one for each way of comparing trees; a head for hidden words",
            loss="supervised contrast weighted by Jaccard similarities, and hidden words",
        ),
        paper_training={"epochs": 60, "batch_size": 256},
        laptop={
            "encoder": "tiny-bert",
            "pooling": "avg",
            "width": 64,
            "max_length": 32,
            "dropout": 0.1,
            "optimization.lr": 1e-3,
            "batch_size": 64,
            "steps": 250,
            "examples": 4000,
        },
        tiny={"examples": 100},
        data="dialogs",
        commands=(("learn from dialogs of your own", "nearfar train space-2 --data dialogs.jsonl"),),
    ),
)
