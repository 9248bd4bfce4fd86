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
)
