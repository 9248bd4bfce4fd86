"""What is measured of a policy: whether it ranks held-out replies, and where replies are known exactly, how good its
own are and how far it went for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nearfar.preference.data.batches import PairBatch
from nearfar.preference.data.world import World
from nearfar.sources.data import in_order
from nearfar.system import Scores


def evaluate(method: Any, data: Any, *, seed: int = 0) -> Scores:
    """``accuracy`` in [0, 1]: of pairs, whether the chosen reply has the larger implicit reward (a half for a tie); of
    rated replies, whether the best one has the largest. ``chosen`` and ``rejected``: the mean log-ratios to the
    reference of the better and the worse (of rated replies: the mean of the other) replies, in nats; better ones often
    become less likely too. Where all replies are known, the exact numbers of :func:`exact`.
    """
    held = data.splits().get("test", data)
    right, good, bad = [], [], []
    for _, batch in in_order(held, 64):
        with torch.no_grad():
            ratios = method.rewards(batch).cpu()
        best = torch.zeros(len(ratios), dtype=torch.long) if isinstance(batch, PairBatch) else batch.rewards.argmax(1)
        first = ratios.gather(1, best[:, None]).squeeze(1)
        rest = (ratios.sum(1) - first) / (ratios.shape[1] - 1)
        others = ratios.scatter(1, best[:, None], -np.inf).max(1).values
        right += ((first > others).double() + 0.5 * (first == others).double()).tolist()
        good += first.tolist()
        bad += rest.tolist()
    named = {"accuracy": right, "chosen": good, "rejected": bad}
    scores = Scores({name: float(np.mean(each)) for name, each in named.items()}, neither=["chosen", "rejected"])
    world = getattr(held, "world", None)
    return scores if world is None else scores.add(exact(method, world))


def exact(method: Any, world: World, *, beta: float = 1.0) -> Scores:
    """Sums over every possible reply to every prompt of a known world.

    ``reward``: the mean reward of the policy's replies, where whatever is no possible reply is worth as little as the
    worst; ``lost``: how many of its replies are none; ``kl``: nats from the reference over possible replies;
    ``objective``: reward - beta kl; ``regret``: how far that is below its best value, ``beta log E_ref exp(r / beta)``.
    """
    count = len(world.replies)
    with torch.no_grad():
        replies = method.sequences(world.prompts, [world.replies] * len(world.prompts))
        shape = (len(world.prompts), count)
        policy = method.policy.logps(replies).double().cpu().view(shape).numpy()
        reference = method.reference_logps(replies).double().cpu().view(shape).numpy()
    p, r = np.exp(policy), world.rewards
    lost = np.clip(1 - p.sum(1), 0, 1)
    reward = ((p * r).sum(1) + lost * r.min(1)).mean()
    kl = (p * (policy - reference)).sum(1).mean()
    best = beta * np.log((np.exp(reference + r / beta)).sum(1)).mean()
    found = {"reward": reward, "lost": lost.mean(), "kl": kl, "objective": reward - beta * kl}
    found["regret"] = best - found["objective"]
    return Scores({name: float(value) for name, value in found.items()}, lower=["regret", "lost"], neither=["kl"])
