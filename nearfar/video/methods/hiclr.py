"""HiCLR: views of a skeleton of growing strength, each consistent with the one before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.losses import growing_consistency
from nearfar.parts import FeatureQueue, MLPHead, MomentumEncoder
from nearfar.training import Method, Optimization, Phase
from nearfar.video.data import SkeletonBatch
from nearfar.video.data.layouts import layout as layout_of
from nearfar.video.skeleton_views import SkeletonViews, hidden_joints
from nearfar.video.stgcn import STGCN

Views = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class HiCLR(Method):
    """Zhang et al., 2022, AAAI 2023, arXiv 2211.13466; JHang2020/HiCLR.

    Strong changes of a skeleton (flat, turned, smoothed, joints hidden) may change its action. They are therefore not
    asked to find the key themselves: the basic view finds it, as in MoCo, the strong view agrees with the basic
    one's distribution over key and queue, and the extreme view with the strong one's
    (:func:`nearfar.losses.growing_consistency`). In the second half of a run the nearest rows of the queue are
    positives too. The released order of views is kept; of the paper's extreme views it is the hidden joints, as in
    the released settings.

    Of the streams of joints, motion and bones each is trained by itself, and scores are added, in the paper; here
    what is trained is what is given.

    Args:
        layout: of the joints, by name; taken from the data when not given.
        coordinates: of a joint, 2 or 3; taken from the data when not given.
        hidden: width of the first blocks of the graph convolution.
        out_features: width of the representation.
        depth: blocks of each of the three widths.
        dropout: in the blocks, in [0, 1).
        projection_dim: width of queries and keys.
        queue_size: number of past keys kept as negatives.
        momentum: of the key encoder, in [0, 1].
        temperature: divides the similarities, above 0.
        weight: of the consistency, at least 0.
        neighbours: rows of the queue that each view adds to the positives from the second phase on.
        hide: share of the joints hidden at every time in the extreme view, in [0, 1]; a learned number takes their
            place.
        views: how skeletons are changed.
        mining: share of the run after which neighbours are positives, and of the first phase.
        settling: share of the run, at its end, at a tenth of the rate.
        optimization: SGD at a constant rate, as released.
    """

    takes = SkeletonBatch

    def __init__(
        self,
        layout: str | None = None,
        coordinates: int | None = None,
        *,
        hidden: int = 16,
        out_features: int = 256,
        depth: tuple[int, int, int] = (4, 3, 3),
        dropout: float = 0.5,
        projection_dim: int = 128,
        queue_size: int = 32768,
        momentum: float = 0.999,
        temperature: float = 0.07,
        weight: float = 0.5,
        neighbours: int = 1,
        hide: float = 0.1,
        views: SkeletonViews = SkeletonViews(),
        mining: float = 0.5,
        settling: float = 1 / 6,
        optimization: Optimization = Optimization("sgd", lr=0.1, schedule="constant", decay_all=True),
    ) -> None:
        super().__init__(optimization)
        if layout is None or coordinates is None:
            raise ValueError("layout and coordinates are needed: which joints there are, and whether they lie in space")
        if not 0 <= hide <= 1 or not 0 <= mining <= 1 or not 0 <= settling <= 1 - mining:
            raise ValueError(
                "hide, mining and settling are shares in [0, 1], the last two at most 1 together; got "
                f"{hide}, {mining} and {settling}"
            )
        self.layout = layout_of(layout)
        self.encoder = STGCN(
            self.layout, coordinates, hidden=hidden, out_features=out_features, depth=depth, dropout=dropout
        )
        self.head = MLPHead(out_features, out_features, projection_dim, norm="none")
        self.key_network = MomentumEncoder(self.network, momentum, "constant")
        self.queue = FeatureQueue(queue_size, projection_dim)
        self.unseen = nn.Parameter(torch.zeros(()))
        self.temperature, self.weight, self.hide, self.changes = temperature, weight, hide, views
        self.neighbours = neighbours
        self.phases = (
            Phase("growing", mining),
            Phase("mining", 1 - mining - settling),
            Phase("settling", settling, lr_scale=0.1),
        )

    @property
    def network(self) -> nn.Sequential:
        """Encoder and head: what is trained, and what the key encoder follows."""
        return nn.Sequential(self.encoder, self.head)

    def views(self, batch: SkeletonBatch) -> Views:
        """Basic, strong and extreme query, where the last one is hidden (T, V), and the key."""
        basic = [self.changes.basic(batch.joints, self.generator) for _ in range(2)]
        strong = [self.changes.strong(batch.joints, self.layout, self.generator) for _ in range(2)]
        times, joints = batch.joints.shape[2:4]
        hidden = hidden_joints(times, joints, self.hide, self.generator)
        return basic[0], strong[0], strong[1], hidden, basic[1]

    def loss(self, views: Views) -> dict[str, Tensor]:
        basic, strong, extreme, hidden, other = views
        extreme = torch.where(hidden[:, :, None], self.unseen, extreme)
        queries = [self.network(view) for view in (basic, strong, extreme)]
        keys = self.key_network(other)
        self.collect(keys=keys)
        return growing_consistency(
            queries,
            keys,
            self.queue.keys,
            temperature=self.temperature,
            neighbours=0 if self.phase == "growing" else self.neighbours,
            weight=self.weight,
        )

    def after_step(self) -> None:
        self.key_network.update(self.network)
        self.queue.enqueue(self.collected("keys"))

    def encode(self, batch: SkeletonBatch | Tensor) -> Tensor:
        """The representation (B, D) of skeletons as they are."""
        return self.encoder(batch.joints if isinstance(batch, SkeletonBatch) else batch)
