"""Aligned appearances in adaptation: agreement on scenes and mixtures beside the same self-training."""

from __future__ import annotations

from typing import Any

from nearfar.reproductions.arms import arm
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.segmentation.data.adaptation import street_adaptation
from nearfar.segmentation.evaluation import evaluate

STEPS = 1000
ARMS: dict[str, dict[str, Any]] = {
    "aligned": {"alignment": 0.1, "mixed_alignment": 0.1},
    "scenes only": {"alignment": 0.1, "mixed_alignment": 0.0},
    "dacs": {"alignment": 0.0, "mixed_alignment": 0.0},
}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = street_adaptation()
    return {
        name: arm("aligned-adaptation", data, seed, lambda m: evaluate(m, data), settings={"steps": STEPS}, **changes)
        for name, changes in ARMS.items()
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""160 labelled street scenes of 64x128 in four appearances, 160 unlabelled others in two more; tested on
    40 others in those two. A small four-stage conv net, {STEPS} steps of 2 scenes, each in two appearances, and 2
    targets. The baseline is DACS on the same two appearances, mixed by the same mask. The weight is the one that was
    chosen for generalisation without a target.""",
    explanation="""Alignment costs the segmenter a little on the source (0.282 against 0.291) and wins nothing on
    the target, though its weight is the one that helped without a target. Both arms already see each scene in two
    appearances with one label map, and the class mixing pastes both into the target: the labels align the
    appearances by themselves. In generalisation, where the same terms helped (aligned-segmentation), there is no
    target whose pseudo-labels do that work.""",
    claims=(
        Claim("alignment raises accuracy on the target", "aligned", "dacs", "miou target"),
        Claim("alignment raises agreement on the target", "aligned", "dacs", "agreement target"),
        Claim("aligning the mixtures adds to it", "aligned", "scenes only", "miou target", role="ablation"),
    ),
)
