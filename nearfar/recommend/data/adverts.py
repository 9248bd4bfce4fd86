"""Generated adverts: what they show and who likes them agree only in part, and some are popular with everybody."""

from __future__ import annotations

import numpy as np

from nearfar.recommend.data.interactions import Interactions
from nearfar.recommend.data.shoppers import choose, split_at_random

GROUPS, WIDTH, AGREE = 12, 32, 0.6


def adverts(users: int = 400, items: int = 500, seed: int = 0) -> Interactions:
    """Clicks on adverts with content of both sides.

    Adverts belong to twelve groups of taste, known as ``item_groups``. Content shows that group for six of ten of them
    and any group for the others; the same holds for users. A user clicks on adverts of the own group above others, and
    on popular ones.

    Args:
        users, items: how many, at least 50.
        seed: equal arguments give equal data.

    Raises:
        ValueError: too few of either.
    """
    if min(users, items) < 50:
        raise ValueError(f"at least 50 users and adverts are needed, got {users} and {items}")
    rng = np.random.default_rng(seed)
    item_group, user_group = rng.integers(GROUPS, size=items), rng.integers(GROUPS, size=users)
    near = rng.normal(size=(GROUPS, 4))
    wish = 2.5 * (user_group[:, None] == item_group) + 0.5 * near[user_group] @ near[item_group].T
    chosen = choose(wish + rng.gumbel(size=items), 15.0, rng)
    centres = rng.normal(size=(GROUPS, WIDTH))

    def content(groups: np.ndarray) -> np.ndarray:
        shown = np.where(rng.random(len(groups)) < AGREE, groups, rng.integers(GROUPS, size=len(groups)))
        return centres[shown] + 0.7 * rng.normal(size=(len(groups), WIDTH))

    features = {"item_features": {"content": content(item_group)}, "user_features": {"content": content(user_group)}}
    return split_at_random(chosen, seed=seed, name="adverts", item_groups=item_group, **features)
