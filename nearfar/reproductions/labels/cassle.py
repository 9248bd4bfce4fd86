"""CaSSLe: a predictor of the past keeps what plain training on task after task forgets."""

from __future__ import annotations

from nearfar.labels.data import load
from nearfar.labels.data.digits import split_classes
from nearfar.labels.evaluation import evaluate
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.reproductions.labels.sets import cifar, named
from nearfar.sources.tasks import Tasks

STEPS, TASKS = 500, 5
KEPT = ("linear all tasks", "average_accuracy", "forgetting", "forward_transfer")


def stream() -> Tasks:
    """CIFAR-10 in five tasks of two classes, or the embedded tasks."""
    data = cifar(3000, 1000)
    found = split_classes(data, TASKS) if data is not None else load("digit-tasks")
    assert isinstance(found, Tasks)
    return found


def run(seed: int) -> dict[str, dict[str, float]]:
    data = stream()
    together = Tasks([_joint(data)], name="all at once")
    scores: dict[str, dict[str, float]] = {}
    for name, weight in (("cassle", 1.0), ("fine-tuning", 0.0)):
        method = train("cassle", build("cassle", data, seed, weight=weight), data, seed, steps=STEPS)
        found = evaluate(method, data, seed=seed)
        scores[name] = {key: found[key] for key in KEPT}
    joint = train("cassle", build("cassle", together, seed), together, seed, steps=STEPS)
    scores["offline"] = {"linear all tasks": evaluate(joint, data, seed=seed)["linear all tasks"]}
    scores["untrained"] = {
        "linear all tasks": evaluate(build("cassle", data, seed).eval(), data, seed=seed)["linear all tasks"]
    }
    return scores


def _joint(data: Tasks):  # type: ignore[no-untyped-def]
    """All tasks as one collection in which a batch may hold any of them."""
    real = cifar(3000, 1000)
    if real is not None:
        return real

    class All(Tasks):
        def training_batch(self, indices):  # type: ignore[no-untyped-def]
            return self.batch(indices)

        def splits(self):  # type: ignore[no-untyped-def]
            return {}

    return All(data.tasks)


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{named(" in five tasks of two classes")}, 3,000 pictures, a four-layer conv net, {STEPS} steps of 64 in
    all, AdamW, SimCLR's loss. Fine-tuning is the same without distillation, offline sees all tasks at once. Measured
    after the last task: a linear probe over all classes; kNN within each task for forgetting.""",
    explanation="""Tasks of this size hardly forget, so that there is little to keep: forgetting falls, and the final
    probe is the same.""",
    claims=(
        Claim("CaSSLe beats fine-tuning after the last task", "cassle", "fine-tuning", "linear all tasks"),
        Claim("CaSSLe forgets less", "cassle", "fine-tuning", "forgetting", better="lower"),
        Claim("learning all at once beats fine-tuning", "offline", "fine-tuning", "linear all tasks", role="sanity"),
        Claim("CaSSLe beats the untrained encoder", "cassle", "untrained", "linear all tasks", role="sanity"),
    ),
)
