"""SLAD on sets of ADBench: beside an autoencoder, Deep SVDD, an isolation forest, and itself with shuffled sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.ensemble import IsolationForest
from torch import Tensor, nn

from nearfar.losses import scale_alignment
from nearfar.reproductions.arms import build, shared, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.sources.data import in_order
from nearfar.tabular.data import Rows, load
from nearfar.tabular.evaluation import evaluate, separation
from nearfar.tabular.method import AnomalyMethod
from nearfar.tabular.methods.slad import SLAD
from nearfar.tabular.schema import TableSchema
from nearfar.training import Optimization

SETS = ("thyroid", "cardio", "pendigits", "satimage-2")
EPOCHS = 10  # of the release, which counts k passes over n rows as one
ADAM = Optimization("adam", lr=1e-3, weight_decay=1e-5, schedule="constant", decay_all=True)


class Autoencoder(AnomalyMethod):
    """A row that is hard to rebuild is strange: an MLP F-100-20-100-F."""

    def __init__(self, schema: TableSchema | None = None, *, optimization: Optimization = ADAM) -> None:
        super().__init__(schema, 0, optimization)
        width = self.schema.features
        self.encoder = nn.Sequential(nn.Linear(width, 100), nn.LeakyReLU(), nn.Linear(100, 20))
        self.decoder = nn.Sequential(nn.LeakyReLU(), nn.Linear(20, 100), nn.LeakyReLU(), nn.Linear(100, width))

    def rate(self, x: Tensor) -> Tensor:
        return (self.decoder(self.encoder(x)) - x).square().mean(1)

    def loss(self, views: Tensor) -> Tensor:
        return self.rate(views).mean()


class DeepSVDD(AnomalyMethod):
    """Ruff et al., 2018: a network without biases draws normal rows to the mean of their first images."""

    centre: Tensor

    def __init__(self, schema: TableSchema | None = None, *, optimization: Optimization = ADAM) -> None:
        super().__init__(schema, 0, optimization)
        self.encoder = nn.Sequential(
            nn.Linear(self.schema.features, 100, bias=False), nn.LeakyReLU(), nn.Linear(100, 128, bias=False)
        )
        self.register_buffer("centre", torch.zeros(128))

    def begin(self, data: Any) -> None:
        with torch.no_grad():
            images = torch.cat([self.encoder(self.features(batch)) for _, batch in in_order(data, 4096)])
        mean = images.mean(0)
        self.centre.copy_(torch.where(mean.abs() < 0.1, 0.1 * torch.where(mean < 0, -1.0, 1.0), mean))

    def rate(self, x: Tensor) -> Tensor:
        return (self.encoder(x) - self.centre).square().mean(1)

    def loss(self, views: Tensor) -> Tensor:
        return self.rate(views).mean()


class Shuffled(SLAD):
    """SLAD whose sizes are dealt out anew at every step: nothing can be told from the images."""

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        x, group = views
        order = torch.rand(len(x), self.encoder.subsets.shape[1], generator=self.generator).argsort(1)
        dealt = self.encoder.targets()[group].gather(1, order)
        return scale_alignment(self.encoder(x, group), dealt, divergence=self.divergence)


def tables(seed: int) -> dict[str, Rows]:
    """Sets of ADBench where the shared data is present, otherwise the generated flows; halves drawn by the seed."""
    paths = {name: shared(f"adbench/{name}.npz") for name in SETS}
    found = {name: load(path, division=seed) for name, path in paths.items() if path}
    return {name: data for name, data in (found or {"flows": load(division=seed)}).items() if isinstance(data, Rows)}


def passes(rows: int) -> int:
    """The release's k, passes over the rows in an epoch."""
    return next((k for most, k in ((500, 50), (1000, 20), (5000, 5), (100_001, 2)) if rows < most), 1)


def run(seed: int) -> dict[str, dict[str, float]]:
    arms: dict[str, dict[str, float]] = {}
    for name, data in tables(seed).items():
        settings = {"epochs": float(EPOCHS * passes(len(data))), "batch_size": 128}
        schema = {"schema": data.schema}
        for arm, cls in (("slad", None), ("autoencoder", Autoencoder), ("deep svdd", DeepSVDD), ("shuffled", Shuffled)):
            method = build("slad", data, seed, cls, **(schema if cls else {}))
            found = evaluate(train("slad", method, data, seed, **settings), data)
            _keep(arms, arm, name, found)
        _keep(arms, "isolation forest", name, _forest(data, seed))
    for kept in arms.values():
        for metric in ("auroc", "aupr", "f1"):
            kept[f"mean {metric}"] = float(np.mean([v for n, v in kept.items() if n.endswith(f" {metric}")]))
    return arms


def _keep(arms: dict[str, dict[str, float]], arm: str, name: str, found: Any) -> None:
    arms.setdefault(arm, {}).update({f"{name} {metric}": found[metric] for metric in ("auroc", "aupr", "f1")})


def _forest(data: Rows, seed: int) -> Any:
    assert data.test is not None
    assert data.test.anomalous is not None
    forest = IsolationForest(random_state=seed).fit(data.schema.encode(data.columns, "range").numpy())
    scores = -forest.score_samples(data.schema.encode(data.test.columns, "range").numpy())
    return separation(scores, data.test.anomalous)


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{", ".join(SETS)} of ADBench, trained on half of the normal rows and tested on the rest; {EPOCHS} of the
    release's epochs (its own number for thyroid, a tenth of it for the others), batches of 128, Adam 1e-3. Autoencoder
    and Deep SVDD have the same rows, steps and rate; the isolation forest is scikit-learn's.""",
    claims=(
        Claim("SLAD beats an autoencoder", "slad", "autoencoder", "mean aupr"),
        Claim("SLAD beats Deep SVDD", "slad", "deep svdd", "mean aupr"),
        Claim("SLAD beats an isolation forest", "slad", "isolation forest", "mean aupr"),
        Claim("Sizes that mean nothing teach nothing", "slad", "shuffled", "mean aupr", role="sanity"),
    ),
)
