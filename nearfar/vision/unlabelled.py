"""Whether a representation of pictures without labels became better: what their own views say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from nearfar.common.randomness import derive_seed
from nearfar.evaluation import lidar, rankme
from nearfar.sources.data import Data
from nearfar.system import Scores
from nearfar.training import Method
from nearfar.training.embed import to_device
from nearfar.training.probing import near_and_apart
from nearfar.vision.method import ImageBatch, random_view
from nearfar.vision.views import Recipe, recipe_pair

PICTURES, VIEWS, AT_ONCE = 256, 10, 64
VIEW = "simclr"


def without_labels(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """Measures that ask for no label, of at most 256 drawn pictures in ten random views each.

    ``view retrieval`` in [0, 1]: how often the second view of a picture is nearest to its first, among the second views
    of all; ``lidar`` and ``rankme``: see :func:`nearfar.evaluation.lidar` and :func:`nearfar.evaluation.rankme`;
    ``pictures``: how many there were. Views are SimCLR's whatever the method was shown, so that methods compare; a
    method that learnt from the same views is asked what it was taught, and labels of one's own say more.
    """
    x = _views(method, data, [recipe_pair(VIEW)[0]] * VIEWS, seed)
    if x is None:
        return Scores()
    scores = {
        "view retrieval": found_again(x[:, 0], x[:, 1]),
        "lidar": lidar(x),
        "rankme": rankme(x[:, 0]),
        "pictures": float(len(x)),
    }
    return Scores(scores, neither=["rankme", "pictures"]).add(alignment_of_views(method, data, seed=seed))


def alignment_of_views(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """:func:`nearfar.training.probing.near_and_apart` of two random views of at most 256 drawn pictures: the first two
    of the method's own views, which it was to bring together, and SimCLR's where it makes none."""
    own = [recipe for recipe in getattr(method, "recipes", ()) if isinstance(recipe, Recipe)][:2]
    x = _views(method, data, [own[0], own[-1]] if own else recipe_pair(VIEW), seed)
    return Scores() if x is None else near_and_apart(x[:, 0], x[:, 1])


def _views(method: Method, data: Data, recipes: Sequence[Recipe], seed: int) -> np.ndarray | None:
    """Vectors (N, V, D) of a random view by each recipe of drawn pictures; ``None`` where there are too few, or they
    are not finite."""
    chosen = data.sample(PICTURES, seed=seed)
    if len(chosen) < 2:
        return None
    generator = torch.Generator().manual_seed(derive_seed(seed, "views without labels"))
    found = []
    with method.frozen():
        for start in range(0, len(chosen), AT_ONCE):
            batch = chosen.batch(np.arange(start, min(start + AT_ONCE, len(chosen))))
            images = batch.images[:, 0] if batch.images.ndim == 5 else batch.images
            of_each = [_encoded(method, batch._replace(images=images), recipe, generator) for recipe in recipes]
            found.append(torch.stack(of_each, 1).float().cpu())
    x = torch.cat(found).numpy()
    return x if np.isfinite(x).all() else None


def found_again(first: np.ndarray, second: np.ndarray) -> float:
    """The share of rows (N, D) whose nearest row of ``second`` by cosine is their own; ties count for nothing."""
    units = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (first, second)]
    similar = units[0].astype(np.float64) @ units[1].astype(np.float64).T
    own = similar.diagonal().copy()
    np.fill_diagonal(similar, -np.inf)
    return float((own > similar.max(1)).mean())


def _encoded(method: Method, batch: ImageBatch, recipe: Recipe, generator: torch.Generator) -> torch.Tensor:
    views = ImageBatch(random_view(recipe, batch, generator), batch.rows)
    return method.encode(to_device(views, method.device))
