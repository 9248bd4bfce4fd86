"""SwAV: balanced codes keep clusters from collapsing, and many small crops beat two large ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nearfar.catalogue import find
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.vision.projections import projections
from nearfar.training import Method
from nearfar.vision.data import load
from nearfar.vision.evaluation import evaluate
from nearfar.vision.methods import SwAV

SMALL = 8 * 8 / (16 * 16)  # what a small crop costs, as a share of a large one


class Unbalanced(SwAV):
    """Codes are plain softmax assignments: no prototype is owed a share."""

    def codes(self, scores: Tensor, crop: int) -> Tensor:
        return torch.softmax(scores.detach() / self.epsilon, 1)


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()
    held_out = next(iter(data.splits().values()))

    def measure(method: Method) -> dict[str, float]:
        assert isinstance(method, SwAV)
        with torch.no_grad():
            nearest = method.prototypes(torch.tensor(projections(method, held_out))).argmax(1).numpy()
        share = np.bincount(nearest) / len(nearest)
        entropy = -np.sum(share[share > 0] * np.log(share[share > 0]))
        return {**evaluate(method, data), "prototypes in use": float(np.exp(entropy))}

    laptop = find("swav").laptop
    longer = {"steps": round(laptop["steps"] * (2 + laptop["small_crops"] * SMALL) / 2)}
    return {
        "multi-crop": arm("swav", data, seed, measure),
        "two crops": arm("swav", data, seed, measure, small_crops=0, settings=longer),
        "unbalanced codes": arm("swav", data, seed, measure, cls=Unbalanced),
        "smooth codes": arm("swav", data, seed, measure, epsilon=0.5),
        "untrained": measure(build("swav", data, seed).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""scikit-learn's handwriting in drawn styles at 16 px; a four-layer conv net, 500 steps of 128, AdamW,
    64 prototypes, two crops of 16 px and four of 8 px. The arm with two crops has as many more steps as give its
    encoder the same number of pixels (750). Two arms spoil the codes: by a plain softmax in place of Sinkhorn's
    algorithm, and by epsilon 0.5 in place of 0.02. Prototypes in use: the perplexity of the nearest prototype over
    held-out images.""",
    explanation="""Everything about the codes holds. Many small crops do not pay here: a crop of 8 pixels of a digit is
    often not that digit any more, while on photographs a part of an object still shows it.""",
    claims=(
        Claim("SwAV beats its untrained encoder", "multi-crop", "untrained", "knn seen styles", role="sanity"),
        Claim("multi-crop beats two crops at equal cost", "multi-crop", "two crops", "knn seen styles"),
        Claim(
            "without balance fewer prototypes are in use",
            "multi-crop",
            "unbalanced codes",
            "prototypes in use",
            role="ablation",
        ),
        Claim("without balance it learns less", "multi-crop", "unbalanced codes", "knn seen styles", role="ablation"),
        Claim("codes that are too smooth teach less", "multi-crop", "smooth codes", "knn seen styles", role="ablation"),
    ),
)
