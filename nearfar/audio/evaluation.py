"""How methods on sounds are judged: classes, speakers, captions, the order of events, geometry."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.audio.data import CaptionedSounds
from nearfar.evaluation import GEOMETRY, LinearProbe, effective_rank, feature_std, retrieval, stratified_fraction
from nearfar.evaluation import verification as error_rates
from nearfar.sources.labels import classed_rows
from nearfar.system import Scores
from nearfar.training import Data, Method, embed

__all__ = ["composition", "evaluate", "pair_scores", "retrieve", "verify_pairs"]

# Sounds of a test set whose pairs are compared, and that captions are looked for among.
MOST = 1500
TABLE = (1, 5, 10)


def evaluate(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """What the data allow to measure.

    - Labels that the test set shares with the training set: ``probe``, the accuracy of a linear probe on the test set,
      or on half of the sounds where there is none.
    - Labels of others (speakers who were never heard): ``eer`` and ``min_dcf`` over all pairs of the test set.
    - Captions: :func:`retrieve`; sounds that differ in the order of what they hold: :func:`composition`.
    """
    scores = Scores(neither=GEOMETRY)
    found = embed(method, data)
    test = data.splits().get("test")
    if hasattr(method, "embed_text"):
        held = test if test is not None else data
        scores.add(retrieve(method, held, seed=seed))
        for name, part in ({"test": held} | dict(data.splits())).items():
            if isinstance(part, CaptionedSounds) and part.pairs is not None:
                scores.add(composition(method, part), "" if name == "test" else f"{name} ")
    scores.add(_by_labels(method, found.array, found.labels, data, test, seed))
    scores["effective_rank"] = effective_rank(found.array[:2048]) if len(found.array) > 1 else 1.0
    scores["std"] = feature_std(found.array, relative=True) if len(found.array) > 1 else 0.0
    return scores


def _by_labels(
    method: Method, x: np.ndarray, labels: np.ndarray | None, data: Data, test: Data | None, seed: int
) -> Scores:
    if labels is None:
        return Scores()
    if test is None or test.labels is None:
        rows = classed_rows(labels, data.name)
        if not len(rows):
            return Scores()
        chosen = stratified_fraction(labels[rows], 0.5, seed=seed)
        rest = np.setdiff1d(np.arange(len(rows)), chosen)
        probe = LinearProbe(seed=seed).fit(x[rows[chosen]], labels[rows[chosen]])
        return Scores().over("probe", probe.predict(x[rows[rest]]) == labels[rows[rest]])
    held = embed(method, test)
    assert held.labels is not None
    if set(held.labels.tolist()) & set(labels.tolist()):
        rows, held_rows = classed_rows(labels, data.name), classed_rows(held.labels, test.name)
        if not len(rows) or not len(held_rows):
            return Scores()
        probe = LinearProbe(seed=seed).fit(x[rows], labels[rows])
        return Scores().over("probe", probe.predict(held.array[held_rows]) == held.labels[held_rows])
    if len(classed_rows(held.labels, test.name)):
        return verify_pairs(held.array, held.labels, getattr(test, "trials", None), seed=seed)
    return Scores()


def verify_pairs(
    x: np.ndarray, labels: np.ndarray, trials: np.ndarray | None = None, *, p_target: float = 0.01, seed: int = 0
) -> Scores:
    """Equal error rate and minimum detection cost of cosines.

    Args:
        x: (N, D) embeddings.
        labels: (N,) whose they are.
        trials: (n, 3), two rows and whether they are of one; all pairs where it is ``None``, of at most
            :data:`MOST` sounds.
        p_target: prior of "the same".
        seed: of the sounds that are taken where there are more.

    Returns:
        ``eer`` and ``min_dcf``, both better lower.
    """
    if trials is None:
        rows = np.arange(len(x))
        if len(rows) > MOST:
            rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
        i, j = (rows[side] for side in np.triu_indices(len(rows), 1))
        same = labels[i] == labels[j]
    else:
        i, j, same = trials[:, 0], trials[:, 1], trials[:, 2].astype(bool)
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    found = error_rates(_products(unit, i, j), same.astype(int), p_target=p_target)
    return Scores({name: found[name] for name in ("eer", "min_dcf")}, lower=("eer", "min_dcf"))


def _products(unit: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    parts = np.array_split(np.arange(len(i)), max(len(i) // 65536, 1))
    return np.concatenate([(unit[i[part]] * unit[j[part]]).sum(1) for part in parts])


def retrieve(method: Any, data: Data, *, seed: int = 0) -> Scores:
    """Recall at 1, 5 and 10 and mean average precision, from sounds to captions and back, by cosine.

    Every caption of a sound is a query and an answer; equal captions are one, and of several sounds that it describes
    any is right. At most :data:`MOST` sounds.
    """
    if not isinstance(data, CaptionedSounds):
        return Scores()
    rows = np.arange(len(data))
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
    sounds = embed(method, data.subset(rows))
    rows = rows[data.readable(rows)]
    captions = [*dict.fromkeys(caption for row in rows for caption in data.captions[row])]
    number = {caption: position for position, caption in enumerate(captions)}
    right = np.zeros((len(rows), len(captions)), bool)
    for position, row in enumerate(rows):
        right[position, [number[caption] for caption in data.captions[row]]] = True
    text = _texts(method, captions)
    ks = [k for k in TABLE if k <= min(right.shape)]
    scores = Scores()
    for name, found in (
        ("sound to text", retrieval((sounds.array, text), right, ks=ks)),
        ("text to sound", retrieval((text, sounds.array), right.T, ks=ks)),
    ):
        scores.add({f"R@{k} {name}": found[f"hit@{k}"] for k in ks} | {f"mAP {name}": found["map"]})
    return scores


def _texts(method: Any, captions: list[str]) -> np.ndarray:
    with method.frozen():
        parts = [method.embed_text(captions[first : first + 256]) for first in range(0, len(captions), 256)]
        return np.concatenate([part.float().cpu().numpy() for part in parts])


def composition(method: Any, data: CaptionedSounds) -> Scores:
    """Text, audio and group score over pairs of sounds that hold the same things arranged differently (CompA).

    Each of a pair has its first caption; see :func:`pair_scores`.
    """
    assert data.pairs is not None
    sounds = embed(method, data).normalized().array
    pairs = np.asarray(data.pairs)
    text = _texts(method, [data.captions[row][0] for row in range(len(data))])
    text = text / np.maximum(np.linalg.norm(text, axis=1, keepdims=True), 1e-12)
    return pair_scores(np.einsum("npd,nqd->npq", text[pairs], sounds[pairs]))


def pair_scores(similarity: np.ndarray) -> Scores:
    """Shares of pairs that are told apart, from similarities (N, 2, 2) of text p and sound q.

    ``text``: either sound is nearer to its own caption than to the other's. ``audio``: either caption is nearer to its
    own sound. ``group``: both. Guessing gives 1/4, 1/4 and 1/6 (CompA, ``evaluation/benchmark_eval.py``); equal
    similarities count as wrong.
    """
    s = np.asarray(similarity)
    if s.ndim != 3 or s.shape[1:] != (2, 2) or not len(s):
        raise ValueError(f"similarity must have shape (N, 2, 2), got {s.shape}")
    text = (s[:, 0, 0] > s[:, 1, 0]) & (s[:, 1, 1] > s[:, 0, 1])
    audio = (s[:, 0, 0] > s[:, 0, 1]) & (s[:, 1, 1] > s[:, 1, 0])
    return Scores({"text": text.mean(), "audio": audio.mean(), "group": (text & audio).mean()})
