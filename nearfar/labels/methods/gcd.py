"""GCD: generalized category discovery."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from nearfar.evaluation import split_cluster_accuracy
from nearfar.labels.clusters import estimate_classes, semi_supervised_kmeans, squared_distances, unit
from nearfar.labels.data import LabelledImages
from nearfar.labels.method import LabelMethod, Seen
from nearfar.losses import gcd
from nearfar.parts import MLPHead
from nearfar.system import Scores
from nearfar.training import Data, Optimization, embed
from nearfar.vision.method import together


class Discovering(LabelMethod):
    """A method that groups pictures of which some classes have labels and others have none; judged by its groups.

    Its epochs draw labelled and unlabelled pictures equally often.
    """

    def order(self, data: Data, rng: np.random.Generator) -> np.ndarray:
        """As many labelled pictures as unlabelled ones on average, drawn with replacement, as released."""
        known = getattr(data, "seen", np.zeros(0)) >= 0
        if not known.any() or known.all():
            return data.order(rng)
        weights = np.where(known, 0.5 / known.sum(), 0.5 / (~known).sum())
        return rng.choice(len(data), len(data), p=weights)

    def groups(self, data: LabelledImages, *, seed: int = 0) -> np.ndarray:
        """(N,) the number of each picture's group; labelled classes keep their numbers."""
        raise NotImplementedError(f"{type(self).__name__} does not define groups(data, seed)")

    def groups_of_others(self, known: LabelledImages, others: LabelledImages, *, seed: int = 0) -> np.ndarray:
        """(N,) the group of each of the ``others``, which the ``known`` collection does not hold: that of the nearest
        mean of a group, at length 1."""
        numbers = self.groups(known, seed=seed)
        x, bank = unit(embed(self, others).array), unit(embed(self, known).array)
        names = np.unique(numbers)
        means = np.stack([bank[numbers == g].mean(0) for g in names])
        return names[squared_distances(x, means).argmin(1)]

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """Clustering accuracy on the unlabelled pictures, under one matching of groups and classes ("v2").

        Returns:
            ``all``, and of pictures of classes with and without labels ``old`` and ``new``, in [0, 1]; ``gap``, how far
            the two are apart (lower is better).
        """
        if not isinstance(data, LabelledImages) or data.labels is None:
            raise ValueError(f"discovery is measured on pictures whose classes are known, and {data.name} names none")
        seen, truth = data.seen, data.labels
        rows = (seen < 0) & (truth >= 0)
        old = np.isin(truth[rows], np.unique(seen[seen >= 0]))
        if not old.any() or old.all():
            raise ValueError(
                f"discovery is measured on unlabelled pictures of old and of new classes, and {data.name} lacks one; "
                "see --old-classes"
            )
        found = Scores(split_cluster_accuracy(truth[rows], self.groups(data, seed=seed)[rows], old))
        return found.add(Scores({"gap": abs(found["old"] - found["new"])}, lower=["gap"]))


class GCD(Discovering):
    """Vaze et al., 2022, CVPR, arXiv 2201.02609.

    Some classes have labels for some of their pictures, the other pictures may be of any class, new ones too. Every
    picture is contrasted with its other view and the labelled ones by class; then k-means, in which labelled pictures
    keep their cluster, groups all. Where the number of classes is not given it is searched for: the k whose clusters
    agree best with the labels. Without new classes take SupCon.

    Of a pre-trained encoder the paper trains the last block only; here the whole encoder learns.

    Args:
        encoder: image encoder, by name or as a module; the paper begins with DINO's weights.
        hidden, projection_dim: widths of the head's layers.
        weight_labelled: share of the contrast by class, in [0, 1].
        temperature, temperature_labelled: of the contrasts with views and by class, above 0.
        groups_count: number of classes; 0 for a search.
        restarts: of the clustering; 100 as released.
        views: recipe of random views.
        optimization: SGD as released.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "vit-b16",
        *,
        hidden: int = 2048,
        projection_dim: int = 256,
        weight_labelled: float = 0.35,
        temperature: float = 1.0,
        temperature_labelled: float = 0.07,
        groups_count: int = 0,
        restarts: int = 100,
        views: str = "simclr",
        optimization: Optimization = Optimization("sgd", lr=0.1, weight_decay=5e-5, decay_all=True, floor=1e-3),
    ) -> None:
        super().__init__(encoder, views, optimization)
        if not 0 <= weight_labelled <= 1 or groups_count < 0 or restarts < 1:
            raise ValueError(
                "weight_labelled must be in [0, 1], groups_count at least 0 and restarts at least 1; got "
                f"{weight_labelled}, {groups_count}, {restarts}"
            )
        self.head = MLPHead(self.features, hidden, projection_dim, layers=3, norm="none")
        self.weight_labelled, self.temperatures = weight_labelled, (temperature, temperature_labelled)
        self.groups_count, self.restarts = groups_count, restarts

    def loss(self, seen: Seen) -> dict[str, Tensor]:  # type: ignore[override]
        z1, z2 = self.gather(*together(self.network, seen.views))
        (labels,) = self.gather(seen.labels)
        plain, labelled = self.temperatures
        return gcd(
            z1,
            z2,
            labels,
            weight_labelled=self.weight_labelled,
            temperature=plain,
            temperature_labelled=labelled,
        )

    def groups(self, data: LabelledImages, *, seed: int = 0) -> np.ndarray:
        """Semi-supervised k-means of the representations, at length 1; new groups are numbered after the classes."""
        x, seen = unit(embed(self, data).array), data.seen
        known = seen >= 0
        k = self.groups_count or self.count_classes(data, seed=seed)
        found = semi_supervised_kmeans(x[~known], x[known], seen[known], k, seed=seed, restarts=self.restarts)
        names = np.unique(seen[known])
        numbers = np.concatenate([names, names.max() + 1 + np.arange(k - len(names))])
        groups = np.empty(len(x), np.int64)
        groups[known], groups[~known] = (numbers[part] for part in np.split(found.assignment, [int(known.sum())]))
        return groups

    def count_classes(self, data: LabelledImages, *, seed: int = 0) -> int:
        """How many classes there are, searched between those labelled and four times as many."""
        x, seen = unit(embed(self, data).array), data.seen
        least = len(np.unique(seen[seen >= 0]))
        return estimate_classes(x, seen, most=min(4 * least, len(x) // 2), seed=seed)
