"""What a representation is worth to somebody with few labels, or none."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from nearfar.evaluation import fine_tune, kmeans_scores, retrieval
from nearfar.training import Data, Method, embed
from nearfar.vision.evaluation import split
from nearfar.vision.views import recipe_pair

FRACTIONS = (0.01, 0.1)
LARGEST = 20_000


def few_labels(method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """Accuracy on each held-out set after fine-tuning the whole encoder on 1% and on 10% of the labels.

    :func:`nearfar.evaluation.fine_tune` with its defaults; crops and flips as augmentation. At most 20,000
    training pictures are held in memory.

    Returns:
        ``fine-tuned on 1% <set>`` and ``fine-tuned on 10% <set>``, in [0, 1].

    Raises:
        ValueError: data without labels.
    """
    train, held_out = split(data, seed)
    if train.labels is None:
        raise ValueError(f"fine-tuning needs labels, and {data.name} has none")
    train = train.sample(min(LARGEST, len(train)), seed=seed)
    inputs = _pictures(train)
    crops = recipe_pair("gentle")[0]
    generator = torch.Generator().manual_seed(seed)
    scores = {}
    for name, test in held_out.items():
        if test.labels is None:
            continue
        pictures = _pictures(test)
        for fraction in FRACTIONS:
            scores[f"fine-tuned on {fraction:.0%} {name}"] = fine_tune(
                method.encoder,
                inputs,
                train.labels,
                pictures,
                test.labels,
                fraction=fraction,
                out_features=int(method.encoder.out_features),  # type: ignore[arg-type]
                seed=seed,
                augment=partial(crops, generator=generator),
            )
    return scores


def clusters(method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """How well k-means on each held-out set's representation finds its classes, without labels."""
    scores = {}
    for name, test in split(data, seed)[1].items():
        if test.labels is not None:
            for metric, value in kmeans_scores(embed(method, test).array, test.labels, seed=seed).items():
                scores[f"{metric} {name}"] = float(value)
    return scores


def neighbours(method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """How well each held-out set's pictures find pictures of their own class among the others.

    Returns:
        ``precision@1 <set>`` and ``map@r <set>``, in [0, 1]; see :func:`nearfar.evaluation.ranking.retrieval`.
    """
    scores = {}
    for name, test in split(data, seed)[1].items():
        if test.labels is not None:
            test = test.sample(LARGEST, seed=seed)
            found = embed(method, test).array
            ids = np.arange(len(found))
            ranked = retrieval((found, found), (test.labels, test.labels), ks=(1,), query_ids=ids, document_ids=ids)
            scores[f"precision@1 {name}"] = ranked["precision@1"]
            scores[f"map@r {name}"] = ranked["map@r"]
    return scores


def _pictures(data: Data) -> Tensor:
    images = data.batch(np.arange(len(data))).images
    return images[:, 0] if images.ndim == 5 else images
