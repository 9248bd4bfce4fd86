"""VICReg: each of its terms prevents one kind of collapse."""

from __future__ import annotations

from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.vision.projections import probes_and_projections
from nearfar.vision.data import load


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()
    measure = probes_and_projections(data)
    return {
        "vicreg": arm("vicreg", data, seed, measure),
        "no variance term": arm("vicreg", data, seed, measure, variance=0.0),
        "no covariance term": arm("vicreg", data, seed, measure, covariance=0.0),
        "simclr": arm("simclr", data, seed, measure),
        "untrained": measure(build("vicreg", data, seed).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""scikit-learn's handwriting in drawn styles at 16 px; a four-layer conv net, 500 steps of 128, AdamW,
    embeddings of width 256 and the paper's weights 25, 25, 1. Two arms have one weight at 0; SimCLR has its own
    head and the same views, steps and rate.""",
    claims=(
        Claim("VICReg beats its untrained encoder", "vicreg", "untrained", "knn seen styles", role="sanity"),
        Claim("without the variance term embeddings shrink", "vicreg", "no variance term", "projection std"),
        Claim(
            "without the variance term it learns less",
            "vicreg",
            "no variance term",
            "linear seen styles",
            role="ablation",
        ),
        Claim(
            "without the covariance term dimensions repeat",
            "vicreg",
            "no covariance term",
            "projection rank",
            role="ablation",
        ),
        Claim(
            "without the covariance term it learns less",
            "vicreg",
            "no covariance term",
            "linear seen styles",
            role="ablation",
        ),
        Claim(
            "at equal steps it is as accurate as SimCLR, up to 0.02",
            "vicreg",
            "simclr",
            "linear seen styles",
            margin=-0.02,
        ),
    ),
)
