"""BeCL: skills that cover more of the world than those told apart by a classifier (DIAYN)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.control.data import Transitions, load
from nearfar.control.methods.becl import BeCL
from nearfar.control.networks import mlp
from nearfar.reproductions.arms import build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Training, Update, fit

STEPS = 2500


class DIAYN(BeCL):
    """The same agent, paid by a classifier of skills: ``log q(z | s) - log p(z)``."""

    def __init__(self, *args, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*args, **kwargs)
        hidden = self.config["hidden"]
        self.classifier = mlp(self.spaces.observation[0], (hidden, hidden), self.sampling.skills)

    def updates(self) -> list[Update]:
        first = Update(
            "classifier", [*self.classifier.parameters()], self.contrast, self.optimization, repeat=self.repeat
        )
        return [first, *super().updates()[1:]]

    def contrast(self, batch: Transitions) -> Tensor:
        return F.cross_entropy(self.classifier(batch.next_observations), batch.goals.argmax(1))

    def reward(self, batch: Transitions) -> Tensor:
        with torch.no_grad():
            logs = self.classifier(batch.next_observations).log_softmax(1)
        return (logs * batch.goals).sum(1) + torch.tensor(float(self.sampling.skills)).log()


def run(seed: int) -> dict[str, dict[str, float]]:
    def arm(cls: type | None, steps: int = STEPS) -> dict[str, float]:
        source = load("point-maze-open", random_steps=1000)
        given = {"spaces": source.spaces, "positive": "random"} if cls else {"positive": "random"}
        method: Any = build("becl", source, seed, cls, **given)  # type: ignore[arg-type]
        if steps:
            fit(method, source, Training(steps=steps, batch_size=256, seed=seed), progress=False)
        return method.evaluate(source, seed=seed)

    return {"becl": arm(None), "diayn": arm(DIAYN), "untrained": arm(None, 0)}


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""A point on a free floor of 7 by 7 cells, eight skills of 50 steps, networks of width 64, {STEPS:,}
    updates of 256 with one step of eight environments between two. DIAYN is the same agent with the same number
    of updates of a classifier in place of contrast. Coverage: cells of a 10 by 10 grid that ten walks of each
    skill visit from one beginning.""",
    claims=(
        Claim("BeCL's skills cover more than DIAYN's", "becl", "diayn", "coverage"),
        Claim(
            "BeCL's skills can be told apart better than untrained ones",
            "becl",
            "untrained",
            "skills told apart",
            role="sanity",
        ),
    ),
)
