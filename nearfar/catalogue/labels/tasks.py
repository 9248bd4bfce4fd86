"""Methods for tasks that arrive one after another."""

from nearfar.catalogue.labels.labelled import SMALL, TINY
from nearfar.system import Entry, Parts

STREAM = {**SMALL, "batch_size": 64, "steps": 500}

ENTRIES = (
    Entry(
        slug="cassle",
        name="CaSSLe",
        field="labels",
        paper="Fini et al., 2022, CVPR, arXiv 2112.04215",
        target="nearfar.labels.methods.cassle:CaSSLe",
        summary="On task after task the present projections must predict those of the network before the task.",
        parts=Parts(
            views="two random crops with colour distortion",
            encoder="ResNet for small pictures",
            head="2-layer MLP with batch norm, and a predictor of the past",
            loss="NT-Xent + InfoNCE of predicted and past projections, both directions",
            update="a frozen copy of the network, taken when a task begins",
        ),
        paper_training={"epochs": 500, "batch_size": 256},
        laptop={**STREAM, "hidden": 128},
        tiny={**TINY, "size": 8},
        data="digit-tasks",
        commands=(("stream", "nearfar train cassle --data pictures/ --tasks 5"),),
    ),
)
