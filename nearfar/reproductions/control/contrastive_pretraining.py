"""Contrastive pre-training: with few labels, what was learned without any is worth many of them."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from nearfar.control.data import Recorded, record
from nearfar.control.efficiency import area, demonstrations, label_multiplier
from nearfar.control.evaluation import judged, play
from nearfar.control.methods.contrastive_pretraining import ContrastivePretraining
from nearfar.control.networks import mlp
from nearfar.control.worlds import CartPole
from nearfar.reproductions.arms import build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Training, fit

SIDE, LIMIT, BATCH = 32, 200, 32
PRETRAINING, CLONING = 250, 150
SIZES = (20, 80, 320)
TRIED = 2
"""Seeds by which the setting was chosen, and which are not measured."""
MOST = 100.0
"""What a label multiplier is cut off at."""


class Autoencoder(ContrastivePretraining):
    """The same encoder draws its picture instead."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.decoder = mlp(50, (256,), 2 * SIDE * SIDE)

    def loss(self, views: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        if self.phase != "contrast":
            return super().loss(views)
        return {"drawn": 100 * F.mse_loss(self.decoder(self.encoder(views[0])), views[0].flatten(1).float() / 255)}


def world(count: int) -> CartPole:
    return CartPole(count, size=SIDE, limit=LIMIT)


def run(seed: int) -> dict[str, dict[str, float]]:
    seed += TRIED
    source = Recorded(record(world(8), 5000, policy="mixed", seed=seed))
    labels = demonstrations(world(8), max(SIZES), seed=500 + seed)

    def made(cls: type | None = None, **changes: Any) -> Any:
        given = {"spaces": source.spaces} if cls else {}
        return build("contrastive-pretraining", source, seed, cls, hidden=64, filters=16, pad=0, **given, **changes)  # type: ignore[arg-type]

    def pretrained(objective: str, cls: type | None = None) -> Any:
        method = made(cls, objective=objective, share=1.0)
        fit(method, source, Training(steps=PRETRAINING, batch_size=BATCH, seed=seed), progress=False)
        return method.encoder.state_dict()

    def curve(encoder: Any, *, tune: bool, steps: int = CLONING) -> dict[str, float]:
        found = {}
        for size in SIZES:
            method = made(objective="none", tune=tune)
            if encoder is not None:
                method.encoder.load_state_dict(encoder)
            method.teach(labels[0][:size], labels[1][:size])
            fit(method, source, Training(steps=steps, batch_size=BATCH, seed=seed), progress=False)
            found[size] = judged(play(method.eval(), world(20), 20, seed=2000 + seed))["return"]
        return {**{f"return at {size}": value for size, value in found.items()}, "area": area(found)}

    steps = pretrained("steps")
    arms: dict[str, dict[str, float]] = {
        "pre-trained": curve(steps, tune=True),
        "pre-trained, frozen": curve(steps, tune=False),
        "autoencoder": curve(pretrained("crops", Autoencoder), tune=True),
        # As many updates as both parts of the others together.
        "from scratch": curve(None, tune=True, steps=PRETRAINING + CLONING),
        "random, frozen": curve(None, tune=False),
    }
    by_size = {
        name: {size: arms[name][f"return at {size}"] for size in SIZES} for name in ("pre-trained", "from scratch")
    }
    worth = label_multiplier(by_size["pre-trained"], by_size["from scratch"], SIZES[0])
    arms["pre-trained"]["labels that one is worth"] = min(worth, MOST)
    expert = judged(play("scripted", world(20), 20, seed=2000 + seed))["return"]
    arms["scripted"] = {**{f"return at {size}": expert for size in SIZES}, "area": expert}
    return arms


REPRODUCTION = Reproduction(
    run=run,
    seeds=4,
    setting=f"""A drawn pole on a cart ({SIDE} by {SIDE}, two frames), 5,000 recorded steps of which half are random and
    none is labelled; {PRETRAINING} updates of {BATCH} by contrast with the next picture or by an autoencoder, then
    {CLONING} of imitation of {", ".join(map(str, SIZES))} steps with what a scripted expert would do. From scratch has
    all {PRETRAINING + CLONING} updates on its labels. Pictures are not shifted by anyone: what tells the pole's speed
    here is less than a pixel. Return: of 20 episodes of at most {LIMIT} steps; the area is the mean over the logarithm
    of the number of labels. The setting was chosen on two other seeds.""",
    claims=(
        Claim("Pre-training earns more over all numbers of labels", "pre-trained", "from scratch", "area"),
        Claim(f"It does so with {SIZES[0]} labels", "pre-trained", "from scratch", f"return at {SIZES[0]}"),
        Claim(f"It does so with {SIZES[1]} labels", "pre-trained", "from scratch", f"return at {SIZES[1]}"),
        Claim(
            f"It loses no more than 10 with {SIZES[2]}",
            "pre-trained",
            "from scratch",
            f"return at {SIZES[2]}",
            margin=-10.0,
            role="ablation",
        ),
        Claim("It earns more than an autoencoder", "pre-trained", "autoencoder", "area", role="ablation"),
        Claim("Frozen, it beats a random encoder", "pre-trained, frozen", "random, frozen", "area", role="sanity"),
    ),
)
