"""What methods on labelled pictures share: views that come with what is known of each picture."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from nearfar.labels.data import LabelledBatch, LabelledImages
from nearfar.sources.tasks import Tasks
from nearfar.vision.method import ImageMethod


class Seen(NamedTuple):
    """Views of N pictures, each (N, 3, H, W), their class numbers (N,), -1 where unknown, and further marks."""

    views: tuple[Tensor, ...]
    labels: Tensor
    marks: dict[str, Tensor]


class LabelMethod(ImageMethod):
    """A method on pictures of which something is known; arguments as of :class:`nearfar.vision.method.ImageMethod`.

    Attributes:
        needs_labels: whether it cannot learn where no picture has a label.
        needs: marks without which it cannot learn.
    """

    takes = LabelledBatch  # type: ignore[assignment]
    can_collapse = False
    needs_labels: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()

    def views(self, batch: LabelledBatch) -> Seen:  # type: ignore[override]
        return Seen(super().views(batch.pictures), batch.labels, batch.marks)

    def encode(self, batch: Any) -> Tensor:
        return super().encode(batch.pictures if isinstance(batch, LabelledBatch) else batch)

    def begin(self, data: Any) -> None:
        """Refuse data that lacks what the method learns from.

        Raises:
            ValueError: no labels, or no mark, of those that it needs.
        """
        for part in data.tasks if isinstance(data, Tasks) else [data]:
            if not isinstance(part, LabelledImages):
                continue
            if self.needs_labels and not (part.seen >= 0).any():
                raise ValueError(
                    f"all labels of {part.name} are missing, and {type(self).__name__} learns from them; name classes "
                    "by folders or in a column label"
                )
            missing = [mark for mark in self.needs if mark not in part.marks]
            if missing:
                raise ValueError(
                    f"{type(self).__name__} learns from the {missing[0]} of pictures, which {part.name} does not say; "
                    f"give a table with a column for it"
                )


def own_class(labels: Tensor) -> Tensor:
    """Class numbers in which every picture of unknown class is the only one of its class."""
    return torch.where(labels < 0, -1 - torch.arange(len(labels), device=labels.device), labels)
