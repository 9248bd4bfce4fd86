"""MoCo v1 and v2: momentum contrast with a queue of past keys."""

from __future__ import annotations

from torch import Tensor, nn

from nearfar.losses import info_nce
from nearfar.parts import FeatureQueue, MLPHead, MomentumEncoder, shuffled_groups
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod


class MoCo(ImageMethod):
    """He et al., 2019, arXiv 1911.05722; v2: Chen et al., 2020, arXiv 2003.04297.

    A query must find its key (the same image through a slowly moving encoder) among a queue of past keys. The
    queue gives small batches many negatives. Defaults are v2's; v1 is ``projection_layers=1, temperature=0.07,
    views="moco-v1"`` with ``schedule="step"``.

    Args:
        encoder: image encoder, by name or as a module.
        projection_dim: width of queries and keys.
        projection_layers: 2 (v2: linear, ReLU, linear, no norm) or 1 (v1).
        queue_size: number of past keys kept as negatives.
        momentum: of the key encoder, constant over the run.
        temperature: divides the similarities, above 0.
        key_groups: parts of the batch whose batch-norm statistics are separate on the key side, shuffled, which
            keeps batch norm from leaking the answer (8, the paper's number of GPUs; 1 turns it off).
        views: recipe of random views.
        optimization: SGD with the paper's schedule.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        projection_dim: int = 128,
        projection_layers: int = 2,
        queue_size: int = 65536,
        momentum: float = 0.999,
        temperature: float = 0.2,
        key_groups: int = 8,
        views: str = "moco-v2",
        optimization: Optimization = Optimization("sgd", lr=0.03, lr_batch=256, weight_decay=1e-4, decay_all=True),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(self.features, self.features, projection_dim, layers=projection_layers, norm="none")
        self.key_network = MomentumEncoder(self.network, momentum, "constant")
        self.queue = FeatureQueue(queue_size, projection_dim)
        self.temperature = temperature
        self.key_groups = key_groups

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        queries = self.network(views[0])
        keys = shuffled_groups(self.key_network, views[1], self.key_groups, self.generator)
        self.collect(keys=keys)
        return info_nce(queries, keys, negatives=self.queue.keys, in_batch=False, temperature=self.temperature)

    def after_step(self) -> None:
        self.key_network.update(self.network)
        self.queue.enqueue(self.collected("keys"))
