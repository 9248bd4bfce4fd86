"""Random views of skeletons (B, C, T, V, M): where a clip begins, from where it is seen, what is wrong with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.common.share import for_examples
from nearfar.video.data.layouts import Layout

__all__ = ["SkeletonViews", "hidden_joints"]


@dataclass(frozen=True)
class SkeletonViews:
    """How skeletons are changed at random (Guo et al., 2022, arXiv 2112.03590; HiCLR's ``feeder/tools.py``).

    Attributes:
        pad: a clip is lengthened at both ends by one of so many parts of it, mirrored, before it is cut; 0 for never.
        shear: largest share of one axis that is added to another, at least 0.
        flip: probability of exchanging left and right joints, in [0, 1].
        turn: largest rotation about one axis drawn at random, in degrees; about the others it is up to one degree.
            In the plane there is one axis.
        noise: standard deviation of what is added to every coordinate, half of the time.
        blur: largest standard deviation, in frames, of the smoothing over 15 frames, half of the time; 0 for none.
        flat: probability that one axis is set to 0, in [0, 1].
        released_blur: weights of the smoothing that do not sum to 1, as released, which enlarges a skeleton up to
            five times.
    """

    pad: int = 6
    shear: float = 0.5
    flip: float = 0.5
    turn: float = 30.0
    noise: float = 0.01
    blur: float = 2.0
    flat: float = 0.5
    released_blur: bool = False

    def __post_init__(self) -> None:
        if self.pad < 0 or min(self.shear, self.turn, self.noise, self.blur) < 0:
            raise ValueError("pad, shear, turn, noise and blur must be at least 0")
        if not (0 <= self.flip <= 1 and 0 <= self.flat <= 1):
            raise ValueError(f"flip and flat are probabilities in [0, 1], got {self.flip} and {self.flat}")

    def basic(self, joints: Tensor, generator: torch.Generator) -> Tensor:
        """The clip cut anew and sheared."""
        return self._sheared(self._cut(joints, generator), generator)

    def strong(self, joints: Tensor, layout: Layout, generator: torch.Generator) -> Tensor:
        """The basic view, and sides exchanged, turned, noisy, smoothed, flat, each with its probability."""
        x = self.basic(joints, generator)
        mirrored = torch.tensor(layout.mirrored, device=x.device)
        x = torch.where(self._coin(x, self.flip, generator), x[:, :, :, mirrored], x)
        x = _mixed(x, self._rotations(x, generator))
        noise = for_examples(lambda n: torch.randn(n, *x.shape[1:], device=x.device, generator=generator), len(x))
        x = torch.where(self._coin(x, 0.5, generator), x + self.noise * noise, x)
        if self.blur:
            x = torch.where(self._coin(x, 0.5, generator), self._blurred(x, generator), x)
        axis = for_examples(lambda n: torch.randint(x.shape[1], (n,), device=x.device, generator=generator), len(x))
        flattened = x * (1 - F.one_hot(axis, x.shape[1]).to(x.dtype)).view(*x.shape[:2], 1, 1, 1)
        return torch.where(self._coin(x, self.flat, generator), flattened, x)

    def _cut(self, x: Tensor, generator: torch.Generator) -> Tensor:
        length = x.shape[2]
        more = length // self.pad if self.pad else 0
        start = for_examples(
            lambda n: torch.randint(2 * more + 1, (n, 1), device=x.device, generator=generator), len(x)
        )
        place = start + torch.arange(length, device=x.device) - more
        place = torch.where(place < 0, -place - 1, place)
        place = torch.where(place >= length, 2 * length - 1 - place, place)
        return x.gather(2, place.view(len(x), 1, length, 1, 1).expand_as(x))

    def _sheared(self, x: Tensor, generator: torch.Generator) -> Tensor:
        c = x.shape[1]
        amount = self.shear * (2 * self._uniform(x, (c, c), generator) - 1)
        eye = torch.eye(c, device=x.device)
        return _mixed(x, amount * (1 - eye) + eye)

    def _rotations(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """(B, C, C)."""
        if x.shape[1] == 2:
            return _rotation(math.radians(self.turn) * self._uniform(x, (), generator), 2, 2)
        main = for_examples(lambda n: torch.randint(3, (n,), device=x.device, generator=generator), len(x))
        largest = torch.where(F.one_hot(main, 3).bool(), self.turn, 1.0)
        angles = torch.deg2rad(largest * self._uniform(x, (3,), generator))
        first, second, third = (_rotation(angles[:, axis], axis, 3) for axis in range(3))
        return third @ second @ first

    def _blurred(self, x: Tensor, generator: torch.Generator) -> Tensor:
        radius = 7
        sigma = 0.1 + (self.blur - 0.1) * self._uniform(x, (), generator)
        steps = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
        kernel = torch.exp(-steps.square() / (2 * sigma[:, None].square()))
        if not self.released_blur:
            kernel = kernel / kernel.sum(1, keepdim=True)
        b, c, t, v, m = x.shape
        flat = x.permute(0, 1, 3, 4, 2).reshape(b, c * v * m, t)
        windows = F.pad(flat, (radius, radius), "constant" if self.released_blur else "replicate")
        found = torch.einsum("bntk,bk->bnt", windows.unfold(2, 2 * radius + 1, 1), kernel)
        return found.view(b, c, v, m, t).permute(0, 1, 4, 2, 3)

    def _coin(self, x: Tensor, probability: float, generator: torch.Generator) -> Tensor:
        return self._uniform(x, (1, 1, 1, 1), generator) < probability

    def _uniform(self, x: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return for_examples(lambda n: torch.rand(n, *shape, device=x.device, generator=generator), len(x))


def hidden_joints(times: int, joints: int, share: float, generator: torch.Generator) -> Tensor:
    """(T, V) bool, at every time True for ``int(share * V)`` joints drawn at random.

    One draw serves a whole batch and all persons, as released.
    """
    order = torch.rand(times, joints, device=generator.device, generator=generator).argsort(1)
    return order < int(share * joints)


def _mixed(x: Tensor, matrix: Tensor) -> Tensor:
    """Every point (C,) of ``x`` multiplied by its example's matrix (C, C)."""
    return torch.einsum("bdc,bctvm->bdtvm", matrix.to(x.dtype), x)


def _rotation(angle: Tensor, axis: int, size: int) -> Tensor:
    """(B, C, C) about ``axis``, as released (``feeder/tools.py``)."""
    a, b = [k for k in range(3) if k != axis]
    found = torch.eye(size, device=angle.device).repeat(len(angle), 1, 1)
    sign = -1.0 if axis == 1 else 1.0
    found[:, a, a] = found[:, b, b] = angle.cos()
    found[:, a, b], found[:, b, a] = sign * angle.sin(), -sign * angle.sin()
    return found
