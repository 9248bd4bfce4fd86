"""Decoders of language models."""

from nearfar.system import Entry, Parts

VERBS = ("generates", "scores")
COMMANDS = (
    ("answers", "nearfar generate --decoding {slug} --model FOLDER --prompts prompts.jsonl -o answers.jsonl"),
    ("compare", "nearfar decodings greedy {slug} --model FOLDER --prompts prompts.jsonl"),
)


def _commands(slug: str) -> tuple[tuple[str, str], ...]:
    return tuple((purpose, command.format(slug=slug)) for purpose, command in COMMANDS)


ENTRIES = (
    Entry(
        slug="contrastive-decoding",
        name="Contrastive decoding, and for reasoning",
        field="decoding",
        kind="procedure",
        paper="Li et al., 2022, arXiv 2210.15097; O'Brien & Lewis, 2023, arXiv 2309.09117",
        target="nearfar.decoding.methods.contrastive_decoding:ContrastiveDecoding",
        summary="Writes what a large model finds likely and a small one does not, among plausible words.",
        parts=Parts(
            views="the same text read by an expert and by an amateur",
            encoder="two language models of one vocabulary, as they are",
            head="their own",
            loss="difference of log-probabilities under a plausibility constraint",
            update="none",
        ),
        verbs=VERBS,
        data="arithmetic",
        commands=_commands("contrastive-decoding"),
    ),
    Entry(
        slug="cad",
        name="Context-aware decoding",
        field="decoding",
        kind="procedure",
        paper="Shi et al., 2023, arXiv 2305.14739",
        target="nearfar.decoding.methods.cad:CAD",
        summary="Makes larger what a context changes: the model with its context against itself without.",
        parts=Parts(
            views="the prompt with and without its context",
            encoder="a language model as it is",
            head="its own",
            loss="extrapolation of logits",
            update="none",
        ),
        verbs=VERBS,
        data="facts",
        commands=_commands("cad"),
    ),
    Entry(
        slug="adacad",
        name="AdaCAD",
        field="decoding",
        kind="procedure",
        paper="Wang et al., 2024, arXiv 2409.07394",
        target="nearfar.decoding.methods.adacad:AdaCAD",
        summary="Context-aware decoding whose weight is how much the context disagrees with memory.",
        parts=Parts(
            views="the prompt with and without its context",
            encoder="a language model as it is",
            head="its own",
            loss="extrapolation of logits by their Jensen-Shannon divergence",
            update="none",
        ),
        verbs=VERBS,
        data="facts",
        commands=_commands("adacad"),
    ),
)
