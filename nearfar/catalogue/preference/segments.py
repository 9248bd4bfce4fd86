"""Policies of agents from comparisons of segments."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="cpl",
        name="Contrastive preference learning",
        field="preference",
        paper="Hejna et al., 2023, ICLR 2024, arXiv 2310.13639",
        target="nearfar.preference.methods.cpl:CPL",
        summary="Learns a policy from which of two segments has less regret, without rewards or reinforcement.",
        parts=Parts(
            views="two segments of episodes, one preferred",
            encoder="a policy's network",
            head="summed log-probabilities of what was done",
            loss="asymmetric logistic regression on their difference",
            update="imitation first",
        ),
        verbs=("acts",),
        paper_training={"steps": 500_000, "batch_size": 96},
        laptop={
            "steps": 1500,
            "batch_size": 96,
            "hidden": (64, 64),
            "dropout": 0.0,
            "optimization.lr": 1e-3,
        },
        tiny={"steps": 20, "batch_size": 32},
        data="crossing",
        commands=(("your own segments", "nearfar train cpl --data segments.npz --out RUN"),),
    ),
)
