"""MEOW and AdaMEOW: heterogeneous graph contrast with meta-path contexts and weighted negatives."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor, nn

from nearfar.common.randomness import derive_seed
from nearfar.graph.data import LinkedGraph
from nearfar.graph.data.kinds import LinkedKinds
from nearfar.graph.linked_encoder import LinkedEncoder, Structure, structure
from nearfar.losses import cluster_contrast, concentration, together_weights, weighted_contrast
from nearfar.training import Method, Optimization


class PairWeights(nn.Module):
    """AdaMEOW's weights in (0, 1) of pairs of rows: ``sigmoid(W2 tanh(W1 (a_i + b_j) + b1) + b2)``.

    The first map is linear, so it is taken of rows and not of pairs.
    """

    def __init__(self, dim: int, hidden: int = 16) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(dim, hidden), nn.Linear(hidden, 1)

    def forward(self, rows: Tensor, everything: Tensor, first: int = 0) -> Tensor:
        left, right = self.first(rows), everything @ self.first.weight.T
        return self.second(torch.tanh(left[:, None] + right[None])).squeeze(2).sigmoid()


class MEOW(Method):
    """Yu et al., TKDE (released code: jianxiangyu/MEOW).

    For nodes of one kind that are linked through others, a coarse view (who is connected) is contrasted with fine ones
    (what lies on the way), some of them masked once for the whole run. With ``negatives="clusters"`` (MEOW) the weight
    of a pair is the number of clusterings that keep it apart, and nodes also find the centres of their clusters; with
    ``"learned"`` (AdaMEOW) weights are a network of the pair, the fine view asks, and there are no centres. AdaMEOW's
    loss has no lower bound; it is kept from running away by its small rate. The embedding is the fine views' attention
    without the masked ones, in evaluation mode. Defaults are the released settings for ACM.

    Args:
        in_features: number of features of the embedded nodes; taken from the data when not given.
        context_features: the same for each other kind; taken from the data when not given.
        size: number of embedded nodes; taken from the data when not given.
        negatives: ``clusters`` (MEOW) or ``learned`` (AdaMEOW).
        dim: width of the representation.
        dropout: in [0, 1).
        most: neighbours of a node by each kind of links, the first by PathSim.
        mask_features, mask_edges: shares hidden in the masked views.
        temperature: divides the similarities: 0.4, AdaMEOW 1.
        clusters: numbers of clusters of the clusterings.
        prototypes: weight of the contrast with centres, at least 0.
        optimization: Adam at a constant rate; AdaMEOW on ACM 5e-5.
    """

    takes: ClassVar[type | None] = LinkedKinds
    encoder: LinkedEncoder
    assigned: Tensor

    def __init__(
        self,
        in_features: int | None = None,
        context_features: dict[str, int] | None = None,
        size: int | None = None,
        *,
        negatives: Literal["clusters", "learned"] = "clusters",
        dim: int = 64,
        dropout: float = 0.3,
        most: int = 110,
        mask_features: float = 0.3,
        mask_edges: float = 0.3,
        temperature: float = 0.4,
        clusters: tuple[int, ...] = (100, 300),
        prototypes: float = 1.0,
        optimization: Optimization = Optimization("adam", lr=7e-4, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        if in_features is None or not context_features or size is None:
            raise ValueError("in_features, context_features and size are needed: those of a graph of linked kinds")
        if negatives not in ("clusters", "learned"):
            raise ValueError(f"negatives must be 'clusters' or 'learned', got {negatives!r}")
        self.encoder = LinkedEncoder(in_features, context_features, dim, dropout)
        self.head = nn.Linear(dim, dim)
        self.weights = PairWeights(dim) if negatives == "learned" else None
        self.most, self.masks, self.temperature = most, (mask_features, mask_edges), temperature
        self.clusters, self.prototypes = tuple(min(k, size // 2) for k in clusters), prototypes
        self.register_buffer("assigned", torch.zeros(len(clusters), size, dtype=torch.int64))
        for number, k in enumerate(self.clusters):
            self.register_buffer(f"centres{number}", torch.zeros(k, dim))
            self.register_buffer(f"phi{number}", torch.ones(k))
        self._known: tuple[Any, Structure] | None = None

    def known(self, graph: Any) -> Structure:
        """The graph's structure for the encoder, made once; its masks depend on the seed of the run alone."""
        if self._known is None or self._known[0] is not graph.linked:
            rng = np.random.default_rng(derive_seed(self.seed, "masks"))
            self._known = graph.linked, structure(graph.linked, self.most, *self.masks, rng)
        return self._known[1]

    def both(self, graph: Any) -> tuple[Tensor, Tensor]:
        """Projections (N, D) of the coarse and the fine view, of unit length."""
        known, x = self.known(graph), graph.x
        masked = self.encoder.fine(x * known.mask.to(x.device), known, known.masked_paths)
        fine = self.encoder.joined([*self.encoder.fine(x, known, known.paths), *masked])
        coarse = self.encoder.coarse(x, known)
        first, second = (F.normalize(torch.tanh(self.head(z)), dim=1) for z in (coarse, fine))
        return first, second

    def begin_epoch(self, data: LinkedGraph, epoch: int) -> None:
        if self.weights is not None:
            return
        with self.frozen():
            _, fine = self.both(data.graph.to(self.device))
        for number, k in enumerate(self.clusters):
            found = KMeans(k, n_init=1, max_iter=30, random_state=self.seed + epoch).fit(fine.cpu().numpy())
            assigned = torch.from_numpy(found.labels_.astype(np.int64)).to(fine.device)
            raw = torch.from_numpy(found.cluster_centers_).to(fine)
            phi = concentration((fine * raw[assigned]).sum(1), assigned, k, temperature=self.temperature)
            self.assigned[number] = assigned
            getattr(self, f"centres{number}").copy_(F.normalize(raw, dim=1))
            getattr(self, f"phi{number}").copy_(phi)

    def loss(self, views: Any) -> dict[str, Tensor]:
        coarse, fine = self.both(views)
        if self.weights is not None:
            return {"contrast": weighted_contrast(fine, coarse, self.weights, temperature=self.temperature)}
        weights = together_weights(self.assigned)
        terms = {"contrast": weighted_contrast(coarse, fine, weights, temperature=self.temperature)}
        if self.prototypes:
            each = [
                cluster_contrast(coarse, row, getattr(self, f"centres{n}"), getattr(self, f"phi{n}"))
                for n, row in enumerate(self.assigned)
            ]
            terms["prototypes"] = self.prototypes * torch.stack(each).mean()
        return terms

    def encode(self, batch: Any) -> Tensor:
        return self.encoder(batch.x, self.known(batch))
