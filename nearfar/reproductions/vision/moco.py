"""MoCo: a queue of past keys gives small batches the negatives they lack."""

from __future__ import annotations

from torch import Tensor

from nearfar.losses import info_nce
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.vision.data import load
from nearfar.vision.evaluation import evaluate
from nearfar.vision.methods import MoCo

BATCH = 32


class InBatch(MoCo):
    """The same method with the keys of the batch as its only negatives."""

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        keys = self.key_network(views[1])
        self.collect(keys=keys)
        return info_nce(self.network(views[0]), keys, temperature=self.temperature)


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load()
    settings = {"batch_size": BATCH, "steps": 1000}
    arms = {"queue of 256": None, "in-batch negatives": InBatch}
    scores = {
        name: arm("moco", data, seed, lambda m: evaluate(m, data), cls=cls, settings=settings)
        for name, cls in arms.items()
    }
    scores["momentum 0"] = arm("moco", data, seed, lambda m: evaluate(m, data), settings=settings, momentum=0.0)
    scores["untrained"] = evaluate(build("moco", data, seed).eval(), data)
    return scores


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting="""scikit-learn's handwriting in drawn styles at 16 px, batches of 32, 1,000 steps; the arms differ in
    where negatives come from (a queue of 256 past keys, a fifth of the digits, so that few are of the query itself,
    or the 31 other keys of the batch) or in the momentum of the key encoder.""",
    explanation="""Ten classes of digits need few negatives: the 31 other keys of a batch hold every class
    three times over, and
    more of them add images of the query's own class. Keys of the queue are up to eight batches old in a run
    short enough for the encoder to move a lot in that time; the momentum that keeps them consistent also
    slows the key encoder. A queue of 2,048, more than there are digits, was worse still (81%), because it
    holds older keys of the query itself. The paper's setting has a million images and a queue of a twentieth
    of them. Momentum 0 varies so much between seeds that three do not settle it.""",
    claims=(
        Claim("MoCo beats its untrained encoder", "queue of 256", "untrained", "knn seen styles", role="sanity"),
        Claim(
            "the queue beats in-batch negatives at batch 32",
            "queue of 256",
            "in-batch negatives",
            "knn seen styles",
        ),
        Claim(
            "a slowly moving key encoder beats momentum 0",
            "queue of 256",
            "momentum 0",
            "knn seen styles",
            role="ablation",
        ),
    ),
)
