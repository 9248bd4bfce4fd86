"""The review: contrastive losses as bounds of mutual information, tight only as far as the logarithm of their size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nearfar.reproductions.harness import Claim, Reproduction

DIM, RHO, BATCHES = 5, 0.95, 200
TRUTH = -0.5 * DIM * math.log(1 - RHO**2)


def density_ratio(x: Tensor, y: Tensor) -> Tensor:
    """(N, N) log p(y_j | x_i) / p(y_j): the critic that no training can beat."""
    var = 1 - RHO**2
    apart = (y[None] - RHO * x[:, None]).square().sum(2)
    return -0.5 * (apart / var - y.square().sum(1)[None]) - 0.5 * DIM * math.log(var)


def bounds(scores: Tensor) -> dict[str, float]:
    """Three bounds of the information from the scores (N, N) of one batch: InfoNCE, Donsker-Varadhan, NWJ."""
    n = len(scores)
    joint = scores.diagonal().mean()
    apart = scores[~torch.eye(n, dtype=torch.bool)]
    log_mean = torch.logsumexp(apart, 0) - math.log(len(apart))
    return {
        "InfoNCE": float((scores.diagonal() - torch.logsumexp(scores, 1)).mean() + math.log(n)),
        "DV": float(joint - log_mean),
        "NWJ": float(joint - (log_mean + 0.0).exp() + 1),
    }


def run(seed: int) -> dict[str, dict[str, float]]:
    generator = torch.Generator().manual_seed(seed)
    scores: dict[str, dict[str, float]] = {}
    for n in (64, 512):
        found: dict[str, list[float]] = {}
        for _ in range(BATCHES):
            x, noise = (torch.randn(n, DIM, generator=generator, dtype=torch.float64) for _ in range(2))
            y = RHO * x + math.sqrt(1 - RHO**2) * noise
            for name, value in bounds(density_ratio(x, y)).items():
                found.setdefault(name, []).append(value)
        for name, values in found.items():
            each = torch.tensor(values)
            error = float((each.mean() - TRUTH).abs())
            scores[f"{name} {n}"] = {"error": error, "deviation": float(each.std()), "largest": float(each.max())}
    scores["logarithm of 64"] = {"largest": math.log(64)}
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting=f"""Two Gaussian vectors of {DIM} dimensions with correlation {RHO}, whose mutual information is
    {TRUTH:.2f} nats; the density ratio itself as critic, so that nothing is trained; {BATCHES} batches of 64 and of 512
    pairs. Error of the mean estimate and deviation over batches, in nats.""",
    claims=(
        Claim("InfoNCE stays below the log of its size", "InfoNCE 64", "logarithm of 64", "largest", "lower", -0.5),
        Claim("more negatives bring InfoNCE closer", "InfoNCE 512", "InfoNCE 64", "error", better="lower", margin=0.5),
        Claim("InfoNCE varies less than Donsker-Varadhan", "InfoNCE 64", "DV 64", "deviation", better="lower"),
        Claim("InfoNCE varies less than NWJ", "InfoNCE 64", "NWJ 64", "deviation", better="lower", role="ablation"),
    ),
)
