"""CoLLD: contrast of layers teaches a small encoder more than regression does."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.audio.data import Sounds
from nearfar.audio.data.generated import words
from nearfar.audio.methods.colld import CoLLD, Hidden
from nearfar.encoders.mel import LogMel
from nearfar.encoders.speech import FrameTransformer, speech_network
from nearfar.evaluation import LinearProbe
from nearfar.reproductions.arms import arm, build, shared
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Method, embed

STEPS, TEACHER_STEPS = 80, 120
AUDIO, INDEX = shared("fsdd/audio.flac"), shared("fsdd/index.npz")
HELD_OUT = 2
TAKES = 12
DIGITS = (
    f"FSDD: ten digits at 8 kHz, {TAKES} takes each by four speakers for training, by {HELD_OUT} others for test"
    if AUDIO
    else "Generated words: ten, said by 30 speakers for training and by ten others for test"
)


class Regression(CoLLD):
    """The usual distillation of layers (DistilHuBERT): absolute differences, and the cosine by a log-sigmoid."""

    def compared(self, predicted: Tensor, targets: Tensor, views: Hidden) -> Tensor:
        apart = (predicted - targets).abs().mean(2)
        lost = apart - F.logsigmoid(F.cosine_similarity(predicted, targets, dim=2))
        return lost[views.mask].mean()


@functools.cache
def data() -> Sounds:
    if AUDIO is None or INDEX is None:
        return words()
    import soundfile

    waves, rate = soundfile.read(AUDIO, dtype="int16")
    index = np.load(INDEX, allow_pickle=False)
    ends, take, who = index["off"], index["take"], np.unique(index["speaker"], return_inverse=True)[1]

    def part(rows: np.ndarray, name: str, **splits: Sounds) -> Sounds:
        cut = [waves[ends[row] : ends[row + 1]] for row in rows]
        return Sounds(cut, rate, index["digit"][rows], name=name, splits=splits)

    used, unseen = take < TAKES, who >= who.max() + 1 - HELD_OUT
    return part(np.flatnonzero(used & ~unseen), "digits", test=part(np.flatnonzero(used & unseen), "digits test"))


def taught(seed: int) -> FrameTransformer:
    """A teacher of six layers that learned the words of the training set from their labels."""
    torch.manual_seed(seed)
    frame = build("colld", data(), seed)
    assert isinstance(frame, CoLLD)
    names, y = np.unique(np.asarray(data().labels), return_inverse=True)
    teacher = speech_network("small-speech", frame.encoder.front.mel.bands)
    head = nn.Linear(teacher.out_features, len(names))
    optimizer = torch.optim.Adam([*teacher.parameters(), *head.parameters()], 1e-3)
    rng = np.random.default_rng(seed)
    front: LogMel = frame.encoder.front
    for _ in range(TEACHER_STEPS):
        rows = rng.choice(len(y), 48, replace=False)
        with torch.no_grad():
            spectrogram = front(frame.segments(data().batch(rows), 1)[0])
        loss = F.cross_entropy(head(teacher(spectrogram)), torch.from_numpy(y[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return teacher.eval()


def measure(method: Method) -> dict[str, float]:
    """Accuracy of a linear probe of the words, tested on speakers who were never heard."""
    test = data().splits()["test"]
    probe = LinearProbe(C_grid=(0.1,)).fit(embed(method, data()).array, np.asarray(data().labels))
    return {"probe": probe.score(embed(method, test).array, np.asarray(test.labels))}


def run(seed: int) -> dict[str, dict[str, float]]:
    teacher = taught(seed)
    common: dict[str, Any] = {"settings": {"steps": STEPS}, "teacher": teacher, "rate": data().rate}
    return {
        "colld": arm("colld", data(), seed, measure, cls=CoLLD, **common),
        "regression": arm("colld", data(), seed, measure, cls=Regression, **common),
        "nothing hidden": arm("colld", data(), seed, measure, cls=CoLLD, masked=False, **common),
        "untrained": measure(build("colld", data(), seed).eval()),
        "teacher": measure(build("colld", data(), seed, encoder=teacher).eval()),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting=f"""{DIGITS}. A transformer of six layers of width 96 learns the words from labels, {TEACHER_STEPS} steps of
    48 stretches of 0.6 seconds, and is frozen. Students of two layers, which begin with two of its layers, learn from
    it without labels, {STEPS} steps, every arm with the same hidden stretches. A linear probe of fixed strength finds
    the words in the student's mean over time. The paper distils w2v-BERT and measures translation and recognition.""",
    claims=(
        Claim("contrast of layers beats their regression", "colld", "regression", "probe"),
        Claim("hiding the student's input helps", "colld", "nothing hidden", "probe", role="ablation"),
        Claim("the student beats an untrained one", "colld", "untrained", "probe", role="sanity"),
        Claim("the teacher is the ceiling", "teacher", "colld", "probe", role="sanity"),
    ),
    explanation="""The teacher learned one word for each sound, so much of what its layers say is likely the same at
    every step. Regression copies that, and contrast among the steps of one sound cannot see it. The paper's teacher
    learned hidden steps without labels; one that did so for as many steps here was no better than an untrained one.""",
)
