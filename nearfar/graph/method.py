"""What methods on one graph share: two corruptions of it, and an encoder of its nodes."""

from __future__ import annotations

from typing import Any, ClassVar

from nearfar.graph.data.kinds import OneGraph
from nearfar.graph.views import corrupt
from nearfar.training import Method, Optimization


class GraphMethod(Method):
    """A method whose views are corruptions of a graph: edges dropped, feature columns masked.

    Attributes:
        corruptions: for each view the share of directed edges that is dropped and of feature columns that is masked.
    """

    takes: ClassVar[type | None] = OneGraph
    corruptions: tuple[tuple[float, float], ...] = ()

    def __init__(self, optimization: Optimization) -> None:
        super().__init__(optimization)

    @staticmethod
    def known(in_features: int | None) -> int:
        """The number of features of a node.

        Raises:
            ValueError: it is not given.
        """
        if in_features is None:
            raise ValueError("in_features is needed: the number of features of a node")
        return in_features

    def views(self, batch: Any) -> list[Any]:
        return [corrupt(batch, *strength, self.generator) for strength in self.corruptions]
