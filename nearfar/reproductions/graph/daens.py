"""DAENS: views that are corrupted in different ways, against GRACE and against views of one way."""

from __future__ import annotations

from typing import Any

from nearfar.graph.evaluation import evaluate
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.graph.grace import CORA, graph
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Optimization

METRIC = "probe 10% labels"
STEPS = 200


def run(seed: int) -> dict[str, dict[str, float]]:
    data = graph()

    def measure(method: object) -> dict[str, float]:
        return evaluate(method, data, seed=seed, splits=1)  # type: ignore[arg-type]

    settings = {"steps": STEPS}
    slow: dict[str, Any] = {"optimization": Optimization("adam", lr=5e-4, weight_decay=0.0, schedule="constant")}
    arms = {
        variant: arm("daens", data, seed, measure, settings=settings, encoder="gcn", variant=variant, **slow)
        for variant in ("1D1D", "1D2D", "2D2D")
    }
    grace = Optimization("adam", lr=5e-4, weight_decay=1e-5, schedule="constant", decay_all=True)
    return {
        **arms,
        "grace": arm("grace", data, seed, measure, settings=settings, optimization=grace),
        "untrained": measure(build("daens", data, seed, encoder="gcn").eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{"Cora (2,708 papers)" if CORA else "A generated citation graph of 1,500 nodes"}, graph convolutions,
    the released corruptions for Cora, {STEPS} steps at 5e-4 (the released code: 1,000 with attention). One-vs-rest
    logistic regression on a random tenth of the nodes after the last step; the released code reports the best of many
    checkpoints by the test score.""",
    claims=(
        Claim("A column view against a cell view beats GRACE", "1D2D", "grace", METRIC),
        Claim("A column view against a cell view beats two column views", "1D2D", "1D1D", METRIC, role="ablation"),
        Claim("Two cell views beat two column views", "2D2D", "1D1D", METRIC, role="ablation"),
        Claim("DAENS beats the untrained network", "1D2D", "untrained", METRIC, role="sanity"),
    ),
)
