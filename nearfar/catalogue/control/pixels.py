"""Agents that learn from pixels."""

from nearfar.system import Entry, Parts

SMALL = {"sac.hidden": 128, "sac.discount": 0.97}

ENTRIES = (
    Entry(
        slug="curl",
        name="CURL",
        field="control",
        paper="Laskin, Srinivas and Abbeel, 2020, ICML, arXiv 2004.04136",
        target="nearfar.control.methods.curl:CURL",
        summary="Two crops of one stack of frames find each other, beside soft actor-critic on the same encoder.",
        parts=Parts(
            views="two random crops of a stack of frames",
            encoder="four convolutions, linear, layer norm",
            head="a learned product",
            loss="InfoNCE within the batch",
            update="slow encoder of the target critics; gradients of critic, actor, price and contrast in turn",
        ),
        verbs=("acts",),
        paper_training={"steps": 100_000, "batch_size": 512},
        laptop={"steps": 800, "batch_size": 64, **SMALL},
        tiny={"steps": 2, "batch_size": 8, "sac.hidden": 16, "sac.filters": 8},
        data="pixel-pendulum",
    ),
    Entry(
        slug="drq",
        name="DrQ",
        field="control",
        paper="Yarats, Kostrikov and Fergus, 2020, ICLR 2021, arXiv 2004.13649",
        target="nearfar.control.methods.drq:DrQ",
        summary="Soft actor-critic whose targets and regressions are averaged over random shifts of the same picture.",
        parts=Parts(
            views="two random shifts of a stack of frames, and two of the next one",
            encoder="four convolutions, linear, layer norm, tanh",
            head="none",
            loss="regression on a target averaged over views",
            update="slow critics; gradients of critic, actor and price in turn",
        ),
        verbs=("acts",),
        paper_training={"steps": 100_000, "batch_size": 512},
        laptop={"steps": 500, "batch_size": 64, "pad": 2, **SMALL},
        tiny={"steps": 2, "batch_size": 8, "sac.hidden": 16, "sac.filters": 8},
        data="pixel-pendulum",
    ),
)
