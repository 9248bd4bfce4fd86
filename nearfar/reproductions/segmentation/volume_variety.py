"""More layouts or more appearances: the same number of pictures, spent on either.

Not a method's claim but a question that the CARLA-4AGT paper (arXiv 2412.16592) asks of data.
"""

from __future__ import annotations

from nearfar.reproductions.arms import arm
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.segmentation.data.scenes import RenderedScenes
from nearfar.segmentation.evaluation import evaluate
from nearfar.segmentation.street import HELD_OUT_APPEARANCES, TRAINING_APPEARANCES

PICTURES, STEPS, SHAPE = 160, 1200, (64, 128)


def run(seed: int) -> dict[str, dict[str, float]]:
    held_out = range(100_000, 100_040)
    splits = {
        "seen appearances": RenderedScenes(held_out, TRAINING_APPEARANCES, SHAPE, name="seen appearances"),
        "unseen appearances": RenderedScenes(held_out, HELD_OUT_APPEARANCES, SHAPE, name="unseen appearances"),
    }
    scores = {}
    for appearances in (1, 2, 4):
        layouts = PICTURES // appearances
        data = RenderedScenes(range(layouts), TRAINING_APPEARANCES[:appearances], SHAPE, splits=splits)
        scores[f"{layouts} layouts x {appearances}"] = arm(
            "aligned-segmentation",
            data,
            seed,
            lambda m, data=data: evaluate(m, data),  # type: ignore[misc]
            settings={"steps": STEPS},
            alignment=0.0,
        )
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{PICTURES} pictures of 64x128: as many layouts at noon, half as many at noon and sunset, or a quarter
    in all four training appearances. A small four-stage conv net, {STEPS} steps of 2 scenes, no alignment.""",
    claims=(
        Claim(
            "more appearances beat more layouts on unseen appearances",
            "40 layouts x 4",
            "160 layouts x 1",
            "miou unseen appearances",
        ),
    ),
)
