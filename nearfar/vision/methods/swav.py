"""SwAV: contrasting cluster assignments, with multi-crop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.losses import sinkhorn, swapped_prediction
from nearfar.parts import FeatureQueue, MLPHead, Prototypes
from nearfar.training import Optimization
from nearfar.vision.method import ImageMethod, together
from nearfar.vision.views import recipe_pair

ASSIGNED = 2


class SwAV(ImageMethod):
    """Caron et al., 2020, arXiv 2006.09882.

    Views are assigned to learnable prototypes, in equal shares over the batch, and every view must predict the
    assignment ("code") of another. Images are never compared with each other, so the cost is linear in the batch,
    and many small crops can be asked for the codes of two large ones. A batch should be larger than the number of
    prototypes; where it is not, a queue of past embeddings takes part in the assignment. Where images do not fall
    into groups, SimCLR is the plainer choice.

    Defaults are those of the released code for batches of 4096 and 800 epochs. For batches of 256 it has a queue of
    3840 from epoch 15 of 400, prototypes frozen for 5005 steps, a rate of 0.6 and no warm-up. Its LARS (apex's,
    ``larc`` here) also adapts biases and norms and counts the decay in the ratio, which this library's does not.

    Args:
        encoder: image encoder, by name or as a module.
        hidden: width of the projection head's hidden layer.
        projection_dim: width of the embeddings that are compared with prototypes.
        prototypes: their number, K.
        temperature: divides the scores in the prediction, above 0.
        epsilon: smoothness of the assignment, above 0; see :func:`nearfar.losses.sinkhorn`. Lower it to 0.03 or
            0.02 when the loss stays at ln K: codes are then uniform and ask for nothing.
        iterations: rounds of Sinkhorn's algorithm.
        small_crops: views beside the two large ones; 0 is SwAV without multi-crop.
        small_size: side of the small crops in pixels; large ones have the images' size (224 in the paper).
        large_scale: range of the large crops' area as a share of the image's.
        small_scale: the same for the small crops.
        queue_size: past embeddings kept for each large crop; 0 for none.
        queue_start: share of the run after which the queue is filled; it is used once it is full.
        frozen_steps: first steps in which the prototypes do not move.
        views: recipe whose colours the crops have.
        optimization: LARS with the paper's linear scaling.
    """

    queued: Tensor

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        hidden: int = 2048,
        projection_dim: int = 128,
        prototypes: int = 3000,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        small_crops: int = 6,
        small_size: int = 96,
        large_scale: tuple[float, float] = (0.14, 1.0),
        small_scale: tuple[float, float] = (0.05, 0.14),
        queue_size: int = 0,
        queue_start: float = 0.0375,
        frozen_steps: int = 313,
        views: str = "simclr",
        optimization: Optimization = Optimization(
            "lars", lr=0.3, lr_batch=256, weight_decay=1e-6, warmup=0.0125, floor=0.001
        ),
    ) -> None:
        colours, _ = recipe_pair(views)
        large, small = colours.with_(scale=large_scale), colours.with_(scale=small_scale, size=small_size)
        recipes = [large] * ASSIGNED + [small] * small_crops
        super().__init__(encoder, recipes, optimization, count=len(recipes))
        self.head = MLPHead(self.features, hidden, projection_dim)
        self.prototypes = Prototypes(projection_dim, prototypes)
        self.queues = nn.ModuleList(
            FeatureQueue(queue_size, projection_dim) for _ in range(ASSIGNED if queue_size else 0)
        )
        self.register_buffer("queued", torch.zeros((), dtype=torch.long))
        self.temperature, self.epsilon, self.iterations = temperature, epsilon, iterations
        self.queue_size, self.queue_start, self.frozen_steps = queue_size, queue_start, frozen_steps

    def loss(self, views: tuple[Tensor, ...]) -> Tensor:
        self.prototypes.normalize_()
        # One pass of the encoder for each size of crop and one of the head for all, as in the released code.
        own = together(self.head, together(self.encoder, views))
        if self.queues:
            self.collect(**{f"crop {crop}": z for crop, z in enumerate(own[:ASSIGNED])})
        embeddings = self.gather(*own)
        scores = [self.prototypes(z) for z in embeddings]
        codes = [self.codes(s, crop) for crop, s in enumerate(scores[:ASSIGNED])]
        return swapped_prediction(scores, codes, temperature=self.temperature)

    @torch.no_grad()
    def codes(self, scores: Tensor, crop: int) -> Tensor:
        """The balanced assignments (N, K) of one large crop, the queue's rows taking part."""
        rows = len(scores)
        if self.queues and self.queued >= self.queue_size:
            past = self.queues[crop].get_buffer("keys")
            scores = torch.cat([self.prototypes(past), scores])
        return sinkhorn(scores, epsilon=self.epsilon, iterations=self.iterations)[-rows:]

    def after_step(self) -> None:
        if self.queues and self.progress >= self.queue_start:
            for crop, queue in enumerate(self.queues):
                new = self.collected(f"crop {crop}")
                queue.enqueue(new)  # type: ignore[operator]
            self.queued += len(new)

    def before_step(self) -> None:
        gradient = self.prototypes.weight.grad
        if gradient is not None and self.trainer.global_step < self.frozen_steps:
            gradient.zero_()  # what decay is left only shortens rows that are normalised anyway
