"""Composed retrieval: a picture and words for what is to be different find the picture that is so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.evaluation import retrieval
from nearfar.multimodal.method import DualEncoder, PairEncoder
from nearfar.training import Method
from nearfar.training.embed import to_device

if TYPE_CHECKING:
    from nearfar.multimodal.data.composed import Triplets

BLOCK = 256
"""Pictures that are embedded at a time."""


class ComposedBatch(NamedTuple):
    """Pictures, what is to be different about each in words, and the pictures that are so.

    ``references`` (N, 3, H, W) uint8; ``changes``, N strings; ``targets`` (N, 3, H, W) uint8, ``None`` where the data
    has no target pictures; ``places`` (N, 2) int64, the numbers of both among the collection's pictures (-1 for none);
    ``captions`` of the references and ``edited``, those of the targets, N strings or none; ``rows`` (N,) int64.
    """

    references: Tensor
    changes: list[str]
    targets: Tensor | None
    places: Tensor
    captions: list[str]
    edited: list[str]
    rows: Tensor


class Composer(Method):
    """A method that composes a query of a picture and words. A subclass writes :meth:`compose`.

    Its ``encoder`` is a :class:`nearfar.multimodal.method.DualEncoder`, whose pictures are what is searched.
    """

    takes: ClassVar[type | None] = ComposedBatch
    encoder: DualEncoder  # type: ignore[assignment]

    def compose(self, images: Tensor, changes: Sequence[str]) -> Tensor:
        """Queries (N, D) of pictures (N, 3, H, W) and N changes, to be compared with pictures by cosine."""
        raise NotImplementedError(f"{type(self).__name__} does not define compose(images, changes)")

    def encode(self, batch: Any) -> Tensor:
        """Queries (N, D) of composed batches; pictures or sentences alone as the encoder embeds them."""
        if isinstance(batch, ComposedBatch):
            return self.compose(batch.references, batch.changes)
        return self.encoder(batch)


def composed(method: Method, images: Tensor, changes: Sequence[str]) -> Tensor:
    """Queries (N, D) of any method with two towers: its own, or the sum of both normalised embeddings, which needs no
    training for it."""
    own = getattr(method, "compose", None)
    if callable(own):
        return own(images, changes)
    towers = method.encoder
    assert isinstance(towers, PairEncoder)
    return F.normalize(towers.embed_images(images), dim=1) + F.normalize(towers.embed_text([*changes]), dim=1)


@torch.no_grad()
def picture_features(method: Method, pictures: np.ndarray) -> Tensor:
    """Embeddings (M, D), not normalised, of pictures (M, H, W, 3) uint8, in evaluation mode and without gradients."""
    towers = method.encoder
    assert isinstance(towers, PairEncoder)
    with method.frozen():
        parts = [
            towers.embed_images(to_device(torch.from_numpy(pictures[i : i + BLOCK]).permute(0, 3, 1, 2), method.device))
            for i in range(0, len(pictures), BLOCK)
        ]
    return torch.cat(parts).float()


def composed_recall(method: Method, data: Triplets, ks: Sequence[int] = (1, 10)) -> dict[str, float]:
    """Share of queries whose target is among the first k of all other pictures of the set, by cosine.

    A query's own reference is no answer to it, as in FashionIQ and CIRR. Cut-offs beyond the number of pictures are
    left out.

    Raises:
        ValueError: triplets without targets.
    """
    if data.targets is None:
        raise ValueError(f"{data.name} names no target pictures, which composed retrieval is measured by")
    gallery = picture_features(method, data.images).cpu().numpy()
    queries = []
    with method.frozen():
        for i in range(0, len(data), BLOCK):
            batch = to_device(data.batch(np.arange(i, min(i + BLOCK, len(data)))), method.device)
            queries.append(composed(method, batch.references, batch.changes).float().cpu())
    numbers = np.arange(len(gallery))
    found = retrieval(
        (torch.cat(queries).numpy(), gallery),
        (data.targets, numbers),
        ks=[k for k in ks if k < len(gallery)],
        query_ids=data.references,
        document_ids=numbers,
    )
    return {f"R@{k}": found[f"hit@{k}"] for k in ks if f"hit@{k}" in found}


class Combiner(nn.Module):
    r"""A picture's and a text's embedding as one query (Baldrati et al., 2022, CLIP4Cir's released ``combiner.py``).

    .. math::
        h = [\mathrm{drop}\,\mathrm{relu}(W_t t);\, \mathrm{drop}\,\mathrm{relu}(W_v v)], \quad
        q = W_o \,\mathrm{drop}\,\mathrm{relu}(W_c h) + \lambda t + (1 - \lambda) v, \quad
        \lambda = \sigma(\mathrm{MLP}(h))

    and :math:`q` is L2-normalised.

    Args:
        dim: width of both embeddings.
        projection: width of either projection; four times ``dim`` when not given.
        hidden: width of the joint layer; eight times ``dim`` when not given.
        dropout: probability, in [0, 1).

    Shape: two of (N, dim) to (N, dim), rows of length 1.
    """

    def __init__(
        self, dim: int, *, projection: int | None = None, hidden: int | None = None, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if dim < 1 or not 0 <= dropout < 1:
            raise ValueError(f"dim from 1 and dropout in [0, 1) are needed, got {dim} and {dropout}")
        each, joint = projection or 4 * dim, hidden or 8 * dim

        def layer(width_in: int, width_out: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(width_in, width_out), nn.ReLU(), nn.Dropout(dropout))

        self.text, self.image = layer(dim, each), layer(dim, each)
        self.joint = nn.Sequential(layer(2 * each, joint), nn.Linear(joint, dim))
        self.balance = nn.Sequential(layer(2 * each, joint), nn.Linear(joint, 1), nn.Sigmoid())

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        both = torch.cat([self.text(text), self.image(image)], 1)
        share = self.balance(both)
        return F.normalize(self.joint(both) + share * text + (1 - share) * image, dim=1)
