"""Systems that read captions and pictures as one language."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="cm3leon",
        name="CM3Leon",
        field="generation",
        paper="Yu et al., 2023, arXiv 2309.02591",
        target="nearfar.generation.methods.cm3leon:CM3Leon",
        summary="A causal language model of captions and pictures with a memory, decoded against itself (CD-K).",
        parts=Parts(
            views="captions and pictures as tokens, spans masked and moved to the end, retrieved documents before them",
            encoder="causal transformer",
            head="linear layer to tokens",
            loss="cross-entropy of the next token; in decoding the difference to the model without the caption",
        ),
        verbs=("generates",),
        # The smallest model's 1.4 trillion tokens in steps of 8 million, not checked against the paper's text.
        paper_training={"steps": 175_000, "batch_size": 2048},
        laptop={
            "tokens": "patches:3",
            "words": 512,
            "retrieval.documents": 1,
            "retrieval.size": 2000,
            "decoding.rank": 2,
            "net.width": 64,
            "net.depth": 3,
            "net.heads": 4,
            "batch_size": 32,
            "steps": 600,
            "optimization.lr": 3e-3,
            "optimization.warmup": 0.05,
        },
        data="digits",
        tiny={"steps": 2, "net.width": 8, "net.depth": 1, "net.heads": 1, "words": 64, "retrieval.size": 40},
        commands=(("make pictures of captions", "nearfar generate RUN TABLE -o FOLDER"),),
        tags={"negatives": "none"},
    ),
)
