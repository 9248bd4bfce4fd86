"""What is measured on labelled pictures: probes by class, by level and by rarity; over tasks, what is forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation import (
    GEOMETRY,
    Embeddings,
    LinearProbe,
    continual,
    detection,
    effective_rank,
    feature_std,
    knn,
    knn_predict,
    shot_accuracy,
    uniformity,
)
from nearfar.labels.data import LabelledImages
from nearfar.sources.data import in_order
from nearfar.sources.tasks import Tasks
from nearfar.system import Scores
from nearfar.training import Data, Method, embed
from nearfar.training.embed import to_device
from nearfar.training.probing import split

TASK_TRAIN, TASK_TEST = 1000, 500
"""Pictures of each task that its accuracy is measured with, at most."""


def evaluate(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """Probes that learn from the labelled pictures, on each held-out set.

    Returns:
        ``linear <set>``, ``knn <set>`` in [0, 1]. Where classes differ in number, the mean over classes of the linear
        probe's accuracy, ``balanced <set>``, and of those with more than 100, 20 to 100 and fewer than 20 training
        pictures: ``many <set>``, ``medium <set>``, ``few <set>``. Where there is a hierarchy, ``linear level 1 <set>``
        and so on, without the last. Of a method that predicts the same of its own answers, ``predicted <set>``,
        ``predicted balanced <set>`` and so on. Of a stream of tasks what :func:`evaluate_tasks` gives. And the geometry
        of the first held-out set: ``effective_rank``, ``uniformity``, ``std``.
    """
    if isinstance(data, Tasks):
        return evaluate_tasks(method, data, seed=seed)
    train, held_out = split(data, seed)
    embeddings = embed(method, train)
    tests = {name: embed(method, part) for name, part in held_out.items()}
    scores = Scores(neither=GEOMETRY)
    known = labelled(embeddings, train)
    if known is not None and len(np.unique(known[1])) > 1:
        _probe(scores, *known, tests, seed)
    if isinstance(train, LabelledImages) and "levels" in train.marks:
        _levels(scores, embeddings, train, tests, held_out, seed)
    if "predicts" in method.verbs:
        _predictions(scores, method, train, held_out)
    sample = next(iter(tests.values()), embeddings).array[:2048]
    return scores.add(
        {
            "effective_rank": effective_rank(sample),
            "uniformity": uniformity(sample),
            "std": feature_std(sample, relative=True),
        }
    )


def labelled(embeddings: Embeddings, data: Data) -> tuple[np.ndarray, np.ndarray] | None:
    """Representations and class numbers of the pictures whose label training may see."""
    if embeddings.labels is None:
        return None
    seen = data.seen if isinstance(data, LabelledImages) and len(data) == len(embeddings) else embeddings.labels
    rows = seen >= 0
    return (embeddings.array[rows], seen[rows]) if rows.any() else None


def _probe(scores: Scores, x: np.ndarray, y: np.ndarray, tests: dict[str, Embeddings], seed: int) -> None:
    probe = LinearProbe(seed=seed).fit(x, y)
    counts = np.bincount(y)
    uneven = counts[counts > 0].max() > 1.5 * counts[counts > 0].min()
    for name, test in tests.items():
        if test.labels is None:
            continue
        rows = test.labels >= 0
        found = probe.predict(test.array[rows])
        truth = test.labels[rows]
        scores.over(f"linear {name}", found == truth)
        scores.over(f"knn {name}", knn_predict(x, y, test.array[rows], k=min(20, len(x))) == truth)
        if uneven:
            shots = shot_accuracy(truth, found, counts)
            scores |= {f"{shot} {name}": value for shot, value in shots.items()}


def predictions(method: Any, data: Data) -> np.ndarray:
    """(N,) class numbers that the method names for all of ``data``."""
    with method.frozen():
        found = [method.predict(to_device(batch, method.device)).cpu().numpy() for _, batch in in_order(data, 256)]
    return np.concatenate(found)


def _predictions(scores: Scores, method: Method, train: Data, held_out: dict[str, Data]) -> None:
    counts = train.counts if isinstance(train, LabelledImages) else None
    for name, test in held_out.items():
        if test.labels is None:
            continue
        rows = test.labels >= 0
        found, truth = predictions(method, test)[rows], test.labels[rows]
        scores.over(f"predicted {name}", found == truth)
        if counts is not None and counts.max() > 1.5 * max(counts.min(), 1):
            shots = shot_accuracy(truth, found, counts)
            scores |= {f"predicted {shot} {name}": value for shot, value in shots.items()}


def _levels(
    scores: Scores,
    embeddings: Embeddings,
    train: LabelledImages,
    tests: dict[str, Embeddings],
    held_out: dict[str, Data],
    seed: int,
) -> None:
    levels = train.marks["levels"]
    for level in range(levels.shape[1] - 1):
        y = levels[:, level]
        known = y >= 0
        if len(np.unique(y[known])) < 2 or len(embeddings) != len(train):
            continue
        probe = LinearProbe(seed=seed).fit(embeddings.array[known], y[known])
        for name, test in tests.items():
            part = held_out[name]
            if isinstance(part, LabelledImages) and "levels" in part.marks and len(test) == len(part):
                truth = part.marks["levels"][:, level]
                scores[f"linear level {level + 1} {name}"] = float(
                    probe.score(test.array[truth >= 0], truth[truth >= 0])
                )


def subject_auc(method: Method, data: Data, *, seed: int = 0, subjects: int = 40) -> dict[str, float]:
    """``subject auc <set>``: how well held-out subjects are ranked, when few subjects' true classes are known.

    Logistic regression on the slices of ``subjects`` drawn subjects of the training set, half of each class as far as
    there are; a subject's score is the mean of its slices'. Empty without subjects or with more than two classes.
    """
    if not isinstance(data, LabelledImages) or data.labels is None or "subject" not in data.marks:
        return {}
    classes = np.unique(data.labels[data.labels >= 0])
    if len(classes) != 2:
        return {}
    rng, subject = np.random.default_rng(seed), data.marks["subject"]
    of_class = [rng.permutation(np.unique(subject[data.labels == c]))[: subjects // 2] for c in classes]
    rows = np.flatnonzero(np.isin(subject, np.concatenate(of_class)))
    found = embed(method, data.subset(rows))
    probe = LinearProbe(seed=seed).fit(found.array, data.labels[rows])
    scores = {}
    for name, test in data.splits().items():
        if not isinstance(test, LabelledImages) or test.labels is None or "subject" not in test.marks:
            continue
        p = probe.predict_proba(embed(method, test).array)[:, 1]
        names, group = np.unique(test.marks["subject"], return_inverse=True)
        mean = np.bincount(group, weights=p) / np.bincount(group)
        truth = np.array([test.labels[group == g][0] == classes[1] for g in range(len(names))])
        scores[f"subject auc {name}"] = float(detection(mean, truth)["auroc"])
    return scores


def task_accuracies(method: Method, tasks: Tasks, seed: int = 0) -> np.ndarray:
    """(T,) kNN accuracy on the held-out pictures of each task, among the task's own classes; NaN where it has one."""
    found = np.full(len(tasks.tasks), np.nan)
    for number, task in enumerate(tasks.tasks):
        train, held_out = split(task, seed)
        test = next(iter(held_out.values()), None)
        if test is None or train.labels is None or len(np.unique(train.labels)) < 2:
            continue
        bank, queries = (embed(method, d.sample(n)) for d, n in ((train, TASK_TRAIN), (test, TASK_TEST)))
        found[number] = knn(bank.array, bank.labels, queries.array, queries.labels, k=min(20, len(bank)))
    return found


def evaluate_tasks(method: Method, tasks: Tasks, *, seed: int = 0) -> Scores:
    """Over all tasks a linear probe; and from the accuracies that the method kept before each task, what was forgotten.

    Returns:
        ``linear all tasks`` (one probe over all classes); ``accuracy <task>`` now; of a method with a history over as
        many tasks also ``average_accuracy``, ``forgetting`` (lower is better), ``backward_transfer``,
        ``forward_transfer`` (see :func:`nearfar.evaluation.continual`), and the matrix itself, ``after <task>:
        <task>``.
    """
    now = task_accuracies(method, tasks, seed)
    scores = Scores({f"accuracy {name}": float(a) for name, a in zip(tasks.names, now, strict=True) if a == a})
    train = embed(method, tasks)
    tests = [embed(method, part) for task in tasks.tasks for part in split(task, seed)[1].values()]
    if train.labels is not None and tests:
        probe = LinearProbe(seed=seed).fit(train.array, train.labels)
        x, y = np.concatenate([t.array for t in tests]), np.concatenate([np.asarray(t.labels) for t in tests])
        scores["linear all tasks"] = float(probe.score(x, y))
    history: Any = getattr(method, "history", None)
    before = None if history is None else history.accuracies.cpu().numpy()
    if before is None or len(before) != len(now) or len(now) < 2 or np.isnan(before).any() or np.isnan(now).any():
        return scores
    after = np.concatenate([before[1:], now[None]])
    scores.add(Scores(continual(after, before[0]), lower=["forgetting"]))
    matrix = {
        f"after {tasks.names[t]}: {tasks.names[j]}": float(after[t, j])
        for t in range(len(now))
        for j in range(len(now))
    }
    return scores.add(Scores(matrix, neither=matrix))
