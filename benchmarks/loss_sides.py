"""The losses that are timed: nearfar's, the plain formula on full matrices, and other libraries'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import peers
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar import losses

TEMPERATURE = 0.1
# Rows of the queue that every query is compared with, as in MoCo but a quarter as long.
QUEUE = 16384
Loss = Callable[..., Tensor]


@dataclass(frozen=True)
class Workload:
    """One loss with all its implementations, ours first.

    Args:
        sides: name and function of each implementation; names of ours start with "nearfar".
        inputs: how many matrices of ``size`` rows it takes.
        entries: of the similarity matrix for ``size`` rows.
        bytes_per_entry: what a full-matrix version needs at its peak (measured, float32).
        queue: whether another input holds ``QUEUE`` rows without gradient.
    """

    sides: Callable[[], dict[str, Loss]]
    inputs: int
    entries: Callable[[int], int]
    bytes_per_entry: int
    queue: bool = False

    def tensors(self, size: int, width: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(0)
        found = [torch.randn(size, width, generator=generator).requires_grad_() for _ in range(self.inputs)]
        return [*found, torch.randn(QUEUE, width, generator=generator)] if self.queue else found


def plain_nt_xent(a: Tensor, b: Tensor) -> Tensor:
    z = F.normalize(torch.cat((a, b)), dim=1)
    logits = z @ z.t() / TEMPERATURE
    logits = logits.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf)
    return F.cross_entropy(logits, torch.arange(len(z), device=z.device).roll(len(a)))


def plain_symmetric(a: Tensor, b: Tensor) -> Tensor:
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).t() / TEMPERATURE
    target = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2


def plain_relic(o1: Tensor, o2: Tensor, t1: Tensor, t2: Tensor) -> Tensor:
    o1, o2, t1, t2 = (F.normalize(x, dim=1) for x in (o1, o2, t1.detach(), t2.detach()))
    target = torch.arange(len(o1), device=o1.device)
    logits = o1 @ t2.t() / TEMPERATURE, o2 @ t1.t() / TEMPERATURE
    p, r = (F.log_softmax(x, dim=1) for x in logits)
    contrastive = F.nll_loss(p, target) + F.nll_loss(r, target)
    there = F.kl_div(p, r, log_target=True, reduction="batchmean")
    return contrastive + there + F.kl_div(r, p, log_target=True, reduction="batchmean")


def plain_queue(q: Tensor, k: Tensor, queue: Tensor) -> Tensor:
    q, k, queue = (F.normalize(x, dim=1) for x in (q, k, queue))
    logits = torch.cat(((q * k).sum(1, keepdim=True), q @ queue.t()), dim=1) / TEMPERATURE
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=q.device))


def plain_supcon(z: Tensor) -> Tensor:
    labels = groups(z)
    z = F.normalize(z, dim=1)
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logits = (z @ z.t() / TEMPERATURE).masked_fill(own, -torch.inf)
    log_p = torch.log_softmax(logits, dim=1).masked_fill(own, 0.0)
    positive = (labels.unsqueeze(1) == labels.unsqueeze(0)) & ~own
    return -((log_p * positive).sum(1) / positive.sum(1)).mean()


def plain_sigmoid(a: Tensor, b: Tensor) -> Tensor:
    logits = F.normalize(a, dim=1) @ F.normalize(b, dim=1).t() / TEMPERATURE - 10.0
    signs = 2 * torch.eye(len(a), device=a.device) - 1
    return -F.logsigmoid(signs * logits).sum() / len(a)


def groups(z: Tensor) -> Tensor:
    """Labels of classes of four rows."""
    return torch.arange(len(z), device=z.device) // 4


def nt_xent_sides() -> dict[str, Loss]:
    found: dict[str, Loss] = {
        "nearfar": lambda a, b: losses.nt_xent(a, b, temperature=TEMPERATURE),
        "nearfar tau=0.005": lambda a, b: losses.nt_xent(a, b, temperature=0.005),
        "plain": plain_nt_xent,
    }
    lightly = peers.lightly_nt_xent()
    if lightly is not None:
        found["lightly"] = lambda a, b: lightly(a, b, TEMPERATURE)
    return found


def both(ours: Loss, plain: Loss) -> Callable[[], dict[str, Loss]]:
    return lambda: {"nearfar": ours, "plain": plain}


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


WORKLOADS = {
    "nt_xent": Workload(nt_xent_sides, 2, lambda n: 4 * n * n, 17),
    "symmetric_info_nce": Workload(
        both(lambda a, b: losses.symmetric_info_nce(a, b, temperature=TEMPERATURE), plain_symmetric),
        2,
        lambda n: n * n,
        18,
    ),
    "info_nce queue": Workload(
        both(
            lambda q, k, queue: losses.info_nce(q, k, temperature=TEMPERATURE, negatives=queue, in_batch=False),
            plain_queue,
        ),
        2,
        lambda n: n * QUEUE,
        18,
        queue=True,
    ),
    "supcon": Workload(
        both(lambda z: losses.supcon(z, groups(z), temperature=TEMPERATURE), plain_supcon), 1, lambda n: n * n, 22
    ),
    "sigmoid_pair_loss": Workload(
        both(lambda a, b: losses.sigmoid_pair_loss(a, b, temperature=TEMPERATURE, bias=-10.0), plain_sigmoid),
        2,
        lambda n: n * n,
        22,
    ),
    "relic": Workload(
        both(lambda *views: total(losses.relic(*views, temperature=TEMPERATURE, alpha=1.0)), plain_relic),
        4,
        lambda n: n * n,
        38,
    ),
}
