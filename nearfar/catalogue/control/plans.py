"""Agents that draw plans."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="cdiffuser",
        name="CDiffuser",
        field="control",
        paper="Shan et al., 2024, arXiv 2402.02772",
        target="nearfar.control.methods.cdiffuser:CDiffuser",
        summary="A diffusion of plans whose states are pulled to those that much followed and pushed from the others.",
        parts=Parts(
            views="a denoised plan's states, states of high value and states of low value",
            encoder="U-net along time",
            head="linear",
            loss="ratio of similarities to high and to low states, beside the regression of plans",
            update="slow denoiser; gradients of denoiser and value in turn",
        ),
        verbs=("acts",),
        paper_training={"steps": 1_000_000, "batch_size": 64},
        laptop={
            "steps": 1000,
            "batch_size": 64,
            "horizon": 16,
            "noises": 10,
            "width": 16,
            "times": (1, 2),
            "contrast.weight": 0.05,
            "contrast.each": 8,
            "contrast.width": 32,
            "planning.plans": 8,
            "optimization.lr": 1e-3,
            "value_optimization.lr": 1e-3,
        },
        tiny={"steps": 2, "batch_size": 8, "horizon": 4, "width": 8, "times": (1,), "noises": 2},
        data="point-maze-corner-episodes",
    ),
)
