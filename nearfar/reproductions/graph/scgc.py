"""SCGC: clusters of linear layers that the graph enters by contrast alone, against clusters without it."""

from __future__ import annotations

from typing import Any

from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize

from nearfar.evaluation import clustering
from nearfar.graph.data.linked import library
from nearfar.reproductions.arms import arm
from nearfar.reproductions.harness import Claim, Reproduction

STEPS = 200
CHANGES: dict[str, Any] = {"order": 4, "scale": 0.5}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = library(seed=seed)
    assert data.labels is not None

    def measure(method: object) -> dict[str, float]:
        return method.evaluate(data, seed=seed)  # type: ignore[attr-defined]

    arms: dict[str, dict[str, Any]] = {
        "scgc*": CHANGES,
        "scgc": {**CHANGES, "order": 2, "cumulative": False},
        "without contrast": {**CHANGES, "contrast": 0.0},
    }
    settings = {"steps": STEPS}
    x = normalize(data.graph.x.numpy())
    groups = KMeans(4, n_init=20, random_state=seed).fit(x).labels_
    return {
        **{name: arm("scgc", data, seed, measure, settings=settings, **changes) for name, changes in arms.items()},
        "k-means": clustering(data.labels, groups),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting=f"""A generated library of 500 papers of four topics, linked by authors and subjects; {STEPS} full-batch
    epochs, the first 30% of them an autoencoder, widths 128, 128, 256 (the paper: 500, 500, 2000), Adam 1e-3. Without
    contrast it is deep embedded clustering. All numbers are those of the last epoch; the released code reports the best
    epoch of each measure by the labels.""",
    claims=(
        Claim("SCGC* clusters better than deep embedded clustering", "scgc*", "without contrast", "nmi"),
        Claim("SCGC clusters better than deep embedded clustering", "scgc", "without contrast", "nmi"),
        Claim("SCGC* clusters better than k-means on the features", "scgc*", "k-means", "accuracy", role="sanity"),
    ),
)
