"""Methods for texts of several domains."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="moe-embeddings",
        name="Mixture-of-experts embeddings",
        field="text",
        paper="Hallee, Kapur, Patel, Gleghorn and Khomtchouk, 2024, arXiv 2401.15713",
        target="nearfar.text.methods.moe_embeddings:MoEEmbeddings",
        summary="One encoder for several domains: attention is shared, and each domain has its feed-forward layers.",
        parts=Parts(
            views="two texts of one domain that belong together, such as papers that are cited together",
            encoder="ModernBERT with a copy of every feed-forward layer for each domain, and a token of the domain",
            head="layer norm, Linear, Tanh and Linear, kept",
            loss="ranking in the batch both ways, of products, with targets by who is like whom",
        ),
        paper_training={"epochs": 1, "batch_size": 16},
        laptop={
            "encoder": "tiny-bert",
            "max_length": 32,
            "normalize": True,
            "temperature": 0.05,
            "optimization.lr": 1e-3,
            "optimization.warmup": 0.05,
            "batch_size": 32,
            "steps": 200,
        },
        tiny={"examples": 100},
        data="grammar-domains",
        commands=(("learn from pairs of your own domains", "nearfar train moe-embeddings --data pairs.csv"),),
    ),
)
