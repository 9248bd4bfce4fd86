"""A classifier on a run's vectors: fitted from labelled examples, kept with the run, with probabilities that hold."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from nearfar.common.files import atomic_write, read_whole
from nearfar.evaluation import LinearProbe, ece, fit_temperature
from nearfar.runs.run import Run, RunError
from nearfar.sources.labels import known
from nearfar.training import Method
from nearfar.training.embed import embed

NAME = "classifier.npz"
MOST = 1 << 30
FOLDS = 5


@dataclass(frozen=True)
class Classifier:
    """A linear map from vectors to classes, and what was measured while it was fitted.

    Attributes:
        classes: (C,) names.
        weight, bias: (C, D) and (C,); logits are ``vectors @ weight.T + bias``.
        temperature: divides the logits, so that probabilities are as often right as they say.
        accuracy: share of labelled examples told right by fits that had not seen them.
        calibration: the expected calibration error of those, in [0, 1].
        examples: how many labelled examples there were.
        tuned: digest of the weights of the encoder that was fine-tuned with it; empty where it reads the run's own.
    """

    classes: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    temperature: float
    accuracy: float
    calibration: float
    examples: int
    tuned: str = ""

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        """(N, C) of (N, D), rows that sum to 1."""
        if vectors.shape[1] != self.weight.shape[1]:
            raise ValueError(f"the classifier reads vectors of width {self.weight.shape[1]}, got {vectors.shape[1]}")
        return softmax((vectors.astype(np.float64) @ self.weight.T + self.bias) / self.temperature, axis=1)


def fit_classifier(vectors: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> Classifier:
    """A linear probe on (N, D) vectors with (N,) classes; its accuracy, temperature and calibration by folds.

    Raises:
        ValueError: fewer than two classes, or a class with a single example.
    """
    names, codes, folds = checked(labels, seed)
    weight, bias, strength = linear_map(vectors, codes, seed)  # one strength, so that one temperature fits all folds
    logits, part = np.zeros((len(codes), len(names))), np.zeros(len(codes), np.int64)
    for fold, (seen, unseen) in enumerate(folds):
        w, b, _ = linear_map(vectors[seen], codes[seen], seed, strength)
        logits[unseen], part[unseen] = vectors[unseen].astype(np.float64) @ w.T + b, fold
    return judged(names, weight, bias, logits, codes, part)


def checked(
    labels: np.ndarray, seed: int, most: int = FOLDS
) -> tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Names of classes, the labels as places in them, and folds of what is seen and what is not.

    Raises:
        ValueError: fewer than two classes, or a class with a single example.
    """
    from sklearn.model_selection import StratifiedKFold

    names, counts = np.unique(labels, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"labels name {len(names)} class, and telling classes apart needs at least two")
    if counts.min() < 2:
        alone = ", ".join(str(name) for name in names[counts < 2][:3])
        raise ValueError(f"every class needs at least two labelled examples; one alone has {alone}")
    codes = np.searchsorted(names, labels)
    folds = StratifiedKFold(min(most, int(counts.min())), shuffle=True, random_state=seed)
    return names, codes, [*folds.split(codes, codes)]


def judged(
    names: np.ndarray, weight: np.ndarray, bias: np.ndarray, logits: np.ndarray, codes: np.ndarray, part: np.ndarray
) -> Classifier:
    """A classifier with its accuracy, temperature and calibration, by (N, C) logits of examples that fits had not seen.

    Args:
        part: (N,) by which fold's fit they are.
    """
    cooled = np.zeros_like(logits)
    for fold in np.unique(part):  # a temperature is judged on rows that it was not fitted on
        own = part == fold
        cooled[own] = softmax(logits[own] / _temperature(logits[~own], codes[~own]), axis=1)
    return Classifier(
        names.astype(str),
        weight,
        bias,
        _temperature(logits, codes),
        float((logits.argmax(1) == codes).mean()),
        ece(cooled, codes),
        len(codes),
    )


def _temperature(logits: np.ndarray, codes: np.ndarray) -> float:
    """With Platt's targets: a dozen examples that are all told right are no reason to be certain."""
    rows, classes = logits.shape
    return fit_temperature(logits, codes, smoothing=classes / (rows + classes))


def labelled_vectors(method: Method, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Vectors and labels of what is labelled.

    Raises:
        ValueError: nothing is.
    """
    found = embed(method, data)
    if found.labels is None or not known(found.labels).any():
        raise ValueError(unlabelled(data))
    rows = known(found.labels)
    return found.array[rows], found.labels[rows]


def unlabelled(data: Any) -> str:
    """What is said of data without labels."""
    return f"{data.name} has no labels; give a folder of class folders, or a table with columns of files and labels"


def keep_classifier(run: Run, classifier: Classifier, tuned: str = "") -> Path:
    """Keep it with the run, in place of one that is there; ``tuned`` is the digest of an encoder of its own."""
    path = run.path / NAME
    classifier = replace(classifier, tuned=tuned)
    with atomic_write(path) as file:
        parts: Any = {name: np.asarray(value) for name, value in vars(classifier).items()}
        np.savez(file, **parts)
    return path


def kept_classifier(run: Run) -> Classifier:
    """The one that is kept with a run.

    Raises:
        RunError: there is none, or it is damaged.
    """
    path = run.path / NAME
    if not path.is_file():
        raise RunError(f"{run.path} keeps no classifier yet; fit one with --labels LABELLED")
    try:
        with np.load(io.BytesIO(read_whole(path, MOST)), allow_pickle=False) as found:
            parts = {name: found[name] for name in Classifier.__dataclass_fields__ if name in found or name != "tuned"}
            single = {"temperature", "accuracy", "calibration", "examples", "tuned"} & {*parts}
            numbers = {name: parts[name].item() for name in single}
        kept = Classifier(**{**parts, **numbers})
        if kept.weight.shape != (len(kept.classes), kept.weight.shape[-1]) or kept.bias.shape != kept.classes.shape:
            raise ValueError("its parts do not fit each other")
    except Exception as error:
        raise RunError(f"{path} is damaged ({error}); fit it again with --labels LABELLED") from error
    return kept


def classified(method: Method, data: Any, classifier: Classifier, *, every: bool = False) -> dict[str, Any]:
    """Columns ``id``, ``label`` and ``probability``; with ``every`` one of probabilities for each class besides."""
    p = classifier.probabilities(embed(method, data).array)
    best = p.argmax(1)
    columns: dict[str, Any] = {
        "id": [str(each) for each in data.ids],
        "label": classifier.classes[best].tolist(),
        "probability": p[np.arange(len(p)), best].round(6).tolist(),
    }
    if every:
        columns |= {f"probability {name}": p[:, c].round(6).tolist() for c, name in enumerate(classifier.classes)}
    return columns


def linear_map(
    x: np.ndarray, codes: np.ndarray, seed: int, strength: float | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """The probe as one linear map of vectors as they are, a row of weights for each class, and its strength."""
    if strength is None and np.bincount(codes).min() < 3:
        strength = 1e-2  # too few to set some aside and choose by them
    probe = LinearProbe(seed=seed, C_grid=None if strength is None else [strength]).fit(x, codes)
    weight, bias = probe.linear()
    if len(weight) == 1:  # two classes share one row
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias, probe.C
