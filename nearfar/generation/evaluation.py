"""How generating systems are judged: against references, as a set against real things, and by their codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nearfar.evaluation import dci, frechet_distance, psnr, ssim
from nearfar.generation.data.pictures import Pictures
from nearfar.generation.features import feature_encoder, features
from nearfar.generation.made import Made, Picture
from nearfar.generation.writing import asked
from nearfar.system import Scores
from nearfar.training import Data, Method, embed

COUNT = 128
"""Examples of the held-out part that things are made of."""
REAL = 512


def evaluate(method: Any, data: Data, *, seed: int = 0) -> Scores:
    """What is made of held-out examples, measured.

    Returns:
        Where there are references ``psnr`` in decibels and ``ssim``; of pictures ``frechet <encoder>`` between what was
        made and pictures of the collection; of systems that embed, and data whose factors are known, the scores of
        :func:`factor_scores`.
    """
    made = [*method.generate(asked(data).sample(COUNT), seed=seed)]
    scores = fidelity(made)
    if isinstance(made[0].thing, Picture):
        scores.add(distance([each.thing for each in made], real_pictures(data)))
    if "embeds" in method.verbs:
        scores.add(factor_scores(method, asked(data), seed=seed))
    return scores


def fidelity(made: Sequence[Made]) -> Scores:
    """``psnr`` (dB) and ``ssim`` of pictures with references; empty where there are none."""
    pairs = [
        (each.thing.pixels, each.reference.pixels)
        for each in made
        if isinstance(each.thing, Picture) and isinstance(each.reference, Picture)
    ]
    same = [(a, b) for a, b in pairs if a.shape == b.shape]
    if not same:
        return Scores()
    a, b = (np.stack([pair[side] for pair in same]) for side in (0, 1))
    # An exact copy would make the mean infinite.
    found = {"psnr": float(np.minimum(psnr(a, b), 100.0).mean())}
    if min(a.shape[1:3]) >= 7:
        found["ssim"] = float(ssim(a, b).mean())
    return Scores(found)


def distance(made: Sequence[Any], real: np.ndarray, encoder: str = "random") -> Scores:
    """``frechet <encoder>`` between made pictures and real ones (N, H, W, 3) uint8; lower is better."""
    name = f"frechet {feature_encoder(encoder)[0]}"
    if len(made) < 2 or len(real) < 2:
        return Scores()
    theirs = features(np.stack([each.picture() for each in made]), encoder)
    return Scores({name: frechet_distance(theirs, features(real, encoder))}, lower=[name])


def by_condition(method: Any, data: Data, *, seed: int = 0) -> Scores:
    """New pictures of held-out conditions: their :func:`distance` from real ones, and :func:`agreement`."""
    made = [*method.generate(asked(data).sample(COUNT), seed=seed)]
    return distance([each.thing for each in made], real_pictures(data)).add(agreement(made, data))


def agreement(made: Sequence[Made], data: Data, *, count: int = 1500) -> Scores:
    """``agreement``: the share of made pictures whose class is recognised as that of their example.

    A support vector machine recognises it, taught up to ``count`` pictures of the collection. Empty where classes are
    not known.
    """
    part = data.sample(count)
    batch = part.batch(np.arange(len(part)))
    labels = batch.labels.numpy()
    wanted = np.array([each.said.get("label", -1) for each in made])
    if len(np.unique(labels[labels >= 0])) < 2 or not (wanted >= 0).any():
        return Scores()
    from sklearn.svm import SVC

    def rows(pixels: np.ndarray) -> np.ndarray:
        return pixels.reshape(len(pixels), -1) / 255.0

    machine = SVC(C=10.0).fit(rows(batch.images.permute(0, 2, 3, 1).numpy()[labels >= 0]), labels[labels >= 0])
    found = machine.predict(rows(np.stack([each.thing.picture() for each in made])[wanted >= 0]))
    return Scores({"agreement": float((found == wanted[wanted >= 0]).mean())})


def real_pictures(data: Data, count: int = REAL) -> np.ndarray:
    """Up to ``count`` pictures (N, H, W, 3) uint8 of a collection, the same ones every time."""
    part = data.sample(count)
    return part.batch(np.arange(len(part))).images.permute(0, 2, 3, 1).cpu().numpy()


def factor_scores(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """``disentanglement``, ``completeness``, ``informativeness`` of codes; empty where no factors are known."""
    if not isinstance(data, Pictures) or data.factors is None or len(data) < 20:
        return Scores()
    classes = [n for n in range(data.factors.shape[1]) if (data.factors[:, n] % 1 == 0).all()]
    return Scores(dci(embed(method, data).array, data.factors, discrete=classes, seed=seed).scores())
