"""A map of what a run makes of its data, the neighbours of every example, and what stands out."""

from __future__ import annotations

import base64
import io
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from nearfar.evaluation import feature_std, nearest_neighbours
from nearfar.evaluation.probing.knn import knn_predict
from nearfar.report import charts
from nearfar.report.answer import ALARM_STD
from nearfar.report.cards import SIDE, Cards, cards
from nearfar.sources.data import Data
from nearfar.sources.labels import known
from nearfar.training.embed import embed

MOST = 1200
"""Examples on a page's map; of more, a drawn sample."""
FEWEST = 8
NEAR = 6
COLUMNS = 40
SHOWN = 8
"""Examples in each list of what stands out."""


@dataclass(frozen=True)
class Mapped:
    """Examples with their vectors and places.

    Attributes:
        vectors: (N, D) as the run encodes them.
        places: (N, 2) on the map.
        by: how the map was made.
        ids, labels: (N,) names; labels are ``None`` where the data have none.
        cards: their likenesses.
        neighbours, cosines: (N, K) the nearest others, nearest first.
        total: examples that there are.
    """

    vectors: np.ndarray
    places: np.ndarray
    by: str
    ids: list[str]
    labels: list[str] | None
    cards: Cards
    neighbours: np.ndarray
    cosines: np.ndarray
    total: int

    @property
    def collapsed(self) -> bool:
        return feature_std(self.vectors, relative=True) < ALARM_STD


def mapped(method: Any, data: Data, *, most: int = MOST, seed: int = 0, side: int = SIDE) -> Mapped | None:
    """Embed at most ``most`` examples and lay them out; ``None`` where they are too few or their vectors no numbers."""
    total = len(data.ids)
    rows_are_examples = total == len(data)
    sample = data.sample(most, seed) if rows_are_examples else data
    found = embed(method, sample)
    rows = np.arange(len(found.array))
    if len(rows) > most:  # one graph with many nodes
        rows = np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))
    x = found.array[rows].reshape(len(rows), -1)
    if len(x) < FEWEST or not np.isfinite(x).all():
        return None
    labels = None if found.labels is None or np.ndim(found.labels) != 1 else np.asarray(found.labels)[rows]
    names = None
    if labels is not None and labels.dtype.kind != "f":
        fine = known(labels)
        names = [str(label)[:60] if ok else "" for label, ok in zip(labels, fine, strict=True)] if fine.any() else None
    whole = rows_are_examples and len(found.array) == len(sample)
    likeness = cards(sample, rows, side) if whole else Cards(None, [""] * len(rows))
    cosines, neighbours = nearest_neighbours(x, x, min(NEAR, len(x) - 1), exclude_self=True)
    places, by = laid_out(x, seed)
    ids = [str(each)[-80:] for each in np.asarray(found.ids)[rows]]
    return Mapped(x, places, by, ids, names, likeness, neighbours, cosines, total)


def laid_out(x: np.ndarray, seed: int = 0) -> tuple[np.ndarray, str]:
    """Places (N, 2) of vectors (N, D), and how they were found: t-SNE of unit vectors, which keeps neighbours together;
    the first two principal components where there are few vectors, or where they have collapsed and t-SNE would draw
    differences that are not there."""
    from sklearn.decomposition import PCA

    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    width = min(50, *unit.shape)
    if len(x) < 40 or feature_std(x, relative=True) < ALARM_STD:
        flat = PCA(min(2, width), random_state=seed).fit_transform(unit)
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1]))), "principal components (PCA)"
    from sklearn.manifold import TSNE

    reduced = PCA(width, random_state=seed).fit_transform(unit)
    tsne = TSNE(perplexity=min(30.0, len(x) / 4), init="pca", random_state=seed, max_iter=500)
    return tsne.fit_transform(reduced).astype(np.float64), "t-SNE"


def standing_out(found: Mapped) -> dict[str, Any]:
    """What is worth a look: likely duplicates, outliers and, with labels, what is taken for what.

    - ``duplicates``: pairs at less than a twentieth of the usual distance (one minus the cosine) to the nearest;
    - ``outliers``: examples whose nearest are more than five median deviations farther away than usual;
    - ``confused``: (true label, label of its neighbours, how often, of how many), most often first, and ``worst``:
      examples whose neighbours agree most on another label, which are often labelled wrong. Neighbours vote without the
      example itself; ``right`` is the share that they name rightly.
    """
    out: dict[str, Any] = {"duplicates": [], "outliers": [], "confused": [], "worst": [], "right": None}
    if found.collapsed:
        return out
    distance = 1 - found.cosines.astype(np.float64)
    nearest = distance[:, 0]
    usual = float(np.median(nearest))
    alike = [(int(i), int(found.neighbours[i, 0])) for i in np.flatnonzero(nearest <= usual / 20 + 1e-9)]
    pairs = {(min(pair), max(pair)) for pair in alike}
    out["duplicates"] = sorted(pairs, key=lambda pair: min(nearest[pair[0]], nearest[pair[1]]))[:SHOWN]
    far = distance.mean(1)
    spread = float(np.median(np.abs(far - np.median(far))))
    odd = np.flatnonzero(far > np.median(far) + 5 * spread) if spread > 0 else np.empty(0, int)
    out["outliers"] = odd[np.argsort(-far[odd])][:SHOWN].tolist()
    if found.labels is None:
        return out
    named = np.flatnonzero([bool(label) for label in found.labels])
    y = np.array(found.labels)[named]
    if len(np.unique(y)) < 2 or len(y) < FEWEST:
        return out
    k = min(10, len(named) - 1)
    said = knn_predict(found.vectors[named], y, found.vectors[named], k=k, exclude_self=True)
    out["right"] = float((said == y).mean())
    totals = Counter(y.tolist())
    wrong = Counter((a, b) for a, b in zip(y.tolist(), said.tolist(), strict=True) if a != b)
    out["confused"] = [(a, b, count, totals[a]) for (a, b), count in wrong.most_common(SHOWN)]
    near = np.array(found.labels)[found.neighbours[named]]
    agreed = (near == said[:, None]).mean(1) + found.cosines[named].mean(1) / 100
    worst = np.flatnonzero(said != y)
    order = worst[np.argsort(-agreed[worst], kind="stable")][:SHOWN]
    out["worst"] = [(int(named[row]), str(said[row])) for row in order]
    return out


def as_data(found: Mapped) -> dict[str, Any]:
    """The map for the page's script."""
    return {
        "ids": found.ids,
        "labels": found.labels,
        "texts": found.cards.texts,
        "neighbours": found.neighbours.tolist(),
        "cosines": np.round(found.cosines.astype(float), 3).tolist(),
        "sprite": None if found.cards.pictures is None else {"source": _sprite(found.cards.pictures), "side": SIDE},
        "columns": COLUMNS,
    }


def _sprite(pictures: np.ndarray) -> str:
    """All thumbnails in one picture, rows of :data:`COLUMNS`."""
    rows = -(-len(pictures) // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, SIDE, SIDE, 3), np.uint8)
    sheet[: len(pictures)] = pictures
    pixels = (
        sheet.reshape(rows, COLUMNS, SIDE, SIDE, 3).transpose(0, 2, 1, 3, 4).reshape(rows * SIDE, COLUMNS * SIDE, 3)
    )
    memory = io.BytesIO()
    Image.fromarray(pixels).save(memory, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(memory.getvalue()).decode()}"


def groups(found: Mapped) -> list[dict[str, Any]]:
    """The labels with their colours and numbers of examples, most frequent first; rare ones share a colour."""
    if found.labels is None:
        return []
    counts = Counter(label for label in found.labels if label)
    colours = charts.LABELS
    shown = counts.most_common(len(colours))
    try:  # numbers in their order
        shown.sort(key=lambda each: float(each[0]))
    except ValueError:
        shown.sort(key=lambda each: each[0])
    found_groups = [{"name": n, "count": c, "colour": colours[i]} for i, (n, c) in enumerate(shown)]
    rest = len(found.labels) - sum(count for _, count in shown)
    return found_groups + ([{"name": "", "count": rest, "colour": charts.GREY}] if rest else [])


def chart(found: Mapped) -> dict[str, Any]:
    """The map as a chart with a likeness of the example under the mouse."""
    colour = {group["name"]: group["colour"] for group in groups(found)}
    count = len(found.ids)
    return charts.scatter(
        {
            "x": np.round(found.places[:, 0].astype(float), 4).tolist(),
            "y": np.round(found.places[:, 1].astype(float), 4).tolist(),
            "id": found.ids,
            "label": found.labels or [""] * count,
            "text": found.cards.texts,
            "colour": [colour.get(label, charts.GREY) for label in found.labels or [""] * count]
            if found.labels
            else [charts.COLOURS[0]] * count,
            "alpha": [0.85] * count,
            "left": [-SIDE * 2 * (i % COLUMNS) for i in range(count)],
            "top": [-SIDE * 2 * (i // COLUMNS) for i in range(count)],
        },
        pictures=None if found.cards.pictures is None else (SIDE * 2, COLUMNS * SIDE * 2),
    )
