"""Methods that learn from labels: all of them, rare ones, hierarchies, weak ones."""

from nearfar.system import Entry, Parts

# What methods on labelled pictures change for the embedded digits: a network, heads and a rate for a processor.
SMALL = {
    "encoder": "small-conv",
    "optimization.optimizer": "adamw",
    "optimization.lr": 2e-3,
    "optimization.weight_decay": 1e-4,
    "optimization.warmup": 0.05,
    "optimization.decay_all": False,
    "batch_size": 128,
    "steps": 400,
    "views": "gentle",
    "projection_dim": 64,
}
TINY = {"steps": 2, "batch_size": 32}

ENTRIES = (
    Entry(
        slug="supcon",
        name="SupCon",
        field="labels",
        paper="Khosla et al., 2020, arXiv 2004.11362",
        target="nearfar.labels.methods.supcon:SupCon",
        summary="Every view of a picture of the same class is a positive, averaged outside the logarithm.",
        parts=Parts(
            views="two random crops with colour distortion",
            encoder="ResNet for small pictures",
            head="2-layer MLP without norm",
            loss="supervised contrastive, positives outside the logarithm",
        ),
        paper_training={"epochs": 1000, "batch_size": 1024},
        laptop=SMALL,
        tiny=TINY,
    ),
)
