"""Nodes with the objective left open."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="contrast-graphs",
        name="Nodes under any objective",
        field="graph",
        paper="after Le-Khac, Healy and Smeaton, 2020, arXiv 2010.05113",
        target="nearfar.graph.methods.contrast_graphs:ContrastGraphs",
        summary="The field's views and encoder with an objective by name: `--objective vicreg`.",
        parts=Parts(
            views="edges dropped, feature columns masked",
            encoder="2-layer graph convolution",
            head="2-layer MLP with ELU",
            loss="any of two views, by name",
        ),
        paper_training={"steps": 200, "batch_size": 256},
        laptop={"steps": 200, "optimization.lr": 2e-3},
        tiny={"nodes": 200},
    ),
)
