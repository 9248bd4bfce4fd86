"""What is measured on pairs of modalities: zero-shot classification and retrieval in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nearfar.evaluation import GEOMETRY, effective_rank, knn, paired_retrieval
from nearfar.multimodal.composed import composed_recall
from nearfar.multimodal.data.composed import Triplets
from nearfar.multimodal.data.pairs import CaptionedImages
from nearfar.multimodal.method import PairEncoder
from nearfar.sources.labels import known
from nearfar.system import Scores
from nearfar.training import Data, Method, embed
from nearfar.training.probing import near_and_apart


def evaluate(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """``zero-shot <set>`` accuracy in [0, 1] where a set describes its classes; ``R@1 <set>`` of both directions
    where every caption has one right image; ``knn <set>``, the accuracy of 20 neighbours among up to 2,000 images of
    the training set, where both have labels; the effective rank of image embeddings, and alignment and separation of
    pictures and captions. Of triplets ``R@1 <set>`` and
    ``R@10 <set>`` of composed retrieval.

    Sets without either are measured by retrieval over their first 200 pairs, where equal captions count as
    misses.
    """
    sets = dict(data.splits()) or {"data": data}
    scores = Scores(neither=GEOMETRY)
    for name, held_out in sets.items():
        if isinstance(held_out, Triplets):
            scores |= {f"{metric} {name}": value for metric, value in composed_recall(method, held_out).items()}
            continue
        assert isinstance(held_out, CaptionedImages)
        if held_out.classes and held_out.labels is not None:
            scores.over(f"zero-shot {name}", zero_shot_guesses(method, held_out) == held_out.labels)
        else:
            pairs = _pairs(method, held_out)
            scores |= {f"{metric} {name}": value for metric, value in _recall(*pairs).items()}
            if "alignment" not in scores:
                scores.add(near_and_apart(*pairs))
            if held_out.labels is not None and data.labels is not None and held_out is not data:
                scores[f"knn {name}"] = _neighbours(method, data.sample(2000, seed), held_out)
        if "effective_rank" not in scores:
            scores["effective_rank"] = float(effective_rank(embed(method, held_out).array[:2048]))
    return scores


def zero_shot_classifier(method: Method, classes: Mapping[int, Sequence[str]]) -> np.ndarray:
    """A weight vector per class (C, D): the normalised mean of the normalised embeddings of its sentences."""
    towers = method.encoder
    assert isinstance(towers, PairEncoder)
    weights = []
    with method.frozen():
        for sentences in classes.values():
            embedded = _normalized(towers.embed_text([*sentences]).float().cpu().numpy())
            weights.append(embedded.mean(0))
    return _normalized(np.stack(weights))


def zero_shot_guesses(method: Method, data: CaptionedImages) -> np.ndarray:
    """(N,) the most similar class of each image."""
    weights = zero_shot_classifier(method, data.classes)
    return np.array([*data.classes])[(embed(method, data).normalized().array @ weights.T).argmax(1)]


def retrieve(method: Method, data: CaptionedImages, count: int = 200) -> dict[str, float]:
    """Recall at 1 in both directions over the first ``count`` pairs of different pictures."""
    return _recall(*_pairs(method, data, count))


def _recall(images: np.ndarray, text: np.ndarray) -> dict[str, float]:
    found = paired_retrieval(images, text, ks=(1,))
    return {"R@1 image to text": found["a_to_b@1"], "R@1 text to image": found["b_to_a@1"]}


def _pairs(method: Method, data: CaptionedImages, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the first pictures that differ, and of their captions."""
    rows = np.arange(len(data)) if data.shows is None else np.sort(np.unique(data.shows, return_index=True)[1])
    rows = rows[:count]
    few = data.subset(rows)
    towers = method.encoder
    assert isinstance(towers, PairEncoder)
    with method.frozen():
        text = towers.embed_text([data.captions[row] for row in rows]).float().cpu().numpy()
    return embed(method, few).array, text


def _neighbours(method: Method, bank: Data, held_out: CaptionedImages) -> float:
    """How often the nearest labelled images of a bank have the label; images without one do not count."""
    assert bank.labels is not None
    assert held_out.labels is not None
    here, there = known(bank.labels), known(held_out.labels)
    if not here.any() or not there.any():
        return float("nan")
    features, of_bank = embed(method, held_out).array[there], embed(method, bank).array[here]
    return knn(of_bank, bank.labels[here], features, held_out.labels[there], k=min(20, int(here.sum())))


def _normalized(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
