"""SimCLR: the composition of augmentations, the projection head, and the gain over the untrained encoder."""

from __future__ import annotations

import torch

from nearfar.evaluation import LinearProbe
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Data, Method, embed
from nearfar.vision.data import ImageArray, load
from nearfar.vision.evaluation import evaluate
from nearfar.vision.views import Recipe, gentle


def one_picture_each() -> Data:
    """Every digit in one style: what two views share of colour and background tells the digits apart, too."""
    groups = load()
    assert isinstance(groups, ImageArray)
    return ImageArray(groups.images, groups.labels, ids=groups.ids, name="one style each", splits=groups.splits())


def projected(method: Method, data: Data) -> dict[str, float]:
    """A linear probe in the space where views are compared."""
    sets = {"train": data, **data.splits()}
    found = {name: embed(method, each) for name, each in sets.items()}
    with method.frozen():
        z = {name: method.head(torch.from_numpy(x.array)).numpy() for name, x in found.items()}  # type: ignore[operator]
    probe = LinearProbe(seed=0).fit(z["train"], found["train"].labels)
    return {f"linear {name}": float(probe.score(z[name], found[name].labels)) for name in data.splits()}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = one_picture_each()
    full = gentle()
    views = {
        "simclr": full,
        "crop alone": Recipe(scale=full.scale, ratio=full.ratio, flip=full.flip),
        "colour alone": full.with_(scale=(1.0, 1.0), ratio=(1.0, 1.0)),
    }
    scores: dict[str, dict[str, float]] = {"untrained": evaluate(build("simclr", data, seed).eval(), data)}
    for name, recipe in views.items():
        method = train("simclr", build("simclr", data, seed, views=(recipe, recipe)), data, seed)
        scores[name] = evaluate(method, data)
        if name == "simclr":
            scores["projection"] = projected(method, data)
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""scikit-learn's handwriting, every digit in one drawn style, at 16 px; a four-layer conv net, 500 steps of
    128, AdamW. Both views are of one picture, so that its colours give it away unless the views change them. (With
    pairs of different styles, the embedded default, no arm can use colour, and all three sets of views do alike.)""",
    claims=(
        Claim("SimCLR beats its untrained encoder", "simclr", "untrained", "linear seen styles", role="sanity"),
        Claim("crops and colours together beat crops alone", "simclr", "crop alone", "linear seen styles"),
        Claim("crops and colours together beat colours alone", "simclr", "colour alone", "linear seen styles"),
        Claim("the representation beats its projection", "simclr", "projection", "linear seen styles", role="ablation"),
    ),
)
