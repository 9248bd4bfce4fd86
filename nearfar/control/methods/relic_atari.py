"""ReLIC for reinforcement learning: the prediction itself is held still under shifts, beside an agent's own loss."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from nearfar.control.augment import shift
from nearfar.control.data import Transitions
from nearfar.control.pixel_sac import SAC, PixelSAC
from nearfar.control.spaces import Spaces
from nearfar.losses import relic
from nearfar.parts import MLPHead, MomentumEncoder
from nearfar.training import Update


class TwoViews(NamedTuple):
    """A batch with two shifts of its observations, and the first one for the agent, too."""

    batch: Transitions
    shown: list[Tensor]
    shown_next: list[Tensor]
    other: Tensor


class ReLICControl(PixelSAC):
    """Mitrovic et al., 2020, ICLR 2021, arXiv 2010.07922, its section on Atari.

    ReLIC's loss on two random shifts of an observation, with the agent's encoder as the online network. The paper's
    agent is R2D2, of which no code for this was released; here it is soft actor-critic, which takes numbers and
    choices. The weight of the loss beside the agent's, the temperature and alpha are not published for Atari: the image
    setting's are the defaults.

    Args:
        spaces: what is observed and done; taken from the data when not given.
        weight: of the contrastive loss, above 0.
        alpha: weight of the invariance of the prediction, at least 0.
        temperature: divides the cosines, above 0.
        pad: largest shift in pixels each way.
        projection: width of the space where contrast happens.
        momentum: of the target network's average, in [0, 1].
        sac: networks and rates.
    """

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        weight: float = 1.0,
        alpha: float = 1.0,
        temperature: float = 0.1,
        pad: int = 4,
        projection: int = 64,
        momentum: float = 0.99,
        sac: SAC = SAC(encoder_tau=0.01),
    ) -> None:
        if not weight > 0:
            raise ValueError(f"weight must be above 0, got {weight}")
        super().__init__(spaces, sac, who="relic-atari")
        self.head = MLPHead(sac.features, 2 * projection, projection, norm="none")
        self.slow_head = MomentumEncoder(self.head, momentum, "constant")
        self.weight, self.alpha, self.temperature, self.pad = weight, alpha, temperature, pad

    def views(self, batch: Transitions) -> TwoViews:
        first, other, after = (
            shift(pixels, self.pad, self.generator)
            for pixels in (batch.observations, batch.observations, batch.next_observations)
        )
        return TwoViews(batch, [first], [after], other)

    def updates(self) -> list[Update]:
        parameters = [*self.encoder.parameters(), *self.head.parameters()]
        return [*super().updates(), Update("contrast", parameters, self.contrast, self.sac.adam())]

    def contrast(self, views: TwoViews) -> dict[str, Tensor]:
        pair = views.shown[0], views.other
        online = [self.head(self.encoder(pixels)) for pixels in pair]
        target = [self.slow_head(self.slow_encoder(pixels)) for pixels in pair]
        terms = relic(*online, *target, temperature=self.temperature, alpha=self.alpha, kl_mode="sg_target")
        return {name: self.weight * value for name, value in terms.items()}

    def after_step(self) -> None:
        super().after_step()
        self.slow_head.update(self.head)
