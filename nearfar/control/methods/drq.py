"""DrQ: image augmentation is all you need."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from nearfar.control.augment import shift
from nearfar.control.data import Transitions
from nearfar.control.pixel_sac import SAC, PixelSAC
from nearfar.control.spaces import Spaces


class Shifted(NamedTuple):
    """A batch with M shifted views of its observations and K of the next ones."""

    batch: Transitions
    shown: list[Tensor]
    shown_next: list[Tensor]


class DrQ(PixelSAC):
    """Yarats, Kostrikov and Fergus, 2020, ICLR 2021, arXiv 2004.13649.

    Soft actor-critic from pixels whose pictures are shifted at random: the target is averaged over K shifts of the next
    observation, and the critics regress on it from M shifts of the observation. There is no contrast; it is what
    contrastive losses for control have to beat. The release's configuration has batches of 128, the paper 512.

    Args:
        spaces: what is observed and done; taken from the data when not given.
        pad: largest shift in pixels each way; 0 for none. 4 for pictures of 84 by 84.
        targets: K, views of the next observation, at least 1.
        regressions: M, views of the observation, at least 1. With both at 1 it is SAC on shifted pictures.
        sac: networks and rates; the representation ends in a tanh, and encoders follow as slowly as critics.
    """

    def __init__(
        self,
        spaces: Spaces | None = None,
        *,
        pad: int = 4,
        targets: int = 2,
        regressions: int = 2,
        sac: SAC = SAC(tau=0.01, encoder_tau=0.01, tanh=True, alpha_rate=1e-3),
    ) -> None:
        for name, value, least in (("pad", pad, 0), ("targets", targets, 1), ("regressions", regressions, 1)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        super().__init__(spaces, sac, who="drq")
        self.pad, self.targets, self.regressions = pad, targets, regressions

    def views(self, batch: Transitions) -> Shifted:
        def moved(pixels: Tensor, count: int) -> list[Tensor]:
            return [shift(pixels, self.pad, self.generator) for _ in range(count)]

        return Shifted(batch, moved(batch.observations, self.regressions), moved(batch.next_observations, self.targets))
