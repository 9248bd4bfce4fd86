"""WSP: weakly-supervised positional contrastive learning."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from nearfar.labels.evaluation import evaluate, subject_auc
from nearfar.labels.method import LabelMethod, Seen, own_class
from nearfar.losses import wsp
from nearfar.parts import MLPHead
from nearfar.system import Scores
from nearfar.training import Data, Optimization
from nearfar.vision.method import together


class WSP(LabelMethod):
    """Sarfati et al., 2023, MICCAI, arXiv 2307.04617.

    Slices of volumes are alike as far as they have the same weak label and lie at a similar depth: positives are
    weighted by the product of both. A batch holds one slice of a volume. With one label for all it is a contrast by
    position alone, with a very wide kernel SupCon; where there are no positions take SupCon.

    The released code divides by the wrong sum (``normalise="column"``); its baselines do, too.

    Args:
        encoder: image encoder, by name or as a module.
        projection_hidden, projection_dim: widths of the head's layers.
        temperature: divides the similarities, above 0.
        sigma: width of the kernel on positions, in their unit: positions in [0, 1] and 0.85 in the released defaults.
        kernel: ``rbf`` or ``laplacian``.
        normalise: ``row`` or ``column``.
        views: recipe of random views.
        optimization: Adam with a cosine; the paper's rate is not stated, 1e-4 is this library's.
    """

    needs = ("position",)
    needs_labels = False

    def __init__(
        self,
        encoder: str | nn.Module = "resnet18",
        *,
        projection_hidden: int = 256,
        projection_dim: int = 128,
        temperature: float = 0.1,
        sigma: float = 0.85,
        kernel: str = "rbf",
        normalise: str = "row",
        views: str = "gentle",
        optimization: Optimization = Optimization("adam", lr=1e-4, weight_decay=1e-5, decay_all=True),
    ) -> None:
        super().__init__(encoder, views, optimization)
        self.head = MLPHead(self.features, projection_hidden, projection_dim, norm="none")
        self.temperature, self.sigma, self.kernel, self.normalise = temperature, sigma, kernel, normalise

    def order(self, data: Data, rng: np.random.Generator) -> np.ndarray:
        """Round after round one slice of each subject, in the same order of subjects: no batch of at most as many
        slices as there are subjects with the most slices holds two of one."""
        subject = getattr(data, "marks", {}).get("subject")
        if subject is None:
            return data.order(rng)
        place = rng.permutation(int(subject.max()) + 1)
        shuffled = rng.permutation(len(subject))
        ordered = shuffled[np.argsort(place[subject[shuffled]], kind="stable")]
        sizes = np.bincount(place[subject[ordered]])
        sizes = sizes[sizes > 0]
        turn = np.concatenate([np.arange(size) for size in sizes])
        return ordered[np.argsort(turn, kind="stable")]

    def loss(self, seen: Seen) -> Tensor:  # type: ignore[override]
        z1, z2 = self.gather(*together(self.network, seen.views))
        (labels,) = self.gather(own_class(seen.marks.get("weak", seen.labels)))
        (positions,) = self.gather(seen.marks["position"])
        return wsp(
            z1,
            z2,
            labels,
            positions,
            sigma=self.sigma,
            temperature=self.temperature,
            kernel=self.kernel,
            normalise=self.normalise,
        )

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """What every method on labelled pictures is measured by, and ``subject auc <set>`` where subjects are named and
        there are two classes (see :func:`nearfar.labels.evaluation.subject_auc`)."""
        return evaluate(self, data, seed=seed).add(subject_auc(self, data, seed=seed))
