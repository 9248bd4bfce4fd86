"""Where comparisons come from: tables with trl's column names, and worlds that are known exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.common.randomness import derive_seed
from nearfar.preference.data.batches import PairBatch, RatedBatch, Text
from nearfar.preference.data.comparisons import Compared, Pairs, Rated, why_no_reply
from nearfar.preference.data.segments import Segments, crossing_segments, segments_file
from nearfar.preference.data.trajectories import Episode, Trajectories, rooms, why_no_conversation
from nearfar.preference.data.world import World, reply_world
from nearfar.sources.data import Data
from nearfar.sources.opening import as_path, nothing_there
from nearfar.sources.roles import with_roles
from nearfar.sources.tables import TABLES, Table, read_table, table_in

__all__ = [
    "EMBEDDED",
    "Compared",
    "Episode",
    "PairBatch",
    "Pairs",
    "Rated",
    "RatedBatch",
    "Segments",
    "Trajectories",
    "load",
    "rated_replies",
    "reply_pairs",
]

EMBEDDED = {
    "replies": "two-word replies in pairs, one preferred by chance as much as its known reward is higher",
    "rated": "the same replies, four to a prompt, with their rewards",
    "rooms": "shortest ways through rooms of words, where a key opens a door",
    "crossing": "pairs of segments from a grid with a wall, one with less regret",
}
TEST = 400


def load(
    data: str | Path | Data | None = None,
    *,
    examples: int = 2000,
    world_seed: int = 0,
    prompt_column: str | None = None,
    chosen_column: str | None = None,
    rejected_column: str | None = None,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """Comparisons from wherever they are.

    Args:
        data: a ``.jsonl``, ``.json``, ``.csv``, ``.tsv`` or ``.parquet`` table, or an embedded name; ``replies`` when
            nothing is given. A table has trl's columns: ``prompt``, ``chosen`` and ``rejected``, texts or lists of
            messages (without ``prompt``, what chosen and rejected messages have in common is the prompt), or
            ``prompt``, ``completions`` and ``scores``, lists of one length, or ``messages``, an expert's conversation
            with its environment, and perhaps ``reward`` and ``task``. An ``.npz`` file has segments: ``obs_1``,
            ``action_1``, ``obs_2``, ``action_2`` and ``label``.
        examples: number of training comparisons that embedded sets generate.
        world_seed: which world embedded sets and their models are of.
        prompt_column, chosen_column, rejected_column: the columns of a table, if not called so.
        strict: stop at the first row that cannot be used, instead of leaving it out and listing it.
        max_bad: largest share of rows that may be unusable, in [0, 1]; more stop the run.
    """
    if isinstance(data, Data):
        return data
    if data is None or (isinstance(data, str) and data in DATA):
        return DATA[str(data or "replies")](examples, world_seed)
    table = table_in(data)
    if table is not None:
        return _of_table(table, Path("the table"), strict, max_bad)
    path = as_path(data, "comparisons", EMBEDDED, "a table of columns or a list of rows")
    if not path.is_file():
        raise nothing_there(path, EMBEDDED)
    if path.suffix.lower() == ".npz":
        return segments_file(path)
    if path.suffix.lower() not in TABLES and path.suffix.lower() != ".gz":
        raise ValueError(f"{path} is no table; comparisons are read from {', '.join(TABLES)} files")
    named = {"prompt": prompt_column, "chosen": chosen_column, "rejected": rejected_column}
    table, taken = with_roles(read_table(path), str(path), {name: ((name,), asked) for name, asked in named.items()})
    found = _of_table(table, path, strict, max_bad)
    found.taken = taken
    return found


def _of_table(table: Table, path: Path, strict: bool, max_bad: float) -> Data:
    columns = table.columns
    if "messages" in columns and "chosen" not in columns:
        return _conversations(table, path, strict, max_bad)
    rated = {"completions", "scores"} <= columns.keys()
    needed = ("prompt", "completions", "scores") if rated else ("chosen", "rejected")
    if missing := [name for name in needed if name not in columns]:
        raise ValueError(
            f"{path} has no column {missing[0]}: its columns are {', '.join(columns)}, and comparisons have prompt, "
            "chosen and rejected, or prompt, completions and scores"
        )
    if not rated and "prompt" not in columns:
        if not all(isinstance(each, list) for each in columns["chosen"]):
            raise ValueError(f"{path} has no column prompt; only lists of messages can do without")
        parted = [_parted(*pair) for pair in zip(columns["chosen"], columns["rejected"], strict=True)]
        columns |= {name: [p[i] for p in parted] for i, name in enumerate(("prompt", "chosen", "rejected"))}
    table = table.without(lambda row: (_why_not_rated if rated else _why_no_pair)(columns, row))
    skipped = table.set_aside(str(path), kind="comparisons", nothing="comparison", strict=strict, max_bad=max_bad)
    found = table.columns
    if rated:
        return Rated(found["prompt"], found["completions"], found["scores"], name=path.stem, skipped=skipped)
    return Pairs(found["prompt"], found["chosen"], found["rejected"], name=path.stem, skipped=skipped)


def _conversations(table: Table, path: Path, strict: bool, max_bad: float) -> Trajectories:
    columns = table.columns
    table = table.without(lambda row: why_no_conversation(columns["messages"][row]))
    skipped = table.set_aside(str(path), kind="conversations", nothing="conversation", strict=strict, max_bad=max_bad)
    found = table.columns
    rewards = found.get("reward", [1.0] * len(table.places))
    episodes = [Episode(said, float(reward)) for said, reward in zip(found["messages"], rewards, strict=True)]
    return Trajectories(episodes, tasks=found.get("task"), name=path.stem, skipped=skipped)


def _parted(chosen: list[Any], rejected: Any) -> tuple[Text, Text, Text]:
    """What two lists of messages have in common, and the rest of each."""
    same = 0
    others = rejected if isinstance(rejected, list) else []
    while same < min(len(chosen), len(others)) and chosen[same] == others[same]:
        same += 1
    return chosen[:same], chosen[same:], others[same:]


def _why_no_pair(columns: dict[str, list[Any]], row: int) -> str:
    kinds = {isinstance(columns[name][row], list) for name in ("prompt", "chosen", "rejected")}
    if len(kinds) > 1:
        return "prompt, chosen and rejected must all be texts, or all be lists of messages"
    for name in ("prompt", "chosen", "rejected"):
        if reason := why_no_reply(columns[name][row]):
            return f"{name}: {reason}"
    return ""


def _why_not_rated(columns: dict[str, list[Any]], row: int) -> str:
    replies, scores = columns["completions"][row], columns["scores"][row]
    if reason := why_no_reply(columns["prompt"][row]):
        return f"prompt: {reason}"
    if not isinstance(replies, list) or not isinstance(scores, list) or len(replies) != len(scores):
        return "completions and scores must be lists of one length"
    if len(replies) != len(columns["completions"][0] or []) or len(replies) < 2:
        return "every prompt needs the same number of completions, two or more"
    if not all(isinstance(s, int | float) and not isinstance(s, bool) and np.isfinite(s) for s in scores):
        return "a score is no finite number"
    return next((f"completions: {reason}" for reason in map(why_no_reply, replies) if reason), "")


def reply_pairs(
    world: World, count: int, seed: int, *, words: int | None = None, noise: float = 0.0, test: bool = True
) -> Pairs:
    """Pairs of the world's replies with Bradley-Terry labels.

    Args:
        words: compare only replies whose first word is one of so many first ones (partial coverage); all otherwise.
        noise: share of labels turned round, of the half of pairs whose rewards are closest.
        test: with a held-out split of clean pairs.
    """
    rng = np.random.default_rng(derive_seed(seed, "pairs"))
    given = world
    if words is not None:
        inside = np.array([int(reply.split()[0][1:]) < words for reply in world.replies])
        given = World(world.model, world.prompts, world.replies, world.rewards, world.chances * inside + 1e-12)
    rows, drawn = given.draw(rng, count, 2)
    gap = np.diff(world.rewards[rows[:, None], drawn], axis=1)[:, 0]
    second = rng.random(count) < 1 / (1 + np.exp(-gap))
    if noise:
        close = np.abs(gap) <= np.median(np.abs(gap))
        second ^= close & (rng.random(count) < noise)
    won, lost = np.where(second[:, None], drawn[:, ::-1], drawn).T
    return Pairs(
        [world.prompts[r] for r in rows],
        [world.replies[c] for c in won],
        [world.replies[c] for c in lost],
        name="replies",
        world=world,
        splits={"test": reply_pairs(world, TEST, derive_seed(seed, "test"), test=False)} if test else None,
    )


def rated_replies(world: World, count: int, seed: int, *, k: int = 4, test: bool = True) -> Rated:
    """``k`` different replies to each prompt, with their rewards."""
    rows, drawn = world.draw(np.random.default_rng(derive_seed(seed, "rated")), count, k)
    return Rated(
        [world.prompts[r] for r in rows],
        [[world.replies[c] for c in each] for each in drawn],
        world.rewards[rows[:, None], drawn],
        name="rated",
        world=world,
        splits={"test": rated_replies(world, TEST, derive_seed(seed, "test"), k=k, test=False)} if test else None,
    )


DATA: dict[str, Callable[[int, int], Data]] = {
    "replies": lambda examples, seed: reply_pairs(reply_world(seed), examples, seed),
    "crossing": lambda examples, seed: crossing_segments(examples, seed),
    "rooms": rooms,
    "rated": lambda examples, seed: rated_replies(reply_world(seed), examples, seed),
}
