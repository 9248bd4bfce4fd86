"""CARE: augmentations become rotations, and what they change can still be read from the representation."""

from __future__ import annotations

import colorsys

import numpy as np
import torch

from nearfar.catalogue import find
from nearfar.evaluation import LinearProbe, linear_regression_probe
from nearfar.reproductions.arms import arm, build
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Data, Method, embed
from nearfar.vision.data import ImageArray
from nearfar.vision.data.styled_digits import styled_digits
from nearfar.vision.method import ImageMethod

DRAWS = 8


def coloured_digits(split: str, seed: int) -> tuple[Data, np.ndarray]:
    """Handwriting in one colour on black, and the hue of each in [0, 1)."""
    ink, labels, _ = styled_digits(split, "clean", size=16)
    hues = np.random.default_rng([seed, split == "test"]).random(len(ink))
    colours = np.array([colorsys.hsv_to_rgb(hue, 0.9, 1.0) for hue in hues])
    return ImageArray(ink / 255 * colours[:, None, None], labels, name="coloured digits"), hues


def rotation_residual(before: np.ndarray, after: np.ndarray) -> float:
    """How badly one rotation (or reflection) carries ``before`` (N, D) to ``after``, as a share of the latter's spread.

    The rotation is fitted on half of the rows (Wahba's problem) and judged on the other half; 0 is exact, and 1 is no
    better than the mean.
    """
    half = len(before) // 2
    left, _, right = np.linalg.svd(before[:half].T @ after[:half])
    error = before[half:] @ (left @ right) - after[half:]
    return float((error**2).sum() / ((after[half:] - after[half:].mean(0)) ** 2).sum())


def projected(method: ImageMethod, images: torch.Tensor) -> np.ndarray:
    """Projections of length 1."""
    z = torch.nn.functional.normalize(method.head(method.encoder(images)), dim=1)
    return z.double().numpy()


def run(seed: int) -> dict[str, dict[str, float]]:
    (train, train_hues), (test, test_hues) = coloured_digits("train", seed), coloured_digits("test", seed)

    def circle(hues: np.ndarray) -> np.ndarray:
        return np.stack([np.cos(2 * np.pi * hues), np.sin(2 * np.pi * hues)], 1)

    def measure(method: Method) -> dict[str, float]:
        assert isinstance(method, ImageMethod)
        seen, unseen = embed(method, train), embed(method, test)
        probe = LinearProbe(seed=0).fit(seen.array, train.labels)
        hue = linear_regression_probe(seen.array, circle(train_hues), unseen.array, circle(test_hues))
        images = test.batch(np.arange(len(test))).images
        alike = method.recipes[0].with_(batch_same=True)
        residuals = []
        with method.frozen():
            still = projected(method, images)
            for draw in range(DRAWS):
                generator = torch.Generator().manual_seed(draw)
                residuals.append(rotation_residual(still, projected(method, alike(images, generator))))
        return {
            "linear": float(probe.score(unseen.array, test.labels)),
            "hue R2": float(hue.r2),
            "rotation residual": float(np.mean(residuals)),
        }

    longer = {"steps": 2 * find("simclr").laptop["steps"]}
    return {
        "care": arm("care", train, seed, measure),
        "no equivariance": arm("care", train, seed, measure, weight=0.0),
        "simclr": arm("simclr", train, seed, measure, settings=longer),
        "untrained": measure(build("care", train, seed).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""scikit-learn's handwriting at 16 px in colours of random hue on black; a four-layer conv net, 500 steps
    of 128, AdamW. CARE's steps take four passes of the encoder and SimCLR's two, so SimCLR has 1,000 steps; one arm is
    CARE with the weight 0. Rotation residual: the error of the best rotation between the projections of 500 other
    digits and of the same under one random augmentation of all, as a share of their spread, mean of {DRAWS}
    augmentations. Hue R2: of a linear regression of the hue's sine and cosine on the representation.""",
    explanation="""Contrast alone already takes the residual from 1.3 to 0.2 and leaves the hue to be read (R2
    0.98): on these digits there is little that a rotation could explain better. The weight is not the reason: on
    training digits held apart the residual is 0.191 without the term, 0.196 with the released weight, 0.192 with
    ten and 0.187 with a hundred times as much.""",
    claims=(
        Claim("CARE beats its untrained encoder", "care", "untrained", "linear", role="sanity"),
        Claim("augmentations act more like rotations", "care", "no equivariance", "rotation residual", better="lower"),
        Claim("more of the hue is left in the representation", "care", "no equivariance", "hue R2"),
        Claim("it is as accurate as SimCLR at equal cost, up to 0.02", "care", "simclr", "linear", margin=-0.02),
    ),
)
