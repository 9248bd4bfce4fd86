"""What the layers of a vision transformer look at, and what each of them knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nearfar import evaluation as ev
from nearfar.encoders.trace import trace
from nearfar.encoders.vit import Trace
from nearfar.evaluation.geometry import attention as look
from nearfar.sources.data import Subset, in_order
from nearfar.training import Data, Method
from nearfar.training.embed import to_device
from nearfar.vision.evaluation import split

PARTS: tuple[Literal["class", "patches"], ...] = ("class", "patches")
PICTURES = 512
REFERENCES = 2000
_AT_ONCE = 64


def attention(method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """Where each layer looks (Walmer et al., 2023, arXiv 2212.03862), on 512 held-out pictures at most.

    Works for encoders ``vit-...`` and ``hf:<vision transformer>`` on square pictures.

    Returns:
        For each layer, counted from 1: ``distance``, how far patches look, in sides of the picture; ``position
        deviation`` and ``head deviation``, how much patches and heads differ in where they look; ``on class``, the
        share of the patches' attention on the class token; ``offset``, how far the farthest head looks past itself on
        average, in patches. With data that has masks (``shapes``, ``shape-scenes``) also ``iou class`` and ``iou
        patches``, how well the class token's and the patches' 60% of attention, heads taken together, cover the
        objects. See :mod:`nearfar.evaluation.geometry.attention`.

    Raises:
        TypeError: an encoder without attention. ValueError: pictures that are not square.
    """
    test = _both(data, seed)[1]
    masks = _masks(test)
    sums: dict[str, float] = {}
    aligned: list[Tensor] = []
    for part, found in _traces(method, test):
        share = len(part) / len(test)
        for layer, weights in enumerate(found.attentions):
            scores = {
                "distance": look.attention_distance(weights),
                "position deviation": look.token_position_deviation(weights),
                "on class": look.attention_on_tokens(weights, "patches")[..., 0],
            }
            if weights.shape[1] > 1:
                scores["head deviation"] = look.head_deviation(weights)
            if masks is not None:
                objects, merged = torch.from_numpy(masks[part]), weights.mean(1, keepdim=True).cpu()
                scores |= {f"iou {who}": look.attention_iou(merged, objects, who) for who in PARTS}
            for name, values in scores.items():
                key = f"{name} layer {layer + 1}"
                sums[key] = sums.get(key, 0.0) + share * float(values.mean())
            if len(aligned) == layer:
                aligned.append(torch.zeros(()))
            aligned[layer] = aligned[layer] + share * look.aligned_attention(weights).cpu()
    for layer, maps in enumerate(aligned):
        tokens = (maps.shape[-1] - 1) / 2  # offsets come in halves of the aligned map
        sums[f"offset layer {layer + 1}"] = float(look.attention_offset(maps)[:, 2].max()) * tokens
    return dict(sorted(sums.items(), key=lambda item: item[0].rpartition(" layer ")[0]))


def layers(method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """What each layer of a vision transformer knows, on 512 held-out pictures at most (Walmer et al., 2023).

    Returns:
        For each layer, counted from 1, with labels: ``knn class`` and ``knn patches``, accuracy of neighbours by the
        class token and by the mean of the patches among at most 2,000 training pictures; ``nmi class`` and ``nmi
        patches``, of k-means clusters with the classes. ``cka with last``, how alike the layer and the last one are
        (:func:`nearfar.evaluation.minibatch_cka` of the class token).

    Raises:
        TypeError: an encoder without attention.
    """
    train, test = _both(data, seed)
    found = _tokens(method, test)
    scores: dict[str, float] = {}
    if train.labels is not None and test.labels is not None:
        known = _tokens(method, train)
        for part in PARTS:
            for layer, (reference, vectors) in enumerate(zip(known[part], found[part], strict=True), 1):
                scores[f"knn {part} layer {layer}"] = ev.knn(
                    reference, train.labels, vectors, test.labels, k=min(20, len(reference))
                )
            for layer, vectors in enumerate(found[part], 1):
                clusters = ev.kmeans_scores(vectors, test.labels, seed=0, restarts=3)
                scores[f"nmi {part} layer {layer}"] = clusters["nmi"]
    for layer, vectors in enumerate(found["class"], 1):
        scores[f"cka with last layer {layer}"] = ev.minibatch_cka(vectors, found["class"][-1])
    return scores


def _both(data: Data, seed: int) -> tuple[Data, Data]:
    """Training and held-out pictures, a sample of each; the data itself where nothing is held out."""
    train, held_out = split(data, seed)
    return train.sample(REFERENCES, seed=seed), next(iter(held_out.values()), train).sample(PICTURES, seed=seed)


def _masks(data: Data) -> np.ndarray | None:
    if isinstance(data, Subset):
        masks = _masks(data.data)
        return None if masks is None else masks[data.indices]
    return getattr(data, "masks", None)


def _traces(method: Method, data: Data) -> Iterator[tuple[np.ndarray, Trace]]:
    with method.frozen():
        for rows, batch in in_order(data, _AT_ONCE):
            images = to_device(batch, method.device).images
            yield rows, trace(method.encoder, images[:, 0] if images.ndim == 5 else images)


def _tokens(method: Method, data: Data) -> dict[str, list[np.ndarray]]:
    """For each part (:data:`PARTS`) and layer, one vector of each picture."""
    batches = [
        {"class": [each[:, 0] for each in found.tokens], "patches": [each[:, 1:].mean(1) for each in found.tokens]}
        for _, found in _traces(method, data)
    ]
    return {
        part: [torch.cat(layer).float().cpu().numpy() for layer in zip(*(each[part] for each in batches), strict=True)]
        for part in PARTS
    }
