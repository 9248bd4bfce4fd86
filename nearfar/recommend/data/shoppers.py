"""Generated shoppers: items with a picture and a text, tastes that partly show in them, and popularity."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from nearfar.recommend.data.interactions import Interactions
from nearfar.recommend.data.split import held_out

SHARED, OWN, WIDTH = 6, 3, 24


def shoppers(users: int = 600, items: int = 400, seed: int = 0, *, mean_choices: float = 15.0) -> Interactions:
    """Users who choose by taste and by popularity among items with two kinds of features.

    An item is a vector of three parts: what picture and text both show (6 numbers), what the picture alone shows (3)
    and what the text alone shows (3). Tastes are near one of eight types, so that users resemble each other. A user
    chooses without repetition in proportion to ``exp(taste . item + popularity)``; how many is Poisson. Features are
    linear maps of what they show, with noise and with as many numbers that mean nothing. A fifth of each user's
    choices is held out at random.

    Args:
        users, items: how many, at least 20 and 30.
        seed: equal arguments give equal data.
        mean_choices: of a user, at least 4 and at most a quarter of the items.

    Raises:
        ValueError: a number out of range.
    """
    if users < 20 or items < 30:
        raise ValueError(f"at least 20 users and 30 items are needed, got {users} and {items}")
    if not 4 <= mean_choices <= items / 4:
        raise ValueError(
            f"mean_choices must lie between 4 and a quarter of the items, {items / 4:g}; got {mean_choices}"
        )
    rng = np.random.default_rng(seed)
    shared, image, text = rng.normal(size=(items, SHARED)), rng.normal(size=(items, OWN)), rng.normal(size=(items, OWN))
    types = rng.normal(size=(8, SHARED + 2 * OWN))
    taste = types[rng.integers(8, size=users)] + 0.6 * rng.normal(size=(users, types.shape[1]))
    wish = 0.7 * taste @ np.concatenate([shared, image, text], 1).T + rng.gumbel(0, 1, size=items) * 0.8
    chosen = choose(wish, mean_choices, rng)
    features = {name: _shown(np.concatenate([shared, own], 1), rng) for name, own in (("image", image), ("text", text))}
    return split_at_random(chosen, item_features=features, name="shoppers", seed=seed)


def choose(wish: np.ndarray, mean: float, rng: np.random.Generator) -> np.ndarray:
    """(U, I) bool: a Poisson number of items, at least 3, drawn without repetition in proportion to exp(wish)."""
    users, items = wish.shape
    counts = np.clip(rng.poisson(mean, size=users), 3, items // 2)
    order = np.argsort(-(wish + rng.gumbel(size=wish.shape)), axis=1)  # Gumbel's trick: draws without repetition
    chosen = np.zeros(wish.shape, dtype=bool)
    for user, count in enumerate(counts):
        chosen[user, order[user, :count]] = True
    return chosen


def split_at_random(chosen: np.ndarray, *, seed: int, **more: object) -> Interactions:
    """Generated choices with a fifth of each user's held out."""
    row, column = np.nonzero(chosen)
    mask = held_out(row, None, "random", 0.2, seed)
    learn, test = (
        sparse.csr_matrix((np.ones(m.sum(), np.float32), (row[m], column[m])), chosen.shape) for m in (~mask, mask)
    )
    return Interactions(learn, test, **more)  # type: ignore[arg-type]


def _shown(part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    linear = part @ rng.normal(size=(part.shape[1], WIDTH)) / np.sqrt(part.shape[1])
    return np.concatenate([linear + 0.3 * rng.normal(size=linear.shape), rng.normal(size=linear.shape)], 1)
