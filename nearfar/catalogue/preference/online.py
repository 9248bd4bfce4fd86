"""Language models that follow rewards, or draw replies while they train."""

from nearfar.catalogue.preference.policies import QUICK, TINY, VERBS, commands
from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="copg",
        name="Contrastive policy gradient",
        field="preference",
        paper="Flet-Berliac et al., 2024, EMNLP, arXiv 2406.19185",
        target="nearfar.preference.methods.copg:CoPG",
        summary="Follows rewards of replies from anywhere, each reply's baseline the reward of another.",
        parts=Parts(
            views="several replies to a prompt, recorded or drawn from the policy, with rewards",
            encoder="a language model, all weights or adapters",
            head="reward less the log-ratio to a frozen reference",
            loss="squared differences of regularised rewards within a prompt",
        ),
        verbs=VERBS,
        paper_training={"epochs": 1, "batch_size": 64},
        laptop={"steps": 400, "batch_size": 32, "beta": 1.0, "drawing.new": 4, **QUICK},
        tiny=TINY,
        data="rated",
        commands=commands("copg", "rated.jsonl"),
    ),
    Entry(
        slug="hypo",
        name="Hybrid preference optimization",
        field="preference",
        paper="Song et al., 2024, NeurIPS, arXiv 2406.01462",
        target="nearfar.preference.methods.hypo:HyPO",
        summary="DPO, held to its reference where nothing was compared, by replies that the policy draws.",
        parts=Parts(
            views="a chosen and a rejected reply; replies of the policy's own to the same prompt",
            encoder="a language model, all weights or adapters",
            head="log-ratio to a frozen reference",
            loss="DPO, and the divergence of the policy's own replies from the reference",
        ),
        verbs=VERBS,
        paper_training={"epochs": 1, "batch_size": 64},
        laptop={"steps": 300, "batch_size": 32, "beta": 1.0, "kl": 0.1, "drawing.k": 2, "drawing.new": 4, **QUICK},
        tiny=TINY,
        data="replies",
        commands=commands("hypo", "pairs.jsonl"),
    ),
    Entry(
        slug="mpo",
        name="Mixed preference optimization",
        field="preference",
        paper="Gou & Nguyen, 2024, arXiv 2403.19443",
        target="nearfar.preference.methods.mpo:MPO",
        summary="DPO on comparisons that are easy to tell, then reinforcement on the prompts of the others.",
        parts=Parts(
            views="pairs of replies, split by a model of rewards; replies of the policy's own",
            encoder="a language model, all weights",
            head="log-ratio to a reference, which moves to DPO's result",
            loss="Bradley-Terry, DPO and a leave-one-out policy gradient in turn",
            update="the reference is replaced once",
        ),
        verbs=VERBS,
        paper_training={"epochs": 1, "batch_size": 64},
        laptop={"steps": 500, "batch_size": 32, "beta": 1.0, "drawing.new": 4, **QUICK},
        tiny=TINY,
        data="replies",
        commands=commands("mpo", "pairs.jsonl")[1:],
    ),
)
