"""How much of the accuracy survives when pictures are noisy, blurred, foggy, pixelated."""

from __future__ import annotations

import numpy as np
import torch

from nearfar.evaluation import CORRUPTIONS, LinearProbe, corrupt
from nearfar.training import Data, Method, embed
from nearfar.vision.data import ImageArray
from nearfar.vision.evaluation import split

SEVERITIES = (1, 2, 3, 4, 5)
SAMPLE = 1000


def corruptions(method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """Accuracy of a linear probe, fitted on clean pictures, on corrupted ones of the first held-out set.

    The corruptions and strengths of CIFAR-10-C, as far as they need no photographs (see
    :func:`nearfar.evaluation.corrupt`), on at most 1,000 pictures. For mCE, which needs a reference model, give
    1 minus these numbers to :func:`nearfar.evaluation.corruption_error`.

    Returns:
        ``clean``, the accuracy without corruption; ``corrupted``, the mean over corruptions and severities;
        ``retained``, the second over the first; ``corrupted: <name>``, the mean over the severities of one. All
        in [0, 1].

    Raises:
        ValueError: data without labels or held-out pictures.
    """
    train, held_out = split(data, seed)
    test = next((each for each in held_out.values() if each.labels is not None), None)
    if train.labels is None or test is None:
        raise ValueError(f"corruptions are measured by a probe, and {data.name} has no labels to fit and test one")
    test = test.sample(SAMPLE, seed=seed)
    known = embed(method, train)
    probe = LinearProbe(seed=seed).fit(known.array, known.labels)
    pixels = test.batch(np.arange(len(test))).images
    pixels = (pixels[:, 0] if pixels.ndim == 5 else pixels).permute(0, 2, 3, 1).numpy()

    def accuracy(images: np.ndarray) -> float:
        return float(probe.score(embed(method, ImageArray(images)).array, test.labels))

    clean = accuracy(pixels)
    scores = {
        f"corrupted: {name}": float(
            np.mean([accuracy(corrupt(torch.from_numpy(pixels), name, s, seed)) for s in SEVERITIES])
        )
        for name in CORRUPTIONS
    }
    mean = float(np.mean([*scores.values()]))
    return {"clean": clean, "corrupted": mean, "retained": mean / clean if clean else 0.0, **scores}
