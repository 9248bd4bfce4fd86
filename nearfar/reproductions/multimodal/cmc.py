"""CMC: contrast of views beats predicting one from another, and more views make a better representation."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.evaluation import linear_probe
from nearfar.multimodal.data.generated import scene_views
from nearfar.multimodal.data.tuples import Tuples
from nearfar.multimodal.methods import CMC
from nearfar.multimodal.tuple_method import TupleMethod
from nearfar.multimodal.tuples import TupleBatch
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.claims import Claim, Reproduction
from nearfar.sources.data import in_order
from nearfar.training import Method

SETTINGS = {"steps": 150}


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


def run(seed: int) -> dict[str, dict[str, float]]:
    whole = scene_views(2000, seed=10 * seed)
    two = some(whole, ("luminance", "chrominance"))

    def probe(method: Method) -> dict[str, float]:
        test = whole.splits()["test"]
        assert isinstance(test, Tuples)
        found = linear_probe(luminance(method, whole), whole.labels, luminance(method, test), test.labels, seed=seed)
        return {"shape": found.accuracy}

    return {
        "cmc": arm("cmc", whole, seed, probe, settings=SETTINGS),
        "cmc, two views": arm("cmc", two, seed, probe, settings=SETTINGS),
        "prediction": arm("cmc", whole, seed, probe, cls=Prediction, settings=SETTINGS, **dict(whole.facts)),
        "untrained": probe(build("cmc", whole, seed).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting="""2,000 drawn scenes of one shape at 24 pixels as four views: luminance, chrominance, edges and depth. A
    small conv net for each view, 150 steps of 64, AdamW, softmax over 256 rows of each memory. Measured is a linear
    probe of the shape (of six) from the luminance network alone on 600 other scenes. Prediction is the same
    networks asked for the 4 by 4 averaged pixels of the other views.""",
    claims=(
        Claim("contrast beats cross-view prediction", "cmc", "prediction", "shape"),
        Claim("four views beat two", "cmc", "cmc, two views", "shape"),
        Claim("CMC beats its untrained network", "cmc", "untrained", "shape", role="sanity"),
    ),
)
