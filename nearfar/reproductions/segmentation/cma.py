"""CMA: contrast of aligned pairs beside self-training makes a segmenter see in the rain."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.evaluation import LinearProbe
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.segmentation.data import load
from nearfar.segmentation.data.pairs import PairedScenes
from nearfar.segmentation.evaluation import evaluate
from nearfar.segmentation.method import SegmentationMethod
from nearfar.sources.data import in_order
from nearfar.training import Method
from nearfar.training.fit import save_weights

SOURCE_STEPS, ADAPTATION_STEPS = 360, 150
ARMS: dict[str, dict[str, Any]] = {"cma": {}, "self-training": {"contrast_weight": 0.0}}


def condition(method: SegmentationMethod, data: PairedScenes) -> float:
    """How well a linear classifier of the cells of half of the held-out pictures tells rain from noon on the others."""
    cells: list[list[np.ndarray]] = [[], []]
    conditions: list[list[int]] = [[], []]
    with method.frozen():
        for number, split in enumerate(data.splits().values()):
            for indices, batch in in_order(split, 1):
                found = method.encoder.maps(batch.images[:, 0])[-1][0].flatten(1).T.numpy()
                half = int(indices[0]) % 2
                cells[half].append(found)
                conditions[half] += [number] * len(found)
    probe = LinearProbe(C_grid=[0.1]).fit(np.concatenate(cells[0]), np.array(conditions[0]))
    return probe.score(np.concatenate(cells[1]), np.array(conditions[1]))


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load("street-pairs")
    assert isinstance(data, PairedScenes)

    def measure(method: Method) -> dict[str, float]:
        assert isinstance(method, SegmentationMethod)
        return {**evaluate(method, data), "condition told": condition(method, data)}

    source = train("cma", build("cma", data, seed, source_share=1.0), data, seed, steps=SOURCE_STEPS)
    scores = {"source": measure(source)}
    with tempfile.TemporaryDirectory() as folder:
        save_weights(source.encoder, Path(folder) / "encoder.safetensors")
        for name, changes in ARMS.items():
            method = build("cma", data, seed, source=folder, source_share=None, **changes)
            scores[name] = measure(train("cma", method, data, seed, steps=ADAPTATION_STEPS))
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""160 labelled procedural street scenes of 64 x 128 at noon train a small four-stage conv net for 360 steps
    of 8; it then adapts for 150 steps to 160 unlabelled pairs of other streets in rain and at noon, whose camera shift
    is known, and is tested on 40 more. Condition and learning rate were chosen on other streets. Self-training has the
    same pseudo-labels and entropy term, and no contrast. "condition told" is the accuracy of a linear classifier of
    rain and noon on cells of the deepest map.""",
    explanation="""Adapting without the source gains where it should, in rain, and contrast adds a little to
    self-training for each seed. It does not hide the condition here: after 150 steps a linear classifier still
    tells rain from noon in 0.94 of the cells, as it does after self-training. What is paid for it is noon, where
    both arms lose 0.06 to 0.1 of 0.38: without the source nothing holds it. The paper starts from a SegFormer of
    ImageNet's weights.""",
    claims=(
        Claim("CMA segments rain better than its source model", "cma", "source", "miou rain"),
        Claim("CMA segments rain better than self-training alone", "cma", "self-training", "miou rain"),
        Claim(
            "the contrast hides the condition",
            "cma",
            "self-training",
            "condition told",
            better="lower",
            role="ablation",
        ),
    ),
)
