"""CMC: contrast of views beats predicting one from another, and more views make a better representation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.evaluation import linear_probe
from nearfar.multimodal.data.generated import scene_views
from nearfar.multimodal.data.shape_scenes import shape_scenes
from nearfar.multimodal.data.tuples import Tuples
from nearfar.multimodal.methods import CMC
from nearfar.multimodal.tuple_method import TupleMethod
from nearfar.multimodal.tuples import TupleBatch
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.claims import Claim, Reproduction
from nearfar.sources.data import in_order
from nearfar.training import Method, Optimization

SETTINGS = {"steps": 160, "batch_size": 32}
CHANGES: dict[str, Any] = {
    "graph": "core",
    "drawn": 128,
    "optimization": Optimization("adamw", lr=2e-3, weight_decay=1e-4, warmup=0.1),
}
ATTRIBUTES = ("shape", "size", "place")
SIZE = 24


class Prediction(CMC):
    """The same towers and heads, asked for the pixels of the other views, averaged over squares of six: the cross-view
    prediction that the paper compares with."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        count = len(self.encoder.towers)
        self.predict = nn.ModuleList(nn.Linear(self.encoder.width, 3 * 16 * (count - 1)) for _ in range(count))

    def loss(self, views: TupleBatch) -> Tensor:
        pixels = [F.adaptive_avg_pool2d(x.float() / 255, 4).flatten(1) for x in views.cells.values()]
        losses = []
        for view, z in enumerate(self.encoder.each(views)):
            others = torch.cat([x for other, x in enumerate(pixels) if other != view], 1)
            losses.append(F.mse_loss(self.predict[view](z), others))
        return torch.stack(losses).sum()

    def after_step(self) -> None:
        """There is no memory."""


def luminance(method: Method, data: Tuples) -> np.ndarray:
    """What the tower of the first view says, before its head."""
    assert isinstance(method, TupleMethod)
    with method.frozen():
        found = [method.encoder.towers[0](batch.cells["luminance"]) for _, batch in in_order(data, 256)]
    return torch.cat(found).numpy()


def some(data: Tuples, names: tuple[str, ...]) -> Tuples:
    """The collection with these views only."""
    held = data.splits()["test"]
    assert isinstance(held, Tuples)
    test = Tuples({n: held.columns[n] for n in names}, held.labels, name="test")
    return Tuples({n: data.columns[n] for n in names}, data.labels, name=data.name, splits={"test": test})


def attributes(data: Tuples, seed: int, split: str) -> dict[str, np.ndarray]:
    """What was drawn in each of the scenes that :func:`scene_views` made by a seed."""
    drawn = shape_scenes(len(data), seed=seed, split=split, size=SIZE).attributes
    assert data.labels is not None
    assert (drawn["shape"][:, 0] == data.labels).all()
    return {name: drawn[name][:, 0] for name in ATTRIBUTES}


def run(seed: int) -> dict[str, dict[str, float]]:
    views = scene_views(600, size=SIZE, seed=10 * seed, held_out=2)
    two = some(views, ("luminance", "chrominance"))
    labelled = scene_views(1500, size=SIZE, seed=10 * seed + 5)
    test = labelled.splits()["test"]
    assert isinstance(test, Tuples)
    known, asked = attributes(labelled, 10 * seed + 5, "train"), attributes(test, 10 * seed + 6, "test_seen")

    def probe(method: Method) -> dict[str, float]:
        here, there = luminance(method, labelled), luminance(method, test)
        found = {name: linear_probe(here, known[name], there, asked[name], seed=seed).accuracy for name in ATTRIBUTES}
        return {**found, "attributes": sum(found.values()) / len(found)}

    more = dict(views.facts)
    return {
        "cmc": arm("cmc", views, seed, probe, settings=SETTINGS, **CHANGES),
        "cmc, two views": arm("cmc", two, seed, probe, settings=SETTINGS, **CHANGES),
        "prediction": arm("cmc", views, seed, probe, cls=Prediction, settings=SETTINGS, **CHANGES, **more),
        "untrained": probe(build("cmc", views, seed, **CHANGES).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting="""600 drawn scenes of one shape at 24 pixels as four views: luminance, chrominance, edges and depth. A
    small conv net for each view, 160 steps of 32, AdamW, softmax over 128 rows of each memory, luminance with each
    other view. Measured are linear probes of shape, size and place, and their mean, from the luminance network alone:
    fitted on 1,500 scenes of their own and asked on 600 others. Prediction is the same networks asked for the 4 by 4
    averaged pixels of the other views.""",
    claims=(
        Claim("contrast beats cross-view prediction", "cmc", "prediction", "attributes"),
        Claim("four views beat two", "cmc", "cmc, two views", "attributes"),
        Claim("CMC beats its untrained network", "cmc", "untrained", "attributes", role="sanity"),
    ),
)
