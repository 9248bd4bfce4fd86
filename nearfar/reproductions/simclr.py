"""SimCLR: the composition of augmentations, the projection head, and the gain over the untrained encoder."""

from __future__ import annotations

import torch

from nearfar.evaluation import knn
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Data, Method, embed
from nearfar.vision.data import load
from nearfar.vision.evaluation import evaluate
from nearfar.vision.views import Recipe, gentle


def projected_knn(method: Method, data: Data, test: Data) -> float:
    """Accuracy of nearest neighbours in the space where views are compared."""
    sets = [embed(method, data), embed(method, test)]
    with method.frozen():
        x, y = (method.head(torch.from_numpy(found.array)).numpy() for found in sets)  # type: ignore[operator]
    return knn(x, sets[0].labels, y, sets[1].labels)


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()
    test = data.splits()["seen styles"]
    full = gentle()
    views = {
        "simclr": full,
        "crop alone": Recipe(scale=full.scale, ratio=full.ratio, flip=full.flip),
        "colour alone": full.with_(scale=(1.0, 1.0), ratio=(1.0, 1.0)),
    }
    scores = {"untrained": evaluate(build("simclr", data, seed).eval(), data)}
    for name, recipe in views.items():
        method = train("simclr", build("simclr", data, seed, views=(recipe, recipe)), data, seed)
        scores[name] = evaluate(method, data)
        if name == "simclr":
            scores["projection"] = {"knn seen styles": projected_knn(method, data, test)}
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""scikit-learn's handwriting, eight drawn styles of each digit, at 16 px; a four-layer conv net, 500 steps
    of 128, AdamW. The two views of a digit are of different styles in every arm.""",
    claims=(
        Claim("SimCLR beats its untrained encoder", "simclr", "untrained", "knn seen styles"),
        Claim("crops and colours together beat crops alone", "simclr", "crop alone", "linear unseen styles"),
        Claim("crops and colours together beat colours alone", "simclr", "colour alone", "linear seen styles"),
        Claim("the representation beats its projection", "simclr", "projection", "knn seen styles"),
    ),
)
