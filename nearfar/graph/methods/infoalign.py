"""InfoAlign: a molecule's representation tells what walks from it meet among cells, genes and other molecules."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.graph.data.context import Visited
from nearfar.graph.data.molecules import MoleculeBatch
from nearfar.graph.molecule_encoder import MoleculeEncoder
from nearfar.losses import gaussian_bottleneck, walk_alignment
from nearfar.training import Method, Optimization


class InfoAlign(Method):
    r"""Liu et al., 2024, ICLR 2025, arXiv 2406.12056; liugangcode/InfoAlign.

    Molecules are nodes of a graph with cells, genes and expression. Walks start at a molecule, and decoders of each
    kind predict the features of what they meet from the molecule's representation alone, with the weight of the way
    there (:func:`nearfar.losses.walk_alignment`). The representation is the mean of a Gaussian that is held near the
    standard one (:func:`nearfar.losses.gaussian_bottleneck`): :math:`L = \sum_t L_t + \beta L_{prior}`. The released
    :math:`\beta` of 1e-9 is next to none. Decoders read the mean, not the sample, as released. Where features come of
    two sources, they are columns of one matrix here, as in the released loss.

    Downstream the encoder stays as it is, and only a new head is trained. Where nothing is known around molecules, the
    walks meet only molecules that are alike; :class:`nearfar.graph.methods.graphcl.GraphCL` asks for no more.

    Args:
        targets: number of features of each kind of node; taken from the data when not given.
        width: of the layers and of the representation.
        layers: of the graph network.
        dropout: in network and decoders, in [0, 1).
        length: steps of a walk, at least 0.
        prior_weight: :math:`\beta`, at least 0.
        optimization: Adam along a cosine, as released.
    """

    takes: ClassVar[type | None] = MoleculeBatch

    def __init__(
        self,
        targets: dict[str, int] | None = None,
        *,
        width: int = 300,
        layers: int = 5,
        dropout: float = 0.5,
        length: int = 4,
        prior_weight: float = 1e-9,
        optimization: Optimization = Optimization("adam", lr=1e-4, weight_decay=1e-8, decay_all=True),
    ) -> None:
        super().__init__(optimization)
        if not targets or length < 0 or prior_weight < 0:
            raise ValueError(
                "targets are needed, the features of each kind of node; length and prior_weight are at least 0; got "
                f"{targets}, {length} and {prior_weight}"
            )
        self.encoder = MoleculeEncoder(width, layers, dropout)
        self.latent = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.decoders = nn.ModuleDict(
            {
                kind: nn.Sequential(
                    *(nn.Linear(width, 4 * width), nn.BatchNorm1d(4 * width), nn.GELU(), nn.Dropout(dropout)),
                    nn.Linear(4 * width, count),
                )
                for kind, count in targets.items()
            }
        )
        self.width, self.length, self.prior_weight = width, length, prior_weight

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "latent": self.latent})

    def views(self, batch: MoleculeBatch) -> tuple[MoleculeBatch, dict[str, Visited], Tensor]:
        """The molecules, what walks from them met, and noise (B, width)."""
        walks = batch.context.walk(batch.rows, self.length, self.generator)
        noise = for_examples(
            lambda n: torch.randn(n, self.width, device=self.device, generator=self.generator), len(batch.rows)
        )
        return batch, batch.context.visited(*walks), noise

    def loss(self, views: tuple[MoleculeBatch, dict[str, Visited], Tensor]) -> dict[str, Tensor]:
        batch, met, noise = views
        mean, deviation = self.gaussian(batch)
        terms = {
            kind: walk_alignment(decoder(mean), met[kind].features, met[kind].owner, met[kind].weights)
            for kind, decoder in self.decoders.items()
        }
        terms["prior"] = self.prior_weight * gaussian_bottleneck(mean, deviation, mean + deviation * noise)
        return terms

    def gaussian(self, batch: MoleculeBatch) -> tuple[Tensor, Tensor]:
        """Mean and deviation (B, width) of each molecule's representation."""
        mean, raw = self.latent(self.encoder(batch)).chunk(2, 1)
        return mean, F.softplus(raw) + 1e-7

    def encode(self, batch: MoleculeBatch) -> Tensor:
        """The mean (B, width)."""
        return self.gaussian(batch)[0]
