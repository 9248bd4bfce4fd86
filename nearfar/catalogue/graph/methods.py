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
        paper_training={"steps": 200, "batch_size": 256},
        laptop={"steps": 200, "optimization.lr": 2e-3},
        tiny={"nodes": 200},
    ),
    Entry(
        slug="bgrl",
        name="BGRL",
        field="graph",
        paper="Thakoor et al., 2022, ICLR, arXiv 2102.06514",
        target="nearfar.graph.methods.bgrl:BGRL",
        summary="A node's embedding in one corruption predicts a slowly following network's in another; no negatives.",
        parts=Parts(
            views="edges dropped, feature columns masked",
            encoder="2-layer graph convolution with batch norm",
            head="2-layer predictor with PReLU",
            loss="cosine regression",
            update="a following network with weights of its own, momentum 0.99 to 1",
        ),
        paper_training={"steps": 10000, "batch_size": 1},
        laptop={"steps": 400, "optimization.lr": 1e-3},
        tiny={"steps": 3, "widths": (32, 16), "predictor_hidden": 32},
    ),
)
