"""A source that is asked: it lets the agent act, remembers what happened, and gives batches of it."""

from __future__ import annotations

import abc
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nearfar.common.randomness import derive_seed
from nearfar.system import require


class Interaction(abc.ABC):
    """Environments and what was seen in them. It owns its replay, and saves and restores both.

    Before every step of training :meth:`draw` is called in the training process, with the agent as it is then.
    Everything random in it comes from ``rng``, which is a function of (seed, step), so that a resumed run goes on as
    the uninterrupted one as far as :attr:`exact` says.

    Attributes:
        name: what people call it.
        gives: the kind of batch that :meth:`draw` returns, where a method may ask for it.
        asks: the verb that it needs of a method; empty for a source that only replays.
        exact: whether :meth:`state_dict` holds all of its state, so that a killed run resumes to the bit. Where it does
            not, a resumed run says so.
    """

    name: str = "interaction"
    gives: type | None = None
    asks: str = "acts"
    exact: bool = True
    labels: np.ndarray | None = None

    @abc.abstractmethod
    def draw(self, agent: Any, step: int, rng: np.random.Generator, batch_size: int) -> Any:
        """Act and remember as this step asks, and return a batch of ``batch_size`` to learn from."""

    @abc.abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All state as tensors and plain values; a checkpoint holds it."""

    @abc.abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state that :meth:`state_dict` gave."""

    def begin(self, agent: Any, seed: int) -> None:  # noqa: B027  (a source may have nothing to begin with)
        """Called before the first step of a run, with the initial agent."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Sizes that a method cannot know (``observation_dim``, ``actions``), by argument name."""
        return {}

    def splits(self) -> Mapping[str, Any]:
        """Sets or environments for evaluation, by name."""
        return {}

    def measured(self) -> dict[str, float]:
        """What to log at this step beside the loss, such as the mean return of the last episodes."""
        return {}


class AskingLoader:
    """Batches of an :class:`Interaction` for steps ``start .. total``; its state is the source's.

    It draws when the step begins and never ahead, because what an agent does depends on what it has learned.
    """

    def __init__(
        self, source: Interaction, agent: Any, *, batch_size: int, total: int, seed: int, rank: int = 0
    ) -> None:
        if source.asks:
            require(agent, source.asks)
        self.source, self.agent = source, agent
        self.batch_size, self.total, self.seed, self.rank = batch_size, total, seed, rank
        self._done = 0
        self._begun = False

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[Any]:
        if not self._begun:
            self.source.begin(self.agent, self.seed)
            self._begun = True
        while self._done < self.total:
            rng = np.random.default_rng(derive_seed(self.seed, "interaction", self._done, self.rank))
            batch = self.source.draw(self.agent, self._done, rng, self.batch_size)
            self._done += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        return {"step": self._done, "source": self.source.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._done = int(state["step"])
        self.source.load_state_dict(state["source"])
        self._begun = True
        if not self.source.exact:
            warnings.warn(
                f"{self.source.name} cannot be saved in the middle of what happens in it; what was seen is kept, and "
                "it goes on from new beginnings, so the run does not end with the same bits",
                stacklevel=1,
            )


def measured(loader: Any) -> dict[str, float]:
    """What a run's source has measured so far; nothing where it is not asked."""
    return loader.source.measured() if isinstance(loader, AskingLoader) else {}
