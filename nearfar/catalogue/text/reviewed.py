"""What reviews of contrast on texts make into software."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="text-transformations",
        name="Transformed texts",
        field="text",
        paper="after Bhattacharjee et al., 2022, IJCAI, arXiv 2203.12000",
        target="nearfar.text.methods.transformed:TransformedText",
        summary="Any two transforms of a sentence as its views, out of nineteen by name and the user's own.",
        parts=Parts(
            views="a sentence under two transforms: of characters, words, spans, sentences, or inside the encoder",
            encoder="BERT or RoBERTa",
            head="Linear and Tanh",
            loss="InfoNCE, one direction, with hard negatives",
        ),
        paper_training={"epochs": 1, "batch_size": 64},
        laptop={
            "encoder": "tiny-bert",
            "pooling": "avg",
            "optimization.lr": 5e-4,
            "optimization.warmup": 0.05,
            "batch_size": 64,
            "steps": 300,
        },
        tiny={"examples": 200},
        commands=(
            ("measure transforms", "nearfar transforms sentences.txt --judge RUN"),
            ("learn with one", "nearfar train text-transformations --second synonyms --data sentences.txt"),
        ),
    ),
)
