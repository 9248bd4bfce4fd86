"""DenseCL: momentum contrast of whole images and of the cells of their maps."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.losses import dense_correspondence, info_nce
from nearfar.parts import FeatureQueue, MLPHead, MomentumEncoder, shuffled_groups
from nearfar.segmentation.dense import DeepestMap, DensePretraining, DenseViews, per_cell, to_cells, without_gradients
from nearfar.training import Optimization


class DenseCL(DensePretraining):
    """Wang et al., 2020, arXiv 2011.09157 (released code: ``openselfsup/models/densecl.py``).

    MoCo v2 with a second loss. Every cell of the query's map is matched with the most similar cell of the key's map,
    as the backbone sees them, and must find that cell's projection among a queue of pooled projections of other
    images. ``dense_weight=0`` is MoCo v2. At the start of a run matches are almost random; ``dense_start`` waits.

    Defaults are those of COCO (800 epochs); ImageNet takes a rate of 0.03 for 200 epochs.

    Args:
        encoder: encoder with a feature map, by name or as a module.
        hidden: width of both heads' hidden layers.
        projection_dim: width of queries and keys.
        grid: maps are averaged to this many cells each way before they are matched and projected; the map's own
            number when not given.
        queue_size: past keys kept as negatives, of whole images and of pooled cells.
        momentum: of the key encoder, constant over the run.
        temperature: divides the similarities of both losses, above 0.
        dense_weight: share of the dense loss, in [0, 1]; the rest is MoCo's.
        dense_start: share of the run in which ``dense_weight`` is taken as 0 (the released code's optional hook
            waits 1,000 steps).
        key_groups: parts of the batch with batch-norm statistics of their own on the key side, shuffled (8, the
            released code's number of GPUs; 1 turns it off).
        views: recipe of random views.
        view_size: side of the views in pixels, 224 in the paper; the images' own size when not given.
        optimization: SGD with the paper's schedule.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        hidden: int = 2048,
        projection_dim: int = 128,
        grid: int | None = None,
        queue_size: int = 65536,
        momentum: float = 0.999,
        temperature: float = 0.2,
        dense_weight: float = 0.5,
        dense_start: float = 0.0,
        key_groups: int = 8,
        views: str = "moco-v2",
        view_size: int | None = None,
        optimization: Optimization = Optimization("sgd", lr=0.3, lr_batch=256, weight_decay=1e-4, decay_all=True),
    ) -> None:
        super().__init__(encoder, views, view_size, optimization)
        if not 0.0 <= dense_weight <= 1.0:
            raise ValueError(f"dense_weight must be in [0, 1], got {dense_weight}")
        self.pool: nn.Module = nn.AdaptiveAvgPool2d(grid) if grid else nn.Identity()
        self.head = MLPHead(self.features, hidden, projection_dim, norm="none")
        self.dense_head = MLPHead(self.features, hidden, projection_dim, norm="none")
        self.key_network = MomentumEncoder(self.network, momentum, "constant")
        self.queue = FeatureQueue(queue_size, projection_dim)
        self.dense_queue = FeatureQueue(queue_size, projection_dim)
        self.temperature, self.key_groups = temperature, key_groups
        self.dense_weight, self.dense_start = dense_weight, dense_start

    @property
    def network(self) -> nn.ModuleList:
        """What the key side follows: encoder, head of whole images, head of cells."""
        return nn.ModuleList([self.encoder, self.head, self.dense_head])

    def loss(self, views: DenseViews) -> dict[str, Tensor]:
        queries = self.map(views.first)
        keys, pooled_key, cell_keys = without_gradients(self.keys, views.second)
        share = self.dense_weight if self.progress >= self.dense_start else 0.0
        image = self.contrast(self.head(queries.mean((2, 3))), pooled_key, self.queue)
        cells = to_cells(self.pool(queries))
        match = dense_correspondence(cells, to_cells(self.pool(keys)))
        positives = cell_keys.gather(1, match.unsqueeze(2).expand(-1, -1, cell_keys.shape[2]))
        dense = self.contrast(per_cell(self.dense_head, cells).flatten(0, 1), positives.flatten(0, 1), self.dense_queue)
        # Pooled before it is normalised: the queue normalises what it is given.
        self.collect(keys=pooled_key, pooled=cell_keys.mean(1))
        return {"image": (1 - share) * image, "dense": share * dense}

    def keys(self, view: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The key side's map, projections of images and projections of cells."""
        encoder, head, dense_head = self.key_network.module.children()
        keys = shuffled_groups(DeepestMap(encoder), view, self.key_groups, self.generator)
        return keys, head(keys.mean((2, 3))), per_cell(dense_head, to_cells(self.pool(keys)))

    def contrast(self, queries: Tensor, keys: Tensor, queue: FeatureQueue) -> Tensor:
        """InfoNCE against the queue."""
        return info_nce(queries, keys, negatives=queue.keys, in_batch=False, temperature=self.temperature)

    def after_step(self) -> None:
        self.key_network.update(self.network)
        self.queue.enqueue(self.collected("keys"))
        self.dense_queue.enqueue(self.collected("pooled"))
