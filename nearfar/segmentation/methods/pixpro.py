"""PixPro and PixContrast: pixels of two crops that show the same place should agree."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from nearfar.losses import negative_cosine, pixel_consistency, pixel_contrast
from nearfar.losses._checks import choice
from nearfar.parts import MLPHead, MomentumEncoder, PixelPropagation
from nearfar.parts.momentum import Schedule
from nearfar.segmentation.dense import (
    DensePretraining,
    DenseViews,
    deepest_map,
    grid_of,
    per_cell,
    to_cells,
    without_gradients,
)
from nearfar.segmentation.places import close_cells
from nearfar.training import Optimization


class PixPro(DensePretraining):
    """Xie et al., 2020, arXiv 2011.10043 (released code: ``contrast/models/PixPro.py``).

    Cells of two random crops that lie close in the image are each other's target. The online side first replaces every
    cell by a sum over the cells that resemble it, so that it can agree with a neighbour; the target side is a momentum
    encoder. There are no negatives. ``objective="pixcontrast"`` is the paper's other method: no propagation, and the
    cells that are not close are negatives (not in the released code). Crops that do not overlap teach nothing: where
    images are much larger than what they show, DenseCL's matching by features has no such need.

    Args:
        encoder: encoder with a feature map, by name or as a module.
        objective: ``pixpro`` or ``pixcontrast``.
        hidden: width of the projectors' hidden layers.
        projection_dim: width of the cells that are compared.
        ratio: cells are close when their centres are nearer than this share of the longer cell diagonal.
        power: how sharply propagation prefers similar cells.
        value_layers: layers of the transform of what is propagated: 0, 1 or 2.
        temperature: divides the cosines of ``pixcontrast``, above 0.
        pixel_weight: weight of the loss of cells, at least 0.
        instance_weight: weight of BYOL's loss of whole images, at least 0; 0 in the released scripts, 1 for the
            paper's best detectors. With ``pixel_weight=0`` it is BYOL on this encoder.
        momentum: of the target encoder at the start.
        momentum_schedule: ``cosine`` rises to 1 over the run.
        views: recipe of random views.
        view_size: side of the views in pixels, 224 in the paper; the images' own size when not given.
        optimization: LARS with the paper's linear scaling, 100 epochs.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        objective: Literal["pixpro", "pixcontrast"] = "pixpro",
        hidden: int = 4096,
        projection_dim: int = 256,
        ratio: float = 0.7,
        power: float = 2.0,
        value_layers: Literal[0, 1, 2] = 1,
        temperature: float = 0.3,
        pixel_weight: float = 1.0,
        instance_weight: float = 0.0,
        momentum: float = 0.99,
        momentum_schedule: Schedule = "cosine",
        views: str = "byol",
        view_size: int | None = None,
        optimization: Optimization = Optimization("lars", lr=1.0, lr_batch=256, weight_decay=1e-5, warmup=0.05),
    ) -> None:
        super().__init__(encoder, views, view_size, optimization)
        if min(pixel_weight, instance_weight) < 0 or pixel_weight + instance_weight == 0:
            raise ValueError(
                "pixel_weight and instance_weight must be at least 0 and not both 0, "
                f"got {pixel_weight} and {instance_weight}"
            )
        self.objective = choice("objective", objective, ("pixpro", "pixcontrast"))
        propagates = objective == "pixpro" and pixel_weight > 0
        self.head: nn.Module = nn.Identity()
        if pixel_weight > 0:
            self.head = MLPHead(self.features, hidden, projection_dim)
        self.propagation: nn.Module = nn.Identity()
        if propagates:
            self.propagation = PixelPropagation(projection_dim, power=power, value_layers=value_layers)
        self.instance_head: nn.Module = nn.Identity()
        self.predictor: nn.Module = nn.Identity()
        if instance_weight > 0:
            self.instance_head = MLPHead(self.features, hidden, projection_dim)
            self.predictor = MLPHead(projection_dim, hidden, projection_dim)
        self.target_network = MomentumEncoder(self.network, momentum, momentum_schedule)
        self.ratio, self.temperature = ratio, temperature
        self.pixel_weight, self.instance_weight = pixel_weight, instance_weight

    @property
    def network(self) -> nn.ModuleList:
        """What the target side follows: encoder, projector of cells, projector of images."""
        return nn.ModuleList([self.encoder, self.head, self.instance_head])

    def loss(self, views: DenseViews) -> dict[str, Tensor]:
        maps = [self.map(views.first), self.map(views.second)]
        online = [to_cells(m) for m in maps]
        terms = {}
        targets = without_gradients(self.targets, views)
        if self.pixel_weight > 0:
            close = close_cells(views.corners1, views.corners2, grid_of(maps[0]), self.ratio)
            y1, y2 = (self.propagation(per_cell(self.head, cells)) for cells in online)
            (z1, _), (z2, _) = targets
            terms["pixel"] = self.pixel_weight * (self.compare(y1, z2, close) + self.compare(y2, z1, close.mT))
        if self.instance_weight > 0:
            p1, p2 = (self.predict_instance(cells) for cells in online)
            (_, t1), (_, t2) = targets
            terms["instance"] = 2 * self.instance_weight * (negative_cosine(p1, t2) + negative_cosine(p2, t1))
        return terms

    def compare(self, y: Tensor, z: Tensor, close: Tensor) -> Tensor:
        """The loss of cells in one direction."""
        if self.objective == "pixpro":
            return pixel_consistency(y, z, close)
        return pixel_contrast(y, z, close, temperature=self.temperature)

    def predict_instance(self, cells: Tensor) -> Tensor:
        """Projected and predicted cell by cell, then pooled, as the released code does."""
        return per_cell(self.predictor, per_cell(self.instance_head, cells)).mean(1)

    def targets(self, views: DenseViews) -> list[tuple[Tensor, Tensor]]:
        """Of both views, the target side's cells and its pooled projection."""
        encoder, head, instance_head = self.target_network.module.children()
        found = []
        for view in (views.first, views.second):
            cells = to_cells(deepest_map(encoder, view))
            found.append((per_cell(head, cells), per_cell(instance_head, cells).mean(1)))
        return found

    def after_step(self) -> None:
        self.target_network.update(self.network, self.progress)
