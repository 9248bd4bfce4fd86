"""Methods on graphs."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="grace",
        name="GRACE",
        field="graph",
        paper="Zhu et al., 2020, ICML workshop, arXiv 2006.04131",
        target="nearfar.graph.methods.grace:GRACE",
        summary="A node finds itself in another corruption of the graph among all nodes of both.",
        parts=Parts(
            views="edges dropped, feature columns masked",
            encoder="2-layer graph convolution",
            head="2-layer MLP with ELU",
            loss="node InfoNCE with negatives within and between views",
        ),
        laptop={"steps": 200, "optimization.lr": 2e-3},
        tiny={"nodes": 200},
    ),
)
