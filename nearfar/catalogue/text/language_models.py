"""Methods that need a language model, as what is trained or as who is asked."""

from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="prompteol",
        name="PromptEOL",
        field="text",
        paper="Jiang et al., 2024, Findings of EMNLP, arXiv 2307.16645",
        target="nearfar.text.methods.prompteol:PromptEOL",
        summary="A language model is asked for a sentence in one word, and its state before the word is the embedding.",
        parts=Parts(
            views="a sentence, what it entails and what contradicts it, each inside a prompt",
            encoder="a causal language model with low-rank adapters, the last token's state",
            head="none",
            loss="InfoNCE, one direction, with hard negatives",
        ),
        paper_training={"epochs": 1, "batch_size": 256},
        laptop={
            "encoder": "tiny-llama",
            "lora.rank": 0,
            "optimization.lr": 1e-3,
            "max_length": 64,
            "batch_size": 16,
            "steps": 100,
            "examples": 2000,
        },
        tiny={"examples": 40, "max_length": 16},
        data="grammar-entailment",
    ),
    Entry(
        slug="ranked-sentences",
        name="Ranking-sentence refinement",
        field="text",
        paper="Hu et al., 2025, Findings of ACL, arXiv 2502.13656",
        target="nearfar.text.methods.ranked_sentences:RankedSentences",
        summary="A language model rewrites a sentence on and on, and a trained embedder learns the order of the list.",
        parts=Parts(
            views="a sentence and its rewrites, in their order, and a teacher's similarities of them",
            encoder="a sentence encoder that is trained already",
            head="none",
            loss="ListMLE on cosines, in the teacher's order corrected by places in the list",
        ),
        paper_training={"epochs": 1, "batch_size": 1},
        laptop={
            "encoder": "tiny-bert",
            "teacher": "tiny-bert",
            "pooling": "avg",
            "teacher_pooling": "avg",
            "optimization.lr": 3e-4,
            "optimization.warmup": 0.05,
            "batch_size": 8,
            "steps": 200,
        },
        tiny={"examples": 80},
        data="grammar-chains",
        commands=(
            ("write lists", "nearfar rewrite sentences.txt --model hf:<model> -o lists.csv"),
            ("learn from them", "nearfar train ranked-sentences --data lists.csv"),
        ),
    ),
)
