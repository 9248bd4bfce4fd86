"""GAugLLM: what a language model says of nodes and of pairs of them augments one view of a graph."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from nearfar.graph.data.text_graph import TextNodes
from nearfar.graph.encoders import NormalizedGCN
from nearfar.graph.layers import OneSlope
from nearfar.graph.prompt_experts import PromptExperts
from nearfar.graph.views.verdicts import edited, without
from nearfar.losses import barlow_twins, negative_cosine, neighbour_prediction
from nearfar.parts import MomentumEncoder
from nearfar.training import Method, Optimization, Phase

View = tuple[Tensor, Tensor]


class _Seen:
    """A graph of features and edges, as encoders read it."""

    def __init__(self, x: Tensor, edge_index: Tensor) -> None:
        self.x, self.edge_index, self.num_nodes = x, edge_index, len(x)


class GAugLLM(Method):
    """Fang et al., KDD 2024, arXiv 2406.11945; NYUSHCS/GAugLLM.

    Nodes of a graph are texts, of which a language model has written three more each, and it has said of some pairs of
    nodes whether they are connected (:mod:`nearfar.graph.describing`). A mixture of the four texts
    (:class:`nearfar.graph.prompt_experts.PromptExperts`) is trained first, to tell a node's neighbours
    (:func:`nearfar.losses.neighbour_prediction`). Then a contrastive method learns, unchanged, from two views: the
    original texts with the original edges, and mixed texts with edges edited by the verdicts
    (:func:`nearfar.graph.views.verdicts.edited`).

    On purpose otherwise than released: the encoder of texts is not trained with the mixture, but one linear map after
    it is, for both views; a neighbour to be told is known by its texts, not by weights of its own; and the edits are
    drawn in every step, where the release shuffles the candidates, then takes the first ones of the list as it was, and
    forgets the additions. Embeddings are of mixed texts, over edges without those that were called not connected; the
    release takes the better of two on the test.

    Args:
        in_features: width of the vectors of texts; taken from the data when not given.
        experts: texts of a node; taken from the data when not given.
        host: ``bgrl`` or ``gbt``, the redundancy reduction of Barlow Twins.
        widths: of the graph convolutions.
        predictor_hidden: width of BGRL's predictor.
        momentum: of BGRL's following network at the start.
        lambd: of GBT, above 0.
        temperature: of the mixture, above 0.
        mixing: share of the run in which the mixture is trained, in (0, 1).
        mixing_lr: by how much the rate is multiplied there, above 0.
        drawn: nodes that each node is told from there, at least 1.
        edits: share of a node's degree that is drawn of each kind of candidates, in [0, 1].
        most: candidates of each kind that are drawn at most.
        least: removable edges below which a node keeps all.
        optimization: AdamW with a tenth of the run to warm up, as released.
    """

    takes: ClassVar[type | None] = TextNodes

    def __init__(
        self,
        in_features: int | None = None,
        experts: int = 4,
        *,
        host: Literal["bgrl", "gbt"] = "bgrl",
        widths: tuple[int, ...] = (512,),
        predictor_hidden: int = 512,
        momentum: float = 0.99,
        lambd: float = 0.002,
        temperature: float = 0.2,
        mixing: float = 0.3,
        mixing_lr: float = 1.0,
        drawn: int = 20,
        edits: float = 0.5,
        most: int = 10,
        least: int = 5,
        optimization: Optimization = Optimization("adamw", lr=5e-4, weight_decay=1e-5, warmup=0.1, decay_all=True),
    ) -> None:
        super().__init__(optimization)
        if in_features is None:
            raise ValueError("in_features is needed: the width of the vectors of texts")
        if host not in ("bgrl", "gbt") or not 0 < mixing < 1 or not 0 <= edits <= 1 or drawn < 1 or mixing_lr <= 0:
            raise ValueError(
                "host is bgrl or gbt, mixing in (0, 1), edits in [0, 1], drawn at least 1 and mixing_lr above 0; got "
                f"{host!r}, {mixing}, {edits}, {drawn} and {mixing_lr}"
            )
        self.texts = nn.Linear(in_features, in_features)
        nn.init.eye_(self.texts.weight)
        nn.init.zeros_(self.texts.bias)
        self.mixture = PromptExperts(in_features, experts, temperature)
        self.neighbours = nn.Linear(in_features, in_features)
        self.encoder = NormalizedGCN(in_features, widths)
        self.target = MomentumEncoder(NormalizedGCN(in_features, widths), momentum)
        self.predictor = nn.Sequential(
            nn.Linear(widths[-1], predictor_hidden), OneSlope(), nn.Linear(predictor_hidden, widths[-1])
        )
        self.host, self.lambd, self.drawn = host, lambd, drawn
        self.edits, self.most, self.least = edits, most, least
        self.phases = (Phase("mixing", mixing, lr_scale=mixing_lr), Phase("contrast"))

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"texts": self.texts, "mixture": self.mixture, "encoder": self.encoder})

    def mixed(self, graph: Any) -> tuple[Tensor, Tensor]:
        """Weights (N, M) of each node's texts and its feature (N, D)."""
        return self.mixture(self.texts(graph.contents), graph.contexts)

    def views(self, batch: Any) -> tuple[Any, Tensor | None, View | None, View | None]:
        """The graph; nodes (N, drawn) to be told from each; features and edges of both views, once texts are mixed."""
        if self.phase == "mixing":
            shape = (len(batch.x), self.drawn)
            return batch, torch.randint(shape[0], shape, device=self.device, generator=self.generator), None, None
        edges = edited(
            *(batch.edge_index, batch.removable, batch.addable, len(batch.x)),
            share=self.edits,
            most=self.most,
            least=self.least,
            generator=self.generator,
        )
        return batch, None, (self.texts(batch.x), batch.edge_index), (self.mixed(batch)[1], edges)

    def loss(self, views: tuple[Any, Tensor | None, View | None, View | None]) -> Tensor:
        graph, others, first, second = views
        if first is None or second is None:
            assert others is not None
            # Both the text as it is and the mixture tell neighbours, since both are what views are made of.
            both = (self.texts(graph.x), self.mixed(graph)[1])
            return torch.stack([self._told(x, graph, others) for x in both]).mean()
        seen = [_Seen(*view) for view in (first, second)]
        h1, h2 = (self.encoder(view) for view in seen)
        if self.host == "gbt":
            return barlow_twins(h1, h2, lambd=self.lambd)
        q1, q2 = self.predictor(torch.cat([h1, h2])).chunk(2)
        y1, y2 = (self.target(view) for view in seen)
        return 2 + negative_cosine(q1, y2) + negative_cosine(q2, y1)

    def after_step(self) -> None:
        if self.phase == "contrast":
            self.target.update(self.encoder, self.progress)

    def encode(self, batch: Any) -> Tensor:
        apart = batch.removable[:2, batch.removable[2] == 0]
        return self.encoder(_Seen(self.mixed(batch)[1], without(batch.edge_index, apart, len(batch.x))))

    def _told(self, x: Tensor, graph: Any, others: Tensor) -> Tensor:
        """How well features tell the neighbours of each node, known by the mean of their texts, from other nodes."""
        known = self.neighbours(graph.contents.mean(1))
        node, neighbour = graph.edge_index
        near = (x[node] * known[neighbour]).sum(1)
        return neighbour_prediction(near, torch.einsum("nd,nkd->nk", x, known[others]))
