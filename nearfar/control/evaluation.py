"""How agents are judged: what they earn and reach in fresh episodes, with intervals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from nearfar.control.data.acting import acted, skills, watched
from nearfar.control.data.frames import Frames
from nearfar.control.data.replay import Replay, Sampling
from nearfar.control.data.tasks import TaskWalks
from nearfar.control.worlds import World
from nearfar.evaluation import linear_regression_probe, mean_interval
from nearfar.system import Scores, require
from nearfar.training import Interaction, Method, embed

SIDE_BY_SIDE = 50


class Played(NamedTuple):
    """Finished episodes.

    Attributes:
        returns, lengths: (E,).
        reached: (E,) whether the goal was reached at any step; ``None`` in a world that knows no success.
        pictures: of the first environment, when asked for.
    """

    returns: np.ndarray
    lengths: np.ndarray
    reached: np.ndarray | None
    pictures: list[np.ndarray]


def evaluate(method: Method, data: Any, *, seed: int = 0, episodes: int = 100) -> Scores:
    """Agents by what they earn (:func:`evaluate_agent`), representations of frames by probes (:func:`probe_states`),
    beliefs by what they know of the task (:func:`probe_beliefs`)."""
    if isinstance(data, TaskWalks):
        return probe_beliefs(method, data, seed=seed)
    if isinstance(data, Frames):
        return probe_states(method, data, seed=seed)
    return evaluate_agent(method, data, seed=seed, episodes=episodes)


def evaluate_agent(method: Method, data: Interaction, *, seed: int = 0, episodes: int = 100) -> Scores:
    """Mean return and length of ``episodes`` episodes of the agent's best actions and, where the world knows success,
    the share in which the goal was ever reached; each with its 95% interval over episodes."""
    require(method, "acts")
    where = data.fresh(min(episodes, SIDE_BY_SIDE))  # type: ignore[attr-defined]
    with method.frozen():
        found = play(method, where, episodes, seed=seed)
    return judged(found)


def probe_states(method: Method, data: Frames, *, seed: int = 0) -> Scores:
    """How well linear probes read what is true of held-out frames from their representations.

    Numbers are read by ridge regression (R2); bytes of a game's memory by logistic regression on standardised features
    (F1, weighted by how often a value occurs), those whose values have an entropy of at least 0.6 nats. The release's
    probes are trained by Adam for up to 100 passes; here they are trained until they stand still, because few frames
    leave Adam's at the commonest value.
    """
    require(method, "embeds")
    held_out = data.held_out
    if data.states is None or held_out is None or held_out.states is None or not data.names:
        raise ValueError(f"{data.name} does not say what is true of its frames, so there is nothing to probe for")
    train, test = (embed(method, part).array for part in (data, held_out))
    mean, spread = train.mean(0), train.std(0) + 1e-6
    train, test = (train - mean) / spread, (test - mean) / spread
    scores, found = Scores(), []
    measure = "F1" if data.states.dtype == np.uint8 else "R2"
    for name, known, truth in zip(data.names, data.states.T, held_out.states.T, strict=True):
        if measure == "F1":
            shares = np.bincount(known) / len(known)
            if -(shares[shares > 0] * np.log(shares[shares > 0])).sum() < LEAST_ENTROPY:
                continue
            value = _byte_probe(train, known, test, truth)
        else:
            value = linear_regression_probe(train, known[:, None], test, truth[:, None]).r2
        scores[f"{name} {measure}"] = value
        found.append(value)
    scores[f"mean {measure}"] = float(np.mean(found))
    return scores


LEAST_ENTROPY = 0.6


def probe_beliefs(method: Method, data: TaskWalks, *, seed: int = 0) -> Scores:
    """What a logistic probe of the belief at the end of a trajectory knows of its task: the cross entropy of the true
    goal over that of an ideal observer (``excess nats``), and how often the likeliest goal is the true one."""
    from sklearn.linear_model import LogisticRegression

    held_out = data.held_out
    if held_out is None:
        raise ValueError(f"{data.name} has no trajectories held out to measure on")
    train, test = embed(method, data), embed(method, held_out)
    mean, spread = train.array.mean(0), train.array.std(0) + 1e-6
    probe = LogisticRegression(max_iter=300, C=0.3).fit((train.array - mean) / spread, train.labels)
    found = np.full((len(held_out), held_out.posterior.shape[1]), 1e-6)
    found[:, probe.classes_] += probe.predict_proba((test.array - mean) / spread)
    truth = np.asarray(held_out.labels)
    own = np.arange(len(truth)), truth
    ideal = -np.log(held_out.posterior[own]).mean()
    known = -np.log(found[own] / found.sum(1)).mean()
    scores = Scores({"excess nats": float(known - ideal), "accuracy": float((found.argmax(1) == truth).mean())})
    scores["accuracy of an ideal observer"] = float(held_out.posterior.max(1).mean())
    return scores.direct(lower=["excess nats"], neither=["accuracy of an ideal observer"])


def _byte_probe(train: np.ndarray, known: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    probe = LogisticRegression(max_iter=200, C=0.1).fit(train, known)
    return float(f1_score(truth, probe.predict(test), average="weighted"))


def judged(found: Played) -> Scores:
    """Scores of episodes, with intervals."""
    scores = Scores(neither=("length",))
    if found.reached is not None:
        scores.update(with_interval("success", found.reached.astype(float)))
    scores.update(with_interval("return", found.returns))
    scores["length"] = float(found.lengths.mean())
    return scores.direct(neither=[name for name in scores if name.endswith((" low", " high"))])


def with_interval(name: str, values: np.ndarray) -> dict[str, float]:
    """A mean under its name, and both ends of its 95% interval."""
    mean, low, high = mean_interval(values)
    if not np.isfinite([low, high]).all():
        return {name: mean}
    return {name: mean, f"{name} low": low, f"{name} high": high}


def play(
    agent: Any, where: World, episodes: int, *, seed: int = 0, drawn: bool = False, pictures: bool = False
) -> Played:
    """Let an agent act until ``episodes`` episodes are over.

    Every environment plays the same number of them, so that short episodes count no more than long ones.

    Args:
        agent: what acts; ``random`` and ``scripted`` are words for agents that need no training.
        where: fresh environments.
        episodes: how many, at least 1.
        seed: of the worlds, and of actions that are drawn.
        drawn: draw actions from the policy instead of taking the best.
        pictures: keep pictures of the first environment.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    rng = np.random.default_rng(seed)
    sampling = getattr(agent, "sampling", Sampling())
    each = -(-episodes // where.count)
    seen = Replay(where.spaces, where.count, sampling.stack + 3)
    seen.begin(where.reset(rng))
    told = skills(rng, where.count, sampling)
    earned, taken, won = np.zeros(where.count), np.zeros(where.count), np.zeros(where.count, bool)
    rows: list[list[tuple[float, float, bool]]] = [[] for _ in range(where.count)]
    film = [where.picture()] if pictures else []
    knows = False
    while min(map(len, rows)) < each:
        beginning = where.over
        if isinstance(agent, str):
            actions = where.scripted(rng) if agent == "scripted" else where.random(rng)
        else:
            set_ = told if sampling.skills else where.goals
            actions = acted(agent, watched(seen.newest(sampling.stack), set_), rng if drawn else None, where.spaces)
        stepped = where.step(actions, rng)
        seen.add(actions, stepped.rewards, stepped.terminated, stepped.over, stepped.observations)
        earned += stepped.rewards
        taken += ~beginning
        if stepped.reached is not None:
            won, knows = won | stepped.reached, True
        if pictures and len(rows[0]) < each:
            film.append(where.picture())
        for env in np.flatnonzero(stepped.over):
            rows[env].append((earned[env], taken[env], won[env]))
        for counted in (earned, taken, won):
            counted[stepped.over] = 0
    # The first episodes of all environments, then the second ones.
    returns, lengths, reached = np.array([row[n] for n in range(each) for row in rows][:episodes]).T
    return Played(returns, lengths, reached.astype(bool) if knows else None, film)
