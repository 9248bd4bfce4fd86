"""Methods that find passages for queries."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="nv-retriever",
        name="NV-Retriever",
        field="text",
        paper="Moreira et al., 2024, arXiv 2407.15831",
        target="nearfar.text.methods.nv_retriever:NVRetriever",
        summary="Hard negatives from a teacher, without those that score almost as high as the query's own positive.",
        parts=Parts(
            views="a query, its passage, and passages mined by a teacher under positive-aware rules",
            encoder="a sentence encoder; Mistral in the paper's largest",
            head="none",
            loss="InfoNCE with hard negatives, first among all passages of the batch, then among a query's own",
        ),
        paper_training={"epochs": 1, "batch_size": 128},
        laptop={
            "encoder": "tiny-bert",
            "teacher": "tiny-bert",
            "teacher_pooling": "avg",
            "max_length": 32,
            "optimization.lr": 5e-4,
            "batch_size": 16,
            "steps": 120,
            "examples": 2000,
        },
        tiny={"examples": 60},
        data="grammar-retrieval",
        commands=(
            ("mine by a trained teacher", "nearfar mine RUN pairs.parquet -o triplets.parquet"),
            ("learn from what was mined", "nearfar train nv-retriever --data triplets.parquet"),
            ("find passages", "nearfar search RUN corpus.jsonl queries.jsonl -o ranked.parquet"),
        ),
    ),
    Entry(
        slug="listconranker",
        name="ListConRanker",
        field="text",
        paper="2025, arXiv 2501.07111",
        target="nearfar.text.methods.listconranker:ListConRanker",
        summary="A reranker whose passages see one another before each is scored, trained with the circle loss.",
        parts=Parts(
            views="a query with a list of passages, right and wrong ones",
            encoder="a sentence encoder, for query and passages one by one",
            head="a transformer over the list, and two layers on query and passage before and after it",
            loss="circle loss of the list's scores",
        ),
        verbs=("ranks",),
        paper_training={"epochs": 6, "batch_size": 256},
        laptop={
            "encoder": "tiny-bert",
            "width": 128,
            "heads": 4,
            "hidden": 256,
            "frozen": 0.3,
            "max_length": 32,
            "optimization.lr": 1e-3,
            "batch_size": 16,
            "steps": 150,
            "examples": 2000,
        },
        tiny={"examples": 40},
        data="grammar-lists",
        commands=(
            ("learn from lists of your own", "nearfar train listconranker --data lists.jsonl --lists"),
            ("put a search in order", "nearfar search RUN corpus.jsonl queries.jsonl --rerank RERANKER -o ranked.csv"),
        ),
    ),
)
