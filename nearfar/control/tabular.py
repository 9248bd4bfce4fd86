"""What can be solved exactly where transitions are a table: occupancies, and what estimates are held against."""

from __future__ import annotations

import numpy as np


def exact_occupancy(table: np.ndarray, policy: np.ndarray, discount: float) -> np.ndarray:
    r"""The discounted distribution of the states after each state and action, by solving its linear equation.

    .. math:: D(s, a, \cdot) = (1 - \gamma) P(\cdot \mid s, a)
        + \gamma \sum_{s', a'} P(s' \mid s, a) \pi(a' \mid s') D(s', a', \cdot)

    Args:
        table: (S, A, S) probabilities of the next state.
        policy: (S, A) probabilities of actions.
        discount: in [0, 1).

    Returns:
        (S, A, S); every row sums to 1.
    """
    states, actions, _ = table.shape
    if not 0 <= discount < 1:
        raise ValueError(f"discount must be in [0, 1), got {discount}")
    if policy.shape != (states, actions) or not np.allclose(policy.sum(1), 1):
        raise ValueError(f"policy must be probabilities ({states}, {actions}) with rows that sum to 1")
    step = np.einsum("sa,sat->st", policy, table)  # (S, S) from state to state
    after = np.linalg.solve(np.eye(states) - discount * step, (1 - discount) * np.eye(states))
    # after[s] is the distribution of s itself and what follows; one step leads there.
    return table @ after


def walks(
    table: np.ndarray, policy: np.ndarray, *, episodes: int, steps: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """States (E, T + 1) and actions (E, T) of walks from uniform beginnings."""
    rng = np.random.default_rng(seed)
    states = np.empty((episodes, steps + 1), np.int64)
    actions = np.empty((episodes, steps), np.int64)
    states[:, 0] = rng.integers(len(table), size=episodes)
    chosen, moved = policy.cumsum(1), table.cumsum(-1)
    for t in range(steps):
        now = states[:, t]
        actions[:, t] = (chosen[now] <= rng.random(episodes)[:, None]).sum(1).clip(0, policy.shape[1] - 1)
        bounds = moved[now, actions[:, t]]
        states[:, t + 1] = (bounds <= rng.random(episodes)[:, None]).sum(1).clip(0, len(table) - 1)
    return states, actions


def occupancy_of(scores: np.ndarray, marginal: np.ndarray) -> np.ndarray:
    """The distribution (..., S) that scores claim over states of a marginal: ``p(g) e^f``, normalised."""
    logs = scores + np.log(np.maximum(marginal, 1e-30))
    logs -= logs.max(-1, keepdims=True)
    return np.exp(logs) / np.exp(logs).sum(-1, keepdims=True)


def successor_td(
    states: np.ndarray,
    actions: np.ndarray,
    table_shape: tuple[int, int],
    policy: np.ndarray,
    discount: float,
    *,
    rate: float = 0.1,
    sweeps: int = 20,
    seed: int = 0,
) -> np.ndarray:
    """The successor representation (S, A, S) learned by temporal differences from walks, transition by transition."""
    count, choices = table_shape
    rng = np.random.default_rng(seed)
    here, done, after = states[:, :-1].ravel(), actions.ravel(), states[:, 1:].ravel()
    found = np.full((count, choices, count), 1 / count)
    eye = np.eye(count)
    for sweep in range(sweeps):
        size = rate / (1 + sweep / 4)
        for i in rng.permutation(len(here)):
            onward = policy[after[i]] @ found[after[i]]
            target = (1 - discount) * eye[after[i]] + discount * onward
            found[here[i], done[i]] += size * (target - found[here[i], done[i]])
    return found
