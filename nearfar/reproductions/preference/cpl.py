"""CPL: comparisons of segments lead to a better policy than imitating the segments."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nearfar.preference.data.segments import SegmentBatch, crossing_segments
from nearfar.preference.methods.cpl import CPL
from nearfar.reproductions.arms import arm
from nearfar.reproductions.harness import Claim, Reproduction


class Imitation(CPL):
    """Imitation of all segments, all the way."""

    def loss(self, views: SegmentBatch) -> dict[str, Tensor]:
        parts = ((views.first, views.first_actions), (views.second, views.second_actions))
        first, second = (self.logp(self.encoder, *part).mean() for part in parts)
        return {"imitation": -(first + second) / 2}


class Preferred(CPL):
    """Imitation of the preferred segments alone (the paper's SFT)."""

    def loss(self, views: SegmentBatch) -> dict[str, Tensor]:
        first = self.logp(self.encoder, views.first, views.first_actions).mean(1)
        second = self.logp(self.encoder, views.second, views.second_actions).mean(1)
        return {"imitation": -(views.label * second + (1 - views.label) * first).mean()}


def run(seed: int) -> dict[str, dict[str, float]]:
    data = crossing_segments(2000, seed)
    measure = lambda method: method.evaluate(data, seed=seed)  # noqa: E731

    def trained(cls: type | None = None, **changes: Any) -> dict[str, float]:
        facts = dict(data.facts) if cls else {}
        return arm("cpl", data, seed, measure, cls=cls, **facts, **changes)

    return {
        "cpl": trained(),
        "cpl, lam 1": trained(lam=1.0),
        "cpl-kl": trained(reference=True, alpha=0.2, lam=0.75),
        "preferred alone": trained(Preferred),
        "imitation": trained(Imitation),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting="""A grid of 7 x 7 with a wall and a gate, steps that go astray in one case of ten: 2,000 pairs of segments
    of eight steps from a policy that moves at random in six steps of ten, preferred by exact optimal soft advantages.
    1,500 steps of 96 pairs, Adam 1e-3, a network of two layers of 64; CPL imitates for the first 40%, the imitating
    arms all the way. Return and success within 20 steps of the policy as it draws are exact.""",
    claims=(
        Claim("CPL arrives more often than imitation of the preferred segments", "cpl", "preferred alone", "success"),
        Claim("CPL arrives more often than imitation of all, by ten points", "cpl", "imitation", "success", margin=0.1),
        Claim("A smaller weight of the other segment is no worse than an equal one", "cpl", "cpl, lam 1", "success",
              margin=-0.02, role="ablation"),
    ),
)  # fmt: skip
