"""How what was spoken is judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import wasserstein_distance
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nearfar.generation.method import BATCH, Draws
from nearfar.generation.speaking import Speaker, lengthened, there
from nearfar.generation.speech_diffusions import SpeechViews
from nearfar.generation.writing import asked
from nearfar.sources.data import Data, in_order
from nearfar.system import Scores
from nearfar.training.embed import to_device


def speech_scores(method: Any, data: Data, *, seed: int) -> Scores:
    """Of held-out utterances whose phonemes are known, each spoken after a prompt by its speaker:

    - ``mel distortion``: root mean squared error of spectrograms that are spoken in the true durations, on the
      scale of their channels' deviations;
    - ``duration distance``: Wasserstein's, of the logarithms of drawn durations from those of the true ones; lower
      is better for both;
    - ``phone retrieval``: how often a frame of S has a frame of its own phoneme nearest among the batch's frames
      of P; not of a ``direct`` run.

    Empty where no held-out utterance has its phonemes written down.

    Args:
        method: which speaks; its device and frozen state are worked in.
        data: its held-out part is taken.
        seed: of what is drawn.
    """
    errors, drawn, true, right = [], [], [], []
    for _, batch in in_order(asked(data).sample(64), BATCH):
        batch = to_device(batch, method.device)
        views = method.views(batch)
        if not len(views.known):
            continue
        rows = views.known.tolist()
        mels, prompts = ([each[n] for n in rows] for each in (views.mels, views.prompts))
        with method.frozen():
            made, _ = method.speak(views.phones, prompts, Draws(seed, batch.rows[views.known]), views.frames)
            _, lasts = method.speak(views.phones, prompts, Draws(seed, batch.rows[views.known]))
            right.append(phone_retrieval(method.encoder, mels, views))
        scale = method.encoder.of_sound.deviation
        errors += [((a - b) / scale).square().mean().sqrt().item() for a, b in zip(made, mels, strict=True)]
        drawn += lasts
        true += views.frames
    if not errors:
        return Scores()
    logs = [torch.cat(each).float().log().cpu().numpy() for each in (drawn, true)]
    found = {"mel distortion": float(np.mean(errors)), "duration distance": float(wasserstein_distance(*logs))}
    scores = Scores(found, lower=[*found])
    return scores if method.direct else scores.add(Scores({"phone retrieval": float(torch.cat(right).mean())}))


def phone_retrieval(speaker: Speaker, mels: Sequence[Tensor], views: SpeechViews) -> Tensor:
    """(frames,) 0 or 1: whether the nearest frame of P is of the frame's own phoneme.

    Args:
        speaker: whose encoders of sounds and of phonemes are asked.
        mels: W x (T, bands) spectrograms of the W utterances whose phonemes are known.
        views: their phonemes and how long each lasts.
    """
    mask = there(mels)
    spoken = lengthened(pad_sequence(views.phones, True)[..., None], views.frames)[..., 0]
    sound = F.normalize(speaker.sound(pad_sequence(list(mels), True), mask)[mask], dim=1)
    text = F.normalize(speaker.text(speaker.phones(spoken), mask)[mask], dim=1)
    phones = spoken[mask]
    return (phones[(sound @ text.T).argmax(1)] == phones).float()
