"""What reproductions of agents share: an arm whose learning curve is kept."""

from __future__ import annotations

from typing import Any

import lightning as L

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.control.evaluation import evaluate, judged, play
from nearfar.reproductions.arms import build
from nearfar.training import Interaction, Optimization, Training, fit

QUICK = Optimization("adam", lr=1e-3, weight_decay=0.0, schedule="constant")


class Curve(L.Callback):
    """Notes the agent's success or return at equal parts of a run."""

    def __init__(self, source: Interaction, metric: str, parts: int, seed: int) -> None:
        self.source, self.metric, self.parts, self.seed = source, metric, parts, seed
        self.found: dict[str, float] = {}

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        step, total = trainer.global_step, trainer.max_steps
        for part in range(1, self.parts):
            if step == round(total * part / self.parts):
                scores = evaluate(module, self.source, seed=self.seed, episodes=50)  # type: ignore[arg-type]
                self.found[f"{self.metric} at {part / self.parts:.0%}"] = scores[self.metric]


def agent_arm(
    slug: str,
    source: Interaction,
    seed: int,
    *,
    steps: int,
    batch_size: int = 256,
    metric: str = "success",
    parts: int = 4,
    cls: type | None = None,
    **changes: Any,
) -> dict[str, float]:
    """Build, train and judge one agent; with what it reached on the way."""
    method = build(slug, source, seed, cls, **changes)  # type: ignore[arg-type]
    curve = Curve(source, metric, parts, 1000 + seed)
    fit(method, source, Training(steps=steps, batch_size=batch_size, seed=seed), progress=False, callbacks=[curve])
    return {**curve.found, metric: evaluate(method, source, seed=2000 + seed, episodes=200)[metric]}


def still(slug: str, source: Interaction, seed: int, *, metric: str = "success", **changes: Any) -> dict[str, float]:
    """The untrained agent, on the same episodes."""
    method = build(slug, source, seed, **changes)  # type: ignore[arg-type]
    return {metric: evaluate(method.eval(), source, seed=2000 + seed, episodes=200)[metric]}


def words(source: Any, who: str, seed: int, *, metric: str = "success") -> dict[str, float]:
    """What the hand-written policy or a random one does in the same world."""
    return {metric: judged(play(who, source.fresh(50), 200, seed=2000 + seed))[metric]}


def settings(slug: str) -> dict[str, Any]:
    """The laptop settings of a row, to read in a setting's description."""
    return workflow.laptop_settings(find(slug))[0]
