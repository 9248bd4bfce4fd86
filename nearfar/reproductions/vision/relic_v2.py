"""ReLICv2: what many crops, few negatives and cut-out backgrounds add to ReLIC, at equal steps."""

from __future__ import annotations

from typing import Any

from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Method
from nearfar.vision.data import load
from nearfar.vision.evaluation import evaluate

# Small crops are 10 of 16 px, which is about the paper's 96 of 224 and leaves a stroke to see.
CROPS: dict[str, Any] = {"large_crops": 4, "small_crops": 2, "small_size": 10, "small_scale": (0.2, 0.5)}
FEW: dict[str, Any] = {"num_negatives": 10, "kl_mode": "sg_entropy"}
ARMS: dict[str, dict[str, Any]] = {
    "relic": {},
    "relic, many crops": {**CROPS},
    "relic-v2 without masks": {**CROPS, **FEW},
    "relic-v2": {**CROPS, **FEW, "mask_probability": 0.1},
}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()

    def measure(method: Method) -> dict[str, float]:
        return evaluate(method, data)

    scores = {name: arm("relic", data, seed, measure, settings={"steps": 300}, **a) for name, a in ARMS.items()}
    scores["untrained"] = measure(build("relic", data, seed).eval())
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""scikit-learn's handwriting in drawn styles at 16 px; a four-layer conv net, 300 steps of 128, the same
    encoder, target network, alpha and temperature for every arm. ReLICv2: four large crops and two small ones, ten
    negatives drawn from the batch, a tenth of the large crops without background (spectral saliency in place of a
    trained segmenter). Equal steps, not equal cost: six crops take about three times the time of two. Small crops
    cover 20 to 50% of a digit, which a tight crop would make unreadable (5 to 14% in the paper); no other setting was
    chosen for this.""",
    explanation="""In the styles of training all arms are near the ceiling of the probe. In new styles many crops
    are ahead of two for each of the three seeds (0.68 against 0.63); few negatives and masks take some of that away
    again, within the seeds' spread. A batch of 128 pictures of ten classes has about 13 of the query's own among
    its negatives, so that fewer negatives are no loss; a digit on a drawn ground has no object that a saliency map
    could cut out better than its stroke's own contrast.""",
    claims=(
        Claim("ReLICv2 beats its untrained encoder", "relic-v2", "untrained", "linear seen styles", role="sanity"),
        Claim("ReLICv2 is more accurate than ReLIC at equal steps", "relic-v2", "relic", "linear seen styles"),
        Claim(
            "ten negatives are as good as all of them, up to 0.01",
            "relic-v2 without masks",
            "relic, many crops",
            "linear seen styles",
            margin=-0.01,
            role="ablation",
        ),
        Claim(
            "masks help in new styles", "relic-v2", "relic-v2 without masks", "linear unseen styles", role="ablation"
        ),
    ),
)
