"""IPO: comparisons that always come out the same make DPO forget its reference, whatever tau, and not IPO."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nearfar.losses import dpo_loss, ipo_loss
from nearfar.reproductions.harness import Claim, Reproduction

ORDER = ((0, 1), (1, 2), (0, 2))
STEPS, RATE, BATCH = 3000, 0.01, 9


def bandit(
    loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], pairs: tuple[tuple[int, int], ...], seed: int
) -> Tensor:
    """The log-probabilities of three arms after training on pairs that always come out so."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.zeros(3, requires_grad=True)
    reference = torch.full((3,), 1 / 3).log()
    optimizer = torch.optim.Adam([logits], lr=RATE)
    table = torch.tensor(pairs)
    for _ in range(STEPS):
        won, lost = table[torch.randint(len(pairs), (BATCH,), generator=draw)].T
        logp = logits.log_softmax(0)
        optimizer.zero_grad()
        loss(logp[won], logp[lost], reference[won], reference[lost]).backward()
        optimizer.step()
    return logits.detach().log_softmax(0)


def run(seed: int) -> dict[str, dict[str, float]]:
    arms: dict[str, dict[str, float]] = {"ipo": {}, "dpo": {}}
    for tau in (0.5, 1.0):
        for name, loss in (
            ("ipo", lambda *four, t=tau: ipo_loss(*four, tau=t)),
            ("dpo", lambda *four, t=tau: dpo_loss(*four, beta=t)),
        ):
            logp = bandit(loss, ORDER, seed)
            arms[name][f"kl at {tau:g}"] = float((logp.exp() * (logp + torch.tensor(3.0).log())).sum())
            arms[name][f"worst arm at {tau:g}"] = float(logp.exp()[2])
    only = bandit(lambda *four: ipo_loss(*four, tau=1.0), ((0, 1),), seed)
    arms["ipo"]["error"] = abs(float(only[0] - only[1]) - 0.5)
    arms["nothing"] = {"error": 0.05}
    return arms


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""The paper's bandit: three arms, a uniform reference, a policy of three numbers, comparisons that always
    prefer the first to the second to the third; Adam 0.01, 3,000 steps of nine sampled pairs (the paper trains longer),
    the strength of the penalty (tau, beta) 0.5 and 1.""",
    claims=(
        Claim("At strength 1 IPO stays closer to the reference than DPO", "ipo", "dpo", "kl at 1", better="lower",
              margin=0.3),
        Claim("At strength 1 IPO keeps exploring the third arm where DPO has given it up", "ipo", "dpo",
              "worst arm at 1", margin=0.05),
        Claim("At strength 0.5 IPO stays closer to the reference than DPO", "ipo", "dpo", "kl at 0.5", better="lower"),
        Claim("With one pair alone the log-ratio ends at 1 / (2 tau)", "ipo", "nothing", "error", better="lower",
              role="sanity"),
    ),
)  # fmt: skip
