"""SCGC: self-supervised contrastive graph clustering."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor, nn

from nearfar.evaluation import clustering
from nearfar.graph.data import NodeGraph
from nearfar.graph.data.kinds import OneGraph
from nearfar.losses import cluster_divergence, neighbour_contrast, sharpened, student_assignments
from nearfar.system import Scores
from nearfar.training import Method, Optimization, Phase


class SCGC(Method):
    """Kulatilleke, Portmann and Chandra, 2022, arXiv 2204.12656.

    Nodes are clustered by linear layers alone; the graph enters only by a contrast that draws a node to those within
    some steps of it (:func:`nearfar.losses.neighbour_contrast`). In a first phase the layers learn as an autoencoder;
    then k-means sets the centres, and clusters sharpen themselves (DEC). The cluster of a node is the largest of its
    assignments. What is reported is the last epoch; the released code reports the best epoch by the labels.

    Args:
        in_features: number of node features; taken from the data when not given.
        clusters: how many; as many as there are classes, where the data knows them.
        size: number of nodes; taken from the data when not given.
        widths: of the encoder's hidden layers; the decoder mirrors them.
        dim: width of the representation.
        order: how many steps of the graph count.
        cumulative: SCGC*: all powers up to ``order`` count and there is no decoder after the first phase; otherwise
            the power ``order`` alone.
        scale: multiplies the similarities.
        contrast, cluster: weights of the two terms (alpha and beta).
        pretraining: share of the run that the first phase takes, in [0, 1).
        optimization: Adam at a constant rate, as released.
    """

    takes: ClassVar[type | None] = OneGraph
    verbs: ClassVar[tuple[str, ...]] = ("embeds", "predicts")
    influence: Tensor
    target: Tensor

    def __init__(
        self,
        in_features: int | None = None,
        clusters: int | None = None,
        size: int | None = None,
        *,
        widths: tuple[int, ...] = (500, 500, 2000),
        dim: int = 10,
        order: int = 1,
        cumulative: bool = True,
        scale: float = 0.25,
        contrast: float = 1.0,
        cluster: float = 0.1,
        pretraining: float = 0.3,
        optimization: Optimization = Optimization("adam", lr=1e-3, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        if in_features is None or clusters is None or size is None:
            raise ValueError(
                "in_features, clusters and size are needed: how many features, classes and nodes the graph has"
            )
        if order < 1 or clusters < 2 or not 0 <= pretraining < 1:
            given = f"{order}, {clusters} and {pretraining}"
            raise ValueError(f"order from 1, clusters from 2 and pretraining in [0, 1) are needed, got {given}")
        self.phases = (Phase("autoencoder", pretraining), Phase("clusters"))
        sizes = [in_features, *widths, dim]
        self.encoder = nn.Sequential(*_layers(sizes))
        self.decoder = nn.Sequential(*_layers(sizes[::-1]))
        self.centres = nn.Parameter(torch.zeros(clusters, dim))
        self.order_of_graph, self.cumulative, self.scale = order, cumulative, scale
        self.contrast, self.cluster = contrast, cluster
        self.register_buffer("target", torch.zeros(size, clusters))

    def begin(self, data: NodeGraph) -> None:
        if data.parts is not None:
            raise ValueError("SCGC clusters all nodes at once and cannot train on parts; leave --sampled out")
        self.influence = influence(data.graph.edge_index, data.graph.num_nodes, self.order_of_graph, self.cumulative)

    resumed = begin

    def begin_phase(self, phase: str, data: NodeGraph) -> None:
        if phase != "clusters":
            return
        z = self.codes(data.graph).cpu().numpy()
        found = KMeans(len(self.centres), n_init=20, random_state=self.seed).fit(z)
        self.centres.data.copy_(torch.from_numpy(found.cluster_centers_))
        self.begin_epoch(data, 0)

    def begin_epoch(self, data: NodeGraph, epoch: int) -> None:
        """The sharpened assignments that this epoch learns towards."""
        self.target.copy_(sharpened(student_assignments(self.codes(data.graph), self.centres.detach())))

    def codes(self, graph: Any) -> Tensor:
        with self.frozen():
            return self.encode(graph)

    def loss(self, views: Any) -> dict[str, Tensor]:
        x = _features(views).to(self.device)
        z = self.encoder(x)
        terms: dict[str, Tensor] = {}
        if self.phase == "autoencoder" or not self.cumulative:
            terms["reconstruction"] = F.mse_loss(self.decoder(z), x)
        if self.phase == "clusters":
            terms["contrast"] = self.contrast * neighbour_contrast(z, self.influence.to(z.device), scale=self.scale)
            terms["clusters"] = self.cluster * cluster_divergence(z, self.centres, self.target)
        return terms

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "centres": _Holder(self.centres)})

    def encode(self, batch: Any) -> Tensor:
        return self.encoder(_features(batch).to(self.device))

    def predict(self, batch: Any) -> Tensor:
        """The cluster (N,) of every node."""
        return student_assignments(self.encode(batch), self.centres).argmax(1)

    def evaluate(self, data: NodeGraph, *, seed: int = 0) -> Scores:
        """Accuracy under the best matching, mutual information and adjusted Rand index of the clusters.

        Without labels only how many clusters are used.
        """
        with self.frozen():
            found = self.predict(data.graph).cpu().numpy()
        used = float(len(np.unique(found)))
        if data.labels is None:
            return Scores({"clusters used": used}, neither=["clusters used"])
        return Scores({**clustering(data.labels, found), "clusters used": used}, neither=["clusters used"])


def _features(graph: Any) -> Tensor:
    """Rows of the length of a row of ones: an autoencoder learns nothing from features that are all near 0."""
    return F.normalize(graph.x) * graph.x.shape[1] ** 0.5


class _Holder(nn.Module):
    """A parameter as a module, so that it is kept by name."""

    def __init__(self, value: nn.Parameter) -> None:
        super().__init__()
        self.value = value


def _layers(sizes: list[int]) -> list[nn.Module]:
    found: list[nn.Module] = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        found += [nn.Linear(a, b), nn.ReLU()]
    return found[:-1]


def influence(edge_index: Tensor, nodes: int, order: int, cumulative: bool) -> Tensor:
    """(N, N): the power ``order`` of the row-normalised adjacency with loops, or the sum of all powers up to it."""
    adjacency = torch.zeros(nodes, nodes)
    adjacency[edge_index[0].cpu(), edge_index[1].cpu()] = 1
    adjacency = ((adjacency + adjacency.T) > 0).float()
    adjacency.fill_diagonal_(1)
    return powers(adjacency / adjacency.sum(1, keepdim=True), order, cumulative)


def powers(adjacency: Tensor, order: int, cumulative: bool) -> Tensor:
    """The power ``order`` of a matrix, or the sum of all powers from 1 up to it."""
    power = total = adjacency
    for _ in range(order - 1):
        power = power @ adjacency
        total = total + power
    return total if cumulative else power
