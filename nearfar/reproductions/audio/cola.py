"""COLA: stretches of one recording found among others beat a triplet loss, by a learned product more than a cosine."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.audio.data import Sounds
from nearfar.audio.data.generated import noises
from nearfar.audio.methods.cola import COLA
from nearfar.encoders.mel import Mel
from nearfar.evaluation import LinearProbe
from nearfar.reproductions.arms import arm, build, shared
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Method, embed

STEPS = 120
FOLDS = 5
RATE = 8000
MEL = Mel(bands=40, hop=0.02, fft=256)
AUDIO, INDEX = shared("esc10/audio.ogg"), shared("esc10/index.npz")
SCENES = "ESC-10: 400 clips of five seconds, ten classes, its own five folds" if AUDIO else "400 generated noises"


class Triplets(COLA):
    """The baseline of the paper: the other stretch is nearer than one of another recording, by a margin of 0.1."""

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        a, p = (F.normalize(h, dim=1) for h in self.head(self.encoder(torch.cat(views))).chunk(2))
        return F.relu((a - p).square().sum(1) - (a - p.roll(1, 0)).square().sum(1) + 0.1).mean()


@functools.cache
def scenes() -> tuple[Sounds, np.ndarray]:
    """Sounds of the surroundings, and the fold of each."""
    if AUDIO is None or INDEX is None:
        found = noises(400)
        return found, np.arange(len(found)) % FOLDS
    import soundfile
    import soxr

    index = np.load(INDEX, allow_pickle=False)
    waves, rate = soundfile.read(AUDIO, dtype="float32")
    clips = soxr.resample(waves, rate, RATE).reshape(len(index["y"]), -1)
    return Sounds([*clips], RATE, index["y"], name="ESC-10"), index["fold"]


def measure(method: Method) -> dict[str, float]:
    """Accuracy of a linear probe, the mean over the folds that it is tested on."""
    data, fold = scenes()
    x, y = embed(method, data).array, data.labels
    assert y is not None
    found = []
    for held in np.unique(fold):
        probe = LinearProbe(C_grid=(0.01,)).fit(x[fold != held], y[fold != held])
        found.append(probe.score(x[fold == held], y[fold == held]))
    return {"probe": float(np.mean(found))}


def run(seed: int) -> dict[str, dict[str, float]]:
    data, _ = scenes()
    common: dict[str, Any] = {"seconds": 1.0, "mel": MEL}
    cosine: dict[str, Any] = {**common, "similarity": "cosine"}
    settings = {"steps": STEPS}
    return {
        "cola": arm("cola", data, seed, measure, settings=settings, **common),
        "cosine": arm("cola", data, seed, measure, settings=settings, **cosine),
        "triplets": arm("cola", data, seed, measure, cls=Triplets, settings=settings, rate=data.rate, **cosine),
        "untrained": measure(build("cola", data, seed, **common).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting=f"""{SCENES}, at 8 kHz. Every arm learns from all clips without their labels, {STEPS} steps of 64 clips,
    stretches of a second with a frame every 20 ms, Adam 1e-3, four convolutions of widths 16 to 128 and a maximum over
    time and bands. A clip is the mean over its stretches; a linear probe of fixed strength is trained on four folds
    and tested on the fifth, in turn. The paper learns from AudioSet with EfficientNet-B0.""",
    claims=(
        Claim("COLA beats a triplet loss", "cola", "triplets", "probe"),
        Claim("a learned product beats the cosine", "cola", "cosine", "probe", role="ablation"),
        Claim("COLA beats the untrained network", "cola", "untrained", "probe", role="sanity"),
    ),
)
