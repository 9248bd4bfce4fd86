"""Latent dynamics by contrast: what comes next is told from other states better than with a reconstructed latent."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nearfar.control.data import Recorded, Sequences, record
from nearfar.control.methods.latent_dynamics import LatentDynamics
from nearfar.control.networks import mlp
from nearfar.control.worlds import Grid
from nearfar.reproductions.arms import build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Training, fit

STEPS = 500


class Reconstructed(LatentDynamics):
    """The same encoder and transition, trained to draw what is seen and to predict its code."""

    def __init__(self, *args: Any, latent: int = 32, **settings: Any) -> None:
        super().__init__(*args, latent=latent, **settings)
        pixels = 1
        for side in self.spaces.observation:
            pixels *= side
        self.decoder = mlp(latent, (256,), pixels)

    def loss(self, views: Sequences) -> dict[str, Tensor]:  # type: ignore[override]
        flat = views.observations.flatten(0, 1)
        codes = self.encoder(flat)
        drawn = (self.decoder(codes) - flat.flatten(1).float() / 255).square().mean() * 100
        steps = codes.reshape(*views.observations.shape[:2], -1).transpose(0, 1)
        predicted = self.rolled(steps[0].detach(), views.actions)
        return {"drawn": drawn, "predicted": (predicted - steps[1:].detach()).square().mean()}


def run(seed: int) -> dict[str, dict[str, float]]:
    arms: dict[str, dict[str, float]] = {}
    for noise, where in ((0.0, "still"), (40.0, "noisy")):

        def source(seed: int, noise: float = noise) -> Recorded:
            return Recorded(record(Grid("open", 8, size=16, noise=noise), 3000, policy="random", seed=seed))

        train, test = source(seed), source(1000 + seed)
        for arm, cls in (("contrast", None), ("reconstruction", Reconstructed)):
            given = {"spaces": train.spaces} if cls else {}
            method: Any = build("latent-dynamics", train, seed, cls, **given)  # type: ignore[arg-type]
            fit(method, train, Training(steps=STEPS, batch_size=128, seed=seed), progress=False)
            scores = method.evaluate(test, seed=seed)
            arms.setdefault(arm, {})[f"mrr after 5, {where}"] = scores["mrr after 5"]
        untrained: Any = build("latent-dynamics", train, seed)  # type: ignore[arg-type]
        arms.setdefault("untrained", {})[f"mrr after 5, {where}"] = untrained.evaluate(test, seed=seed)["mrr after 5"]
    return arms


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""3,000 random steps on a free floor of 7 by 7 cells, drawn as 16 by 16 pixels, plain or with grey
    noise of deviation 40; {STEPS} updates of 128 sequences of five steps. The baseline has the same encoder and
    transition, and a decoder. Measured on other episodes: the mean reciprocal rank of the state that was
    reached among 500, five steps ahead.""",
    claims=(
        Claim("Contrast predicts better than reconstruction", "contrast", "reconstruction", "mrr after 5, still"),
        Claim("It does so under noise that cannot be predicted", "contrast", "reconstruction", "mrr after 5, noisy"),
        Claim("It beats the untrained encoder", "contrast", "untrained", "mrr after 5, still", role="sanity"),
    ),
)
