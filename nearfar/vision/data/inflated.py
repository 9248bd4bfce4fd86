"""Real images with generated ones beside them, and a generator small enough to be fitted on a processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from nearfar.training import Data
from nearfar.vision.data.arrays import ImageArray
from nearfar.vision.data.styled_digits import styled_digits
from nearfar.vision.method import ImageBatch

REAL_DIGITS, GENERATED_DIGITS = 300, 3000


class Inflated(Data):
    """Real images, and generated ones that are only met in training.

    Length, labels, identifiers and held-out sets are those of the real images, and so is what is embedded and
    evaluated. An epoch has as many examples as there are real ones, of which the share ``replicate * real / (replicate
    * real + generated)`` are real: what replicating the real images and shuffling them among the generated ones gives
    on average, but no real image is in an epoch twice.

    Args:
        real: images of one size, one picture of each thing.
        generated: (G, H, W, C) images of the same size, values as for :class:`ImageArray`.
        replicate: how many generated images a real one weighs, above 0: 10 in AdaInf, 1 for plain inflation.

    Raises:
        ValueError: sizes that differ, several pictures of each thing, no generated images, a replicate that is not
            positive.
    """

    gives = ImageBatch

    def __init__(self, real: Data, generated: np.ndarray, *, replicate: float = 10.0) -> None:
        made = ImageArray(generated)
        example = real.batch(np.zeros(1, np.int64)).images
        if example.ndim != 4 or example.shape[2:] != made.images.shape[1:3]:
            raise ValueError(
                f"real and generated images must be single pictures of one size, got {tuple(example.shape[1:])} and "
                f"{made.images.shape[1:]}"
            )
        if not replicate > 0 or len(made) == 0:
            raise ValueError(
                f"replicate must be above 0 and there must be generated images, got {replicate} and {len(made)}"
            )
        self.real, self.generated, self.replicate = real, made, replicate
        self.name, self.labels = f"{real.name}, inflated", real.labels

    def __len__(self) -> int:
        return len(self.real)

    def batch(self, indices: np.ndarray) -> ImageBatch:
        """Images at ``indices``; those from ``len(self)`` on are generated ones."""
        indices = np.asarray(indices)
        real = indices < len(self.real)
        parts = (self.real.batch(indices[real]).images, self.generated.batch(indices[~real] - len(self.real)).images)
        place = torch.from_numpy(np.argsort(np.argsort(~real, kind="stable")))
        return ImageBatch(torch.cat(parts)[place], torch.as_tensor(indices))

    def order(self, rng: np.random.Generator) -> np.ndarray:
        n, g = len(self.real), len(self.generated)
        weight = self.replicate * n
        count = int(rng.binomial(n, weight / (weight + g)))
        made = n + np.resize(rng.permutation(g), n - count)
        return rng.permutation(np.concatenate([rng.permutation(n)[:count], made]))

    @property
    def ids(self) -> np.ndarray:
        return self.real.ids

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.real.facts

    def splits(self) -> Mapping[str, Data]:
        return self.real.splits()


def imitations(images: np.ndarray, count: int, *, components: int = 48, modes: int = 8, seed: int = 0) -> np.ndarray:
    """New images like given ones: principal components, in them a mixture of Gaussians, and samples of that.

    An imperfect generator, on purpose: it knows the colours and the rough shapes and blurs what is fine.

    Args:
        images: (N, H, W, C) uint8.
        count: how many to make.
        components: principal components, at most N.
        modes: Gaussians in the mixture.
        seed: of the fit and of the samples.

    Returns:
        (count, H, W, C) uint8.
    """
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    flat = images.reshape(len(images), -1) / 255
    axes = PCA(min(components, len(images)), random_state=seed).fit(flat)
    mixture = GaussianMixture(modes, reg_covar=1e-4, random_state=seed).fit(axes.transform(flat))
    sampled = axes.inverse_transform(mixture.sample(count)[0])
    made = np.random.default_rng(seed).permutation(np.clip(sampled, 0, 1))  # samples come mode after mode
    return np.round(made * 255).astype(np.uint8).reshape(count, *images.shape[1:])


def inflated_digits(size: int, *, replicate: float = 10.0, seed: int = 0) -> Inflated:
    """A few hundred styled digits and ten times as many imitations of them; other digits are held out."""

    def digits(split: str, styles: str, styles_seed: int) -> ImageArray:
        pixels, labels, ids = styled_digits(split, styles, size=size, seed=styles_seed)
        return ImageArray(pixels, labels, ids=ids, name=f"styled digits, {styles} styles")

    pixels, labels, ids = styled_digits("train", "seen", size=size, seed=0)
    few = np.sort(np.random.default_rng(seed).permutation(len(ids))[:REAL_DIGITS])
    held_out = {"seen styles": digits("test", "seen", 1), "unseen styles": digits("test", "unseen", 2)}
    real = ImageArray(pixels[few], labels[few], ids=ids[few], name="styled digits", splits=held_out)
    return Inflated(real, imitations(pixels[few], GENERATED_DIGITS, seed=seed), replicate=replicate)
