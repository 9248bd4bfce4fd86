"""Language models from comparisons of replies."""

from nearfar.system import Entry, Parts

VERBS = ("generates", "scores")
QUICK = {
    "optimization.optimizer": "adamw",
    "optimization.lr": 3e-4,
    "optimization.warmup": 0.1,
    "optimization.schedule": "linear",
}
TINY = {"steps": 20, "batch_size": 32}


def commands(slug: str, data: str) -> tuple[tuple[str, str], ...]:
    return (
        ("adapters on your own model", f"nearfar train {slug} --model FOLDER --data {data} --lora.rank 16 --out RUN"),
        ("a folder for transformers", "nearfar export-policy RUN -o FOLDER"),
        ("replies", "nearfar generate RUN -o replies.jsonl"),
    )


ENTRIES = (
    Entry(
        slug="dpo",
        name="Direct preference optimization",
        field="preference",
        paper="Rafailov et al., 2023, NeurIPS, arXiv 2305.18290",
        target="nearfar.preference.methods.dpo:DPO",
        summary="Fits a language model to comparisons of replies as if it were the model of their rewards.",
        parts=Parts(
            views="a chosen and a rejected reply to the same prompt",
            encoder="a language model, all weights or adapters",
            head="log-ratio to a frozen reference",
            loss="logistic regression on the difference of log-ratios",
        ),
        verbs=VERBS,
        paper_training={"epochs": 1, "batch_size": 64},
        laptop={"steps": 400, "batch_size": 64, "beta": 1.0, **QUICK},
        tiny=TINY,
        data="replies",
        commands=commands("dpo", "pairs.jsonl"),
    ),
    Entry(
        slug="ipo",
        name="Identity preference optimization",
        field="preference",
        paper="Azar et al., 2023, AISTATS 2024, arXiv 2310.12036",
        target="nearfar.preference.methods.ipo:IPO",
        summary="Draws the margin between two replies to a finite target, so that certain comparisons do not run away.",
        parts=Parts(
            views="a chosen and a rejected reply to the same prompt",
            encoder="a language model, all weights or adapters",
            head="log-ratio to a frozen reference, a mean over tokens",
            loss="squared distance of the margin from its target",
        ),
        verbs=VERBS,
        paper_training={"epochs": 1, "batch_size": 64},
        laptop={"steps": 400, "batch_size": 64, "tau": 1.0, **QUICK},
        tiny=TINY,
        data="replies",
        commands=commands("ipo", "pairs.jsonl"),
    ),
    Entry(
        slug="nca",
        name="NCA and InfoNCA",
        field="preference",
        paper="Chen et al., 2024, NeurIPS, arXiv 2402.05369",
        target="nearfar.preference.methods.nca:NCA",
        summary="Tells good replies from others by their rewards, each by itself or all of a prompt together.",
        parts=Parts(
            views="several replies to a prompt, with rewards",
            encoder="a language model, all weights or adapters",
            head="log-ratio to a frozen reference",
            loss="binary decisions, or a softmax over the replies, against soft labels",
        ),
        verbs=VERBS,
        paper_training={"epochs": 1, "batch_size": 32},
        laptop={"steps": 400, "batch_size": 32, "beta": 1.0, "temperature": 1.0, **QUICK},
        tiny=TINY,
        data="rated",
        commands=commands("nca", "rated.jsonl"),
    ),
)
