"""Methods that learn from pairs, triplets and judgements."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="sentence-bert",
        name="Sentence-BERT",
        field="text",
        paper="Reimers and Gurevych, 2019, EMNLP, arXiv 1908.10084",
        target="nearfar.text.methods.sentence_bert:SentenceBERT",
        summary="One encoder for both sentences of a pair, trained to rank partners or to give people's judgements.",
        parts=Parts(
            views="pairs; an anchor, its positive and its hard negatives; pairs with a score or a class",
            encoder="BERT, mean over tokens",
            head="none; a linear layer on both and their difference for classes",
            loss="multiple-negatives ranking, cosine regression, CoSENT, margins, or cross-entropy",
        ),
        paper_training={"epochs": 1, "batch_size": 16},
        laptop={
            "encoder": "tiny-bert",
            "max_length": 32,
            "optimization.lr": 5e-4,
            "batch_size": 64,
            "steps": 300,
        },
        tiny={"examples": 200},
        data="grammar-entailment",
        commands=(
            (
                "learn from judged pairs",
                "nearfar train sentence-bert --data sts.parquet --scored-pairs --objective cosent",
            ),
        ),
    ),
)
