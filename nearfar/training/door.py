"""How a trained system is entered by tensors alone, for graphs and programs that know nothing of batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Door", "door_of", "picture_door"]


@dataclass(frozen=True)
class Door:
    """A module from tensors to vectors, and examples of what goes in.

    Attributes:
        module: tensors of :attr:`inputs`, in their order, to vectors (N, D); in evaluation mode.
        inputs: examples by name, the first axis of each being that of the examples.
        free: of each input the axes that may have any length, by what they count.
        says: what somebody has to know who makes such inputs, as JSON can hold it.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    free: Mapping[str, Mapping[int, str]]
    says: Mapping[str, Any] = field(default_factory=dict)

    def vectors(self) -> Tensor:
        """(N, D) of :attr:`inputs`."""
        with torch.no_grad():
            return self.module(*self.inputs.values()).float()


def door_of(method: Any, batch: Any) -> Door:
    """The door of a method that reads pictures, or one tensor.

    Raises:
        ValueError: it reads anything else.
    """
    pictures = getattr(batch, "pictures", batch)
    images = getattr(pictures, "images", pictures)
    if isinstance(images, Tensor) and images.dtype == torch.uint8 and images.ndim in (4, 5):
        return picture_door(method, images[:, 0] if images.ndim == 5 else images)
    raise ValueError(
        f"a {type(method).__name__} reads a {type(batch).__name__}, which is more than tensors of one shape, so no "
        "graph of its own can be written; `nearfar embed` writes its vectors"
    )


def picture_door(method: Any, images: Tensor) -> Door:
    """The door of a method whose ``encode`` takes pictures (N, 3, H, W) uint8.

    Raises:
        ValueError: it takes none.
    """
    with torch.no_grad():
        try:
            wanted = method.encode(images)
        except (AttributeError, TypeError) as error:
            raise ValueError(f"a {type(method).__name__} embeds more than a picture at a time: {error}") from error
        encoder = method.encoder
        alone = type(encoder).__name__ != "MomentumEncoder" and torch.equal(encoder(images), wanted)
    mean, std = getattr(encoder, "mean", None), getattr(encoder, "std", None)
    says: dict[str, Any] = {"colours": "RGB", "layout": "NCHW", "values": "0 to 255", "size": [*images.shape[2:]]}
    if isinstance(mean, Tensor) and isinstance(std, Tensor):
        says |= {"mean": mean.flatten().tolist(), "std": std.flatten().tolist()}
    says["crop"] = "the central square"
    says["resize"] = "mean of areas where it becomes smaller, bilinear where it becomes larger"
    free = {0: "images", 2: "height", 3: "width"}
    return Door(encoder if alone else Encoding(method), {"images": images}, {"images": free}, says)


class Encoding(nn.Module):
    """A method's ``encode`` as a module."""

    def __init__(self, method: Any) -> None:
        super().__init__()
        self.method = method

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.method.encode(*inputs)
