"""Policies inside of solvers."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="cambranch",
        name="CAMBranch",
        field="control",
        paper="Lin et al., 2024, ICLR, arXiv 2402.03647",
        target="nearfar.control.methods.cambranch:CAMBranch",
        summary="Learns on which variable strong branching would branch, from nodes and the same nodes moved.",
        parts=Parts(
            views="a node of branch and bound, and the same with every variable moved",
            encoder="graph network between columns and rows",
            head="largest and mean of the columns and rows, 2-layer MLP",
            loss="cross-entropy with strong branching's choice on both, and InfoNCE within the batch",
        ),
        verbs=("predicts",),
        paper_training={"steps": 30_000, "batch_size": 32},
        laptop={"steps": 300, "batch_size": 16, "hidden": 32},
        tiny={"steps": 2, "batch_size": 8, "hidden": 8},
        data="set-cover",
        commands=(
            ("ask SCIP about your own problems", "nearfar data branchings a.mps b.mps -o branchings.npz"),
            ("learn from that", "nearfar train cambranch --data branchings.npz"),
            ("solve one by it", "nearfar solve c.mps --run runs/cambranch"),
        ),
    ),
)
