"""Cross-modality gradient harmonisation: two contrasts that share a network, and do not pull it apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nearfar.common.share import whole_batch
from nearfar.losses import mil_nce
from nearfar.multimodal.one_tower import OneTower, Reader, Spaces
from nearfar.multimodal.tuple_method import RowMethod
from nearfar.multimodal.tuples import Modalities, TupleBatch
from nearfar.parts import Harmony, realigned
from nearfar.training import Optimization


class Views(NamedTuple):
    """Rows of the batch, and which tokens (N, K) of their pictures and sounds are read."""

    rows: TupleBatch
    chosen: dict[str, Tensor]


class GradientHarmony(RowMethod):
    r"""Wu et al., 2022, arXiv 2211.02077, on VATT (Akbari et al., 2021, arXiv 2104.11178).

    .. math::
        L = \tfrac12 (L_{12} + L_{13}), \qquad \text{from } g_{12}', g_{13}' \text{ of rows with } \cos(g_{12}, g_{13})
        > \gamma

    One transformer reads a picture, its sound and its text; the picture is contrasted with the sound in a fine space
    and with the text in a coarse one. Where a row's parts do not belong together, the two gradients on what both
    losses share conflict. *Realignment* takes from each what it has against the other; the *curriculum* leaves out rows
    whose gradients disagree by more than a bound that rises over the run.

    Every row is contrasted with the whole batch. The gradient of a group of ``harmony.rows`` rows is what arrives
    through these rows' activations, as on one device before devices are averaged; over all groups it sums to that of
    the batch. The cosine is of the parameters that both losses reach, heads left out. Heads learn from every row, also
    from those left out.

    No code of the harmonisation is released, and the curriculum's bounds are not settled by the paper. VATT reads
    clips, of which this reads a picture, and takes several captions of a row, here one
    (:func:`nearfar.losses.mil_nce` takes more). Rows that are known to be clean need neither part: take
    :class:`nearfar.multimodal.methods.Symile` with ``objective="pairwise"``, which steps in half the time.

    Args:
        schema: three modalities, the first of which is contrasted with both others; taken from the data.
        reader: the transformer and the tokens.
        spaces: widths of the two spaces.
        harmony: what is done about gradients that disagree.
        temperature: divides the cosines of embeddings.
        optimization: how the parameters move.

    Attributes:
        cosines: of the two gradients, of every group of the last batch.
    """

    encoder: OneTower
    cosines: Tensor

    def __init__(
        self,
        schema: Modalities | None = None,
        *,
        reader: Reader = Reader(),
        spaces: Spaces = Spaces(),
        harmony: Harmony = Harmony(),
        temperature: float = 0.07,
        optimization: Optimization = Optimization("adam", lr=1e-4, weight_decay=0.0, warmup=0.02, floor=0.5),
    ) -> None:
        super().__init__(optimization, reader.crop_scale)
        if schema is None or len(schema.names) != 3:
            held = "none" if schema is None else ", ".join(schema.names)
            raise ValueError(
                f"schema is needed, with three modalities, and taken from the data; got {held}; --modalities names them"
            )
        self.harmony, self.temperature = harmony, temperature
        self.encoder = OneTower(schema, reader, spaces)
        self.register_buffer("cosines", torch.zeros(0), persistent=False)

    def views(self, batch: TupleBatch) -> Views:  # type: ignore[override]
        """Cropped pictures, and which tokens are read."""
        rows = super().views(batch)
        return Views(rows, self.encoder.chosen(rows.cells, self.generator))

    def loss(self, views: Views) -> dict[str, Tensor]:
        states = self.states(views)
        leaves = [torch.cat(parts).detach().requires_grad_() for parts in zip(*states, strict=True)]
        losses = self.contrasts(leaves, views.rows.present)
        terms = {"fine": losses[0] / 2, "coarse": losses[1] / 2}
        if torch.is_grad_enabled():
            parameters = self.encoder.backbone()
            pull = self.harmonized(states, leaves, losses, parameters)
            # Its gradient is the harmonised one, and its value adds nothing.
            carrier = torch.stack([(p * g).sum() for p, g in zip(parameters, pull, strict=True)]).sum() / 2
            terms["fine"] = terms["fine"] + (carrier - carrier.detach())
        return terms

    def states(self, views: Views) -> list[list[Tensor]]:
        """For each group of rows, states (n, W) of every modality."""
        found = []
        for start in range(0, len(views.rows.present), self.harmony.rows):
            rows = slice(start, start + self.harmony.rows)
            cells = {name: cells[rows] for name, cells in views.rows.cells.items()}
            found.append(self.encoder.features(cells, {name: chosen[rows] for name, chosen in views.chosen.items()}))
        return found

    def contrasts(self, states: list[Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """The losses of first and second, and of first and third modality, over the global batch."""
        fine, coarse = self.encoder.heads([*self.gather(*states)])
        there = whole_batch(present)
        losses = []
        for (a, b), other in ((fine, 1), (coarse, 2)):
            valid = {"valid_a": there[:, 0], "valid_b": there[:, other]}
            losses.append(mil_nce(a.unsqueeze(1), b.unsqueeze(1), temperature=self.temperature, **valid))
        return losses[0], losses[1]

    def harmonized(
        self, states: list[list[Tensor]], leaves: list[Tensor], losses: Sequence[Tensor], parameters: list[nn.Parameter]
    ) -> list[Tensor]:
        """The sum of both losses' gradients on the parameters before the heads, group by group in harmony."""
        pulls = [
            torch.autograd.grad(loss, (leaves[0], leaves[other]), retain_graph=True)
            for loss, other in zip(losses, (1, 2), strict=True)
        ]
        total = [torch.zeros_like(p) for p in parameters]
        least, cosines, start = self.harmony.least(self.progress), [], 0
        for group in states:
            rows = slice(start, start + len(group[0]))
            start = rows.stop
            pair = [
                torch.autograd.grad(
                    (group[0], group[other]), parameters, (a[rows], b[rows]), retain_graph=other == 1, allow_unused=True
                )
                for (a, b), other in zip(pulls, (1, 2), strict=True)
            ]
            better = realigned(*pair)
            cosines.append(better.cosine)
            kept = (better.cosine > least).to(better.cosine.dtype)
            for gradients in (better.first, better.second) if self.harmony.realign else pair:
                for whole, part in zip(total, gradients, strict=True):
                    if part is not None:
                        whole.add_(part * kept)
        self.cosines = torch.stack(cosines)
        return total
