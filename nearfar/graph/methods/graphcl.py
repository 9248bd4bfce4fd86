"""GraphCL: graph contrastive learning with augmentations."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from nearfar.graph.data.kinds import WholeGraphs
from nearfar.graph.encoders import GINEncoder
from nearfar.graph.views.whole import augment
from nearfar.losses import graph_contrast
from nearfar.parts import MLPHead
from nearfar.training import Method, Optimization

Change = Literal["nodes", "edges", "subgraph", "mask", "random"]


class GraphCL(Method):
    """You et al., 2020, NeurIPS, arXiv 2010.13902.

    SimCLR on whole graphs: a graph must be found again after nodes or edges were left out, a part was cut out or
    features were hidden, among the other graphs of the batch. As in the released code for TU graphs only the second
    view is changed, and the positive is not in the denominator (:func:`nearfar.losses.graph_contrast`). The operators
    are the paper's (:func:`nearfar.graph.views.whole.augment`), not the release's.

    Args:
        in_features: number of node features; taken from the data when not given.
        hidden: width of a layer; the embedding joins all layers.
        layers: of the graph isomorphism network.
        change: the operator, or ``random``: one drawn for each graph.
        ratio: the share of nodes or edges that an operator changes, in [0, 1).
        both: change the first view too, as in transfer learning.
        temperature: divides the similarities, above 0: 0.2, in transfer 0.1.
        optimization: Adam at a constant rate, as released.
    """

    takes: ClassVar[type | None] = WholeGraphs

    def __init__(
        self,
        in_features: int | None = None,
        *,
        hidden: int = 32,
        layers: int = 3,
        change: Change = "random",
        ratio: float = 0.2,
        both: bool = False,
        temperature: float = 0.2,
        optimization: Optimization = Optimization("adam", lr=1e-2, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        if in_features is None:
            raise ValueError("in_features is needed: the number of features of a node")
        self.encoder = GINEncoder(in_features, hidden, layers=layers)
        width = self.encoder.out_features
        self.head = MLPHead(width, width, width, norm="none")
        self.change, self.ratio, self.both, self.temperature = change, ratio, both, temperature

    def views(self, batch: WholeGraphs) -> list[WholeGraphs]:
        first = augment(batch, self.change, self.ratio, self.generator) if self.both else batch
        return [first, augment(batch, self.change, self.ratio, self.generator)]

    def loss(self, views: list[WholeGraphs]) -> Tensor:
        z1, z2 = (self.head(self.encoder(view)) for view in views)
        return graph_contrast(z1, z2, temperature=self.temperature)
