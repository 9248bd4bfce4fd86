"""DenseCL++: dense contrast within the batch, against cells of other images."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.losses import dense_correspondence, dense_nt_xent, nt_xent
from nearfar.losses._checks import choice, unit_rows
from nearfar.parts import MLPHead
from nearfar.segmentation.dense import DeepestMap, DensePretraining, DenseViews, grid_of, per_cell, to_cells
from nearfar.segmentation.places import close_cells
from nearfar.training import Optimization
from nearfar.vision.method import together

Negatives = Literal["pooled", "random", "all", "matched"]


class DenseCLPlusPlus(DensePretraining):
    """Iskender et al., 2022, arXiv 2210.05063.

    SimCLR with a second loss: a cell of one view must find its match in the other view among cells of other images of
    the batch, so that negatives are as local as positives (DenseCL's are pooled over whole images). There is no
    momentum encoder and no queue. The paper compares choices of negatives, positives and a reconstruction task; all
    of them are arguments. No code was released: how cells are drawn, the weights and the reconstructing layer are
    choices of this library. ``dense_weight=0`` is SimCLR.

    Args:
        encoder: encoder with a feature map, by name or as a module.
        hidden: width of both heads' hidden layers.
        projection_dim: width of the spaces of contrast.
        temperature: divides the similarities of both losses, above 0.
        dense_weight: share of the dense loss, in [0, 1]; the rest is SimCLR's.
        negatives: what of the other images a cell is contrasted with, see :func:`nearfar.losses.dense_nt_xent`.
        count: cells drawn from each image for ``random`` negatives.
        match: how a cell finds its positive: ``similarity`` of the backbone's features as in DenseCL, or ``geometry``,
            the cells that lie close in the image as in PixPro.
        extra_positives: cells of the other view whose backbone features have at least this cosine are positives too;
            none when not given.
        cross_view: whether the other view's cells that are not positives are negatives.
        reconstruction: weight of the squared error of the view as reconstructed from its cells, at least 0.
        patch: side in pixels of what a cell reconstructs.
        views: recipe of random views.
        view_size: side of the views in pixels, 224 in the paper; the images' own size when not given.
        optimization: LARS with SimCLR's linear scaling.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        hidden: int = 2048,
        projection_dim: int = 128,
        temperature: float = 0.2,
        dense_weight: float = 0.5,
        negatives: Negatives = "random",
        count: int = 16,
        match: Literal["similarity", "geometry"] = "similarity",
        extra_positives: float | None = None,
        cross_view: bool = False,
        reconstruction: float = 0.0,
        patch: int = 8,
        views: str = "simclr",
        view_size: int | None = None,
        optimization: Optimization = Optimization("lars", lr=0.3, lr_batch=256, weight_decay=1e-6, warmup=0.1),
    ) -> None:
        super().__init__(encoder, views, view_size, optimization)
        if not 0.0 <= dense_weight <= 1.0:
            raise ValueError(f"dense_weight must be in [0, 1], got {dense_weight}")
        if reconstruction < 0:
            raise ValueError(f"reconstruction must be at least 0, got {reconstruction}")
        self.match = choice("match", match, ("similarity", "geometry"))
        self.head: nn.Module = nn.Identity()
        self.dense_head: nn.Module = nn.Identity()
        if dense_weight < 1:
            self.head = MLPHead(self.features, hidden, projection_dim)
        if dense_weight > 0:
            self.dense_head = MLPHead(self.features, hidden, projection_dim)
        self.decoder: nn.Module = nn.Linear(self.features, 3 * patch**2) if reconstruction else nn.Identity()
        self.temperature, self.dense_weight, self.negatives, self.count = temperature, dense_weight, negatives, count
        self.extra_positives, self.cross_view = extra_positives, cross_view
        self.reconstruction, self.patch = reconstruction, patch

    def loss(self, views: DenseViews) -> dict[str, Tensor]:
        maps = together(DeepestMap(self.encoder), (views.first, views.second))
        terms = {}
        if self.dense_weight < 1:
            z1, z2 = self.gather(*together(self.head, [m.mean((2, 3)) for m in maps]))
            terms["image"] = (1 - self.dense_weight) * nt_xent(z1, z2, temperature=self.temperature)
        cells = [to_cells(m) for m in maps]
        if self.dense_weight > 0:
            g1, g2 = per_cell(self.dense_head, torch.cat(cells)).chunk(2)
            forth, back = self.positives(cells, views, grid_of(maps[0]))
            g1, g2, forth, back = self.gather_cells(g1, g2, forth, back)
            terms["dense"] = self.dense_weight * dense_nt_xent(
                g1,
                g2,
                forth,
                back,
                temperature=self.temperature,
                negatives=self.negatives,
                count=self.count,
                cross_view=self.cross_view,
                generator=self.generator,
            )
        if self.reconstruction > 0:
            errors = [self.reconstruct(m, view) for m, view in zip(maps, views[:2], strict=True)]
            terms["reconstruction"] = self.reconstruction * torch.stack(errors).mean()
        return terms

    @torch.no_grad()
    def positives(self, cells: list[Tensor], views: DenseViews, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Which cells of the second view are positives of the first's, and the other way round; (N, S, S) boolean."""
        first, second = cells
        if self.match == "geometry":
            forth = close_cells(views.corners1, views.corners2, grid)
            back = forth.mT
        else:
            forth = F.one_hot(dense_correspondence(first, second), second.shape[1]).bool()
            back = F.one_hot(dense_correspondence(second, first), first.shape[1]).bool()
        if self.extra_positives is not None:
            alike = unit_rows(first) @ unit_rows(second).mT >= self.extra_positives
            forth, back = forth | alike, back | alike.mT
        return forth, back

    def reconstruct(self, feature_map: Tensor, view: Tensor) -> Tensor:
        """Squared error of the view at ``patch`` pixels per cell."""
        rows, columns = grid_of(feature_map)
        drawn = F.pixel_shuffle(
            per_cell(self.decoder, to_cells(feature_map)).mT.unflatten(2, (rows, columns)), self.patch
        )
        return F.mse_loss(drawn, F.interpolate(view, size=drawn.shape[2:], mode="area"))
