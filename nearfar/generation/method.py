"""What generating systems share: what is drawn for each example, making in batches, and working on pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nearfar.common.randomness import derive_seed
from nearfar.generation.data.blank import BlankBatch
from nearfar.generation.data.pictures import PictureBatch, as_pictures
from nearfar.generation.made import Made, Picture
from nearfar.generation.writing import asked
from nearfar.sources.data import in_order
from nearfar.training import Method
from nearfar.training.embed import to_device

BATCH = 16


class Draws:
    """Random numbers for the examples of a batch, each from a generator of its own that (seed, row) decides.

    So an example is made of the same numbers in a batch of any size, alone, or by a command that goes on where another
    was interrupted. Draw in the same order for every example.

    Args:
        seed: of the command.
        rows: (N,) places of the examples in their collection.
        device: where the numbers go; they are drawn on the processor.
    """

    def __init__(self, seed: int, rows: Tensor, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generators = [torch.Generator().manual_seed(derive_seed(seed, "make", int(row))) for row in rows]

    def __len__(self) -> int:
        return len(self.generators)

    def normal(self, *shape: int) -> Tensor:
        """(N, *shape) standard normal numbers."""
        return torch.stack([torch.randn(shape, generator=each) for each in self.generators]).to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        """(N, *shape) numbers in [0, 1)."""
        return torch.stack([torch.rand(shape, generator=each) for each in self.generators]).to(self.device)

    def choose(self, probabilities: Tensor) -> Tensor:
        """One number of 0..K-1 for each of (N, ..., K) rows of probabilities, which need not sum to 1: (N, ...)."""
        shares = probabilities.double().cumsum(-1)
        mark = self.uniform(*probabilities.shape[1:-1], 1).double() * shares[..., -1:]
        return (shares <= mark).sum(-1).clamp_max(probabilities.shape[-1] - 1)


class Generates:
    """What a generating system does, of any kind: it writes :meth:`make`, and says what it takes in ``takes``.

    A system is judged by :func:`nearfar.generation.evaluation.evaluate` unless it has an ``evaluate`` of its own.

    Attributes:
        from_nothing: whether it also makes new things of a :class:`nearfar.generation.data.Blank`.
    """

    from_nothing: ClassVar[bool] = False

    def make(self, batch: Any, draws: Draws) -> list[Made]:
        """What is made of each example of a batch, which lies on the system's device. Runs without gradients."""
        raise NotImplementedError(f"{type(self).__name__} does not define make(batch, draws)")

    def check_inputs(self, data: Any) -> None:
        """Refuse what nothing can be made of.

        Raises:
            TypeError: in one sentence.
        """
        takes = getattr(self, "takes", None)
        gives = getattr(data, "gives", None)
        if self.from_nothing and gives is BlankBatch:
            return
        if takes is not None and gives is not None and not issubclass(gives, takes):
            raise TypeError(
                f"{type(self).__name__} works on {takes.__name__}, and {data.name} gives {gives.__name__}; name other "
                "inputs"
            )

    def generate(self, data: Any, *, seed: int = 0, batch_size: int = BATCH) -> Iterator[Made]:
        """One :class:`Made` for each example, in order.

        Args:
            data: a collection; of one with a held-out part, that part.
            seed: of everything that is drawn; the same example with the same seed gives the same thing.
            batch_size: examples that are worked on together.

        Raises:
            TypeError: a collection of something else. ValueError: a batch size below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        data = asked(data)
        self.check_inputs(data)
        device = torch.device(getattr(self, "device", "cpu"))
        for _, batch in in_order(data, batch_size):
            with self.frozen() if isinstance(self, Method) else nullcontext(), torch.no_grad():
                made = self.make(to_device(batch, device), Draws(seed, batch.rows, device))
            yield from made


def pictures_made(
    batch: Any,
    images: Tensor | Mapping[str, Tensor],
    *,
    reference: bool = False,
    said: Mapping[str, Any] | None = None,
) -> list[Made]:
    """What was made of pictures, or of nothing.

    Args:
        batch: :class:`PictureBatch`, whose pictures are shown beside, or anything with ``rows``.
        images: (N, C, H, W) in [-1, 1], or several of them by name.
        reference: the batch's pictures are what should come out.
        said: of all examples of the batch.
    """
    named = {"": images} if isinstance(images, Tensor) else images
    pixels = {name: as_pictures(each) for name, each in named.items()}
    shown = batch.images.permute(0, 2, 3, 1).cpu().numpy() if isinstance(batch, PictureBatch) else None
    found = []
    for n, row in enumerate(batch.rows.tolist()):
        given = None if shown is None else Picture(np.ascontiguousarray(shown[n]))
        words = dict(said or {})
        if isinstance(batch, PictureBatch):
            words |= {"caption": batch.captions[n]} if batch.captions[n] else {}
            words |= {"label": int(batch.labels[n])} if batch.labels[n] >= 0 else {}
        things = {name: Picture(each[n]) for name, each in pixels.items()}
        found.append(Made(row, things, given, given if reference else None, words))
    return found
