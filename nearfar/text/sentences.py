"""A run as sentence-transformers and mteb ask for a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nearfar.common.extras import needed
from nearfar.training import Method

__all__ = ["SentenceEncoder"]


class SentenceEncoder:
    """Sentences to vectors by a trained system, in the form in which other libraries evaluate models.

    >>> import mteb
    >>> model = SentenceEncoder(nearfar.load("runs/second"), name="me/second")
    >>> mteb.evaluate(model, mteb.get_tasks(["STSBenchmark"]))

    ``encode`` takes what ``SentenceTransformer.encode`` takes, and what mteb from version 2 hands over: batches of
    dictionaries with their texts under ``text``. Queries and documents go through one encoder; prompts and what a task
    says of itself are not used, as nothing here was trained with them.

    Args:
        method: what :func:`nearfar.load` opened, of the text field: anything whose ``encode`` takes a list of
            sentences.
        name: under which mteb files the results, ``owner/model``.
        batch_size: sentences at a time, sorted by length; callers may ask for another.
    """

    similarity_fn_name = "cosine"

    def __init__(self, method: Any, *, name: str = "nearfar/run", batch_size: int = 64) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        owner, slash, model = name.partition("/")
        if not (owner and slash and model) or "/" in model:
            raise ValueError(f"mteb files results under owner/model, got the name {name!r}")
        if isinstance(method, str | Path):
            raise TypeError(f"SentenceEncoder takes an opened run: SentenceEncoder(nearfar.load({str(method)!r}))")
        self.method, self.name, self.batch_size = method, name, batch_size

    def encode(
        self,
        sentences: str | Iterable[str] | Iterable[Mapping[str, Any]],
        *,
        batch_size: int | None = None,
        normalize_embeddings: bool = False,
        convert_to_tensor: bool = False,
        **told: Any,
    ) -> Any:
        """Vectors (N, D), float32; of one sentence (D,).

        Args:
            sentences: one, several, or batches with texts under ``text``.
            normalize_embeddings: to length 1.
            convert_to_tensor: a tensor instead of an array.
            told: what callers say besides (tasks, splits, prompts, progress), which changes nothing.

        Raises:
            TypeError: something else than texts.
        """
        alone = isinstance(sentences, str)
        texts = [sentences] if isinstance(sentences, str) else _texts(sentences)
        order = np.argsort([-len(text) for text in texts], kind="stable")
        size = batch_size or self.batch_size
        rows: list[Tensor] = []
        if isinstance(self.method, Method):
            self.method.eval()
        with torch.no_grad():
            for start in range(0, len(order), size):
                rows += self.method.encode([texts[row] for row in order[start : start + size]]).float().cpu()
        if not rows:
            raise ValueError("there are no sentences to encode")
        found = torch.stack(rows)[torch.as_tensor(np.argsort(order))]
        if normalize_embeddings:
            found = F.normalize(found, dim=-1)
        found = found[0] if alone else found
        return found if convert_to_tensor else found.numpy()

    def similarity(self, one: Any, other: Any) -> Tensor:
        """Cosines (N, M) between all of ``one`` and all of ``other``."""
        return _directions(one) @ _directions(other).T

    def similarity_pairwise(self, one: Any, other: Any) -> Tensor:
        """Cosines (N,) of every row with the one at its place."""
        return (_directions(one) * _directions(other)).sum(-1)

    @property
    def mteb_model_meta(self) -> Any:
        """What mteb keeps of a model beside its results. Needs the extra ``mteb``."""
        meta = needed("mteb.models", "mteb", "describing a model to mteb").ModelMeta
        # A copy with a revision: mteb keeps results by name and revision, and asks the Hub for one where there is none.
        return meta.create_empty({"name": self.name, "revision": "local", "similarity_fn_name": "cosine"})


def _texts(given: Iterable[Any]) -> list[str]:
    texts: list[str] = []
    for part in given:
        inside = part.get("text") if isinstance(part, Mapping) else [part]
        if isinstance(inside, str):
            inside = [inside]
        if not isinstance(inside, list | tuple) or not all(isinstance(text, str) for text in inside):
            found = f"a batch of {', '.join(map(str, part))}" if isinstance(part, Mapping) else type(part).__name__
            raise TypeError(f"encode takes sentences, or batches with texts under 'text'; it was given {found}")
        texts += inside
    return texts


def _directions(vectors: Any) -> Tensor:
    found = torch.as_tensor(np.asarray(vectors) if not isinstance(vectors, Tensor) else vectors, dtype=torch.float32)
    return F.normalize(found.reshape(-1, found.shape[-1]), dim=-1)
