"""BGRL: bootstrapping without negatives keeps up with GRACE and beats its untrained self."""

from __future__ import annotations

from typing import Any

import torch

from nearfar.graph.evaluation import evaluate, probe
from nearfar.graph.methods import BGRL
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.graph.grace import CORA, graph
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Optimization

METRIC = "probe 10% labels"
STEPS = 400


class WithoutPredictor(BGRL):
    """BGRL whose online network answers for itself."""

    def __init__(self, *args: object, **settings: object) -> None:
        super().__init__(*args, **settings)  # type: ignore[arg-type]
        self.predictor = torch.nn.Sequential()


def run(seed: int) -> dict[str, dict[str, float]]:
    data = graph()
    assert data.labels is not None
    released = {
        "bgrl": Optimization("adamw", lr=5e-4, weight_decay=1e-5, warmup=0.1, decay_all=True),
        "grace": Optimization("adam", lr=5e-4, weight_decay=1e-5, schedule="constant", decay_all=True),
    }
    # BGRL publishes no corruptions for Cora: both take those that GRACE published for it.
    corruptions = {"drop_edge_1": 0.2, "drop_edge_2": 0.4, "mask_features_1": 0.3, "mask_features_2": 0.4}
    own: dict[str, Any] = {**corruptions, "optimization": released["bgrl"]}

    def measure(method: object) -> dict[str, float]:
        return evaluate(method, data, seed=seed, splits=1)  # type: ignore[arg-type]

    return {
        "bgrl": arm("bgrl", data, seed, measure, settings={"steps": STEPS}, **own),
        "grace": arm("grace", data, seed, measure, optimization=released["grace"]),
        "without predictor": arm(
            "bgrl",
            data,
            seed,
            measure,
            cls=WithoutPredictor,
            settings={"steps": STEPS},
            in_features=data.graph.num_node_features,
            **own,
        ),
        "untrained": measure(build("bgrl", data, seed).eval()),
        "raw features": {METRIC: probe(data.graph.x.numpy(), data.labels, seed=seed, splits=1)},
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{"Cora (2,708 papers)" if CORA else "A generated citation graph of 1,500 nodes"}. BGRL: widths 256 and
    128, {STEPS} steps (the paper takes 10,000 on larger graphs), AdamW 5e-4 with a tenth to warm up. GRACE: its
    released settings, 200 steps. Both corrupt as GRACE released for Cora. Probe: one-vs-rest logistic regression on a
    random tenth of the nodes. BGRL published no number for Cora; on its own graphs it is at or above GRACE.""",
    claims=(
        Claim("BGRL is within two points of GRACE without negatives", "bgrl", "grace", METRIC, margin=-0.02),
        Claim(
            "BGRL beats the untrained network by more than 3 points",
            "bgrl",
            "untrained",
            METRIC,
            margin=0.03,
            role="sanity",
        ),
        Claim("BGRL beats raw features", "bgrl", "raw features", METRIC, role="sanity"),
        Claim("The predictor helps", "bgrl", "without predictor", METRIC, role="ablation"),
    ),
)
