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
    Entry(
        slug="nlp-primer",
        name="Texts and labels as texts",
        field="text",
        paper="after Rethmeier and Augenstein, 2022, ACM Computing Surveys, arXiv 2102.12982",
        target="nearfar.text.methods.input_label:InputLabel",
        summary="Learns what may be said of a text, first its own words and then labels, and tells labels never seen.",
        parts=Parts(
            views="a text and words of it, or the text of its label; words and labels of others",
            encoder="BERT, for texts and labels by themselves",
            head="a cosine with scale and bias, a bilinear form, or two layers on both",
            loss="binary or ranking noise-contrastive estimation",
        ),
        verbs=("embeds", "predicts"),
        laptop={
            "encoder": "tiny-bert",
            "optimization.lr": 1e-3,
            "batch_size": 64,
            "steps": 300,
        },
        tiny={"examples": 200},
        data="named",
        commands=(("learn from labels in words", "nearfar train nlp-primer --data sentences.csv"),),
    ),
)
