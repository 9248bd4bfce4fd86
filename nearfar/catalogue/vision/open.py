"""Images with the objective left open."""

from nearfar.catalogue.vision.founding import SMALL
from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="contrast-images",
        name="Images under any objective",
        field="vision",
        paper="after Le-Khac, Healy and Smeaton, 2020, arXiv 2010.05113",
        target="nearfar.vision.methods.contrast_images:ContrastImages",
        summary="The field's views and encoder with an objective by name: `--objective vicreg`.",
        parts=Parts(
            views="two random crops with colour distortion and blur",
            encoder="ResNet",
            head="2-layer MLP with batch norm",
            loss="any of two views, by name",
        ),
        paper_training={"epochs": 1000, "batch_size": 4096},
        laptop={**SMALL, "projection_hidden": 256, "projection_dim": 64, "temperature": 0.2, "views": "gentle"},
        tiny={"projection_hidden": 32},
    ),
)
