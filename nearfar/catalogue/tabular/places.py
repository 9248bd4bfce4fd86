"""Methods on places."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="spatial-embeddings",
        name="Multi-view spatial embeddings",
        field="tabular",
        paper="Holvoet et al., 2025, arXiv 2511.17954",
        target="nearfar.tabular.methods.spatial_embeddings:SpatialEmbeddings",
        summary="Coordinates find the picture, counts and columns of their place; afterwards they embed any place.",
        parts=Parts(
            views="a place's coordinates, and what is known of it: pictures, counts around it, columns",
            encoder="spherical harmonics and layers of sines, in float64",
            head="a small network for each view and an MLP that fuses them",
            loss="symmetric InfoNCE with a learnable temperature",
        ),
        verbs=("embeds",),
        paper_training={"epochs": 500, "batch_size": 512},
        laptop={"epochs": 40, "batch_size": 256, "degrees": 24, "dropout": 0.1, "optimization.lr": 1e-4},
        tiny={"epochs": 1, "degrees": 8},
        data="region",
        commands=(("embed places by their coordinates", "nearfar embed RUN places.csv -o vectors.parquet"),),
    ),
)
