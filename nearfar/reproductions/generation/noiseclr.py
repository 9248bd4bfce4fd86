"""NoiseCLR: directions that are told apart by what they do to pictures, found without labels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.generation.data import Blank, Pictures, load
from nearfar.generation.effects import effect_scores
from nearfar.generation.methods.noiseclr import NoiseCLR, NoisedPictures
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Method

SIDE, COUNT = 8, 24
WORDS = ("red", "green", "blue", "left", "right", "small")
"""What the model was taught, as the ceiling."""


class AttractionOnly(NoiseCLR):
    """A direction changes different pictures alike, and nothing keeps it from doing what another does."""

    def loss(self, views: NoisedPictures) -> Tensor:
        states = self.base.word_states(self.vectors[views.chosen[:1]])
        with torch.no_grad():
            untold = self.base.noise(views.x, views.t, self.base.states([""]))
        unit = F.normalize(self.edits(states, views, untold)[0], dim=1)
        first, second = torch.triu_indices(len(unit), len(unit), 1)
        alike = (unit @ unit.T)[first, second] / self.temperature
        return -alike.exp().mean().log()


def attributes(pixels: np.ndarray) -> np.ndarray:
    """(N, 6) of pictures (N, H, W, 3) uint8: where what stands out lies, how much of it there is, and its colour."""
    x = pixels.astype(np.float64) / 255
    ground = np.median(x, axis=(1, 2), keepdims=True)
    out = np.maximum(np.abs(x - ground).sum(3) - 0.15, 0)  # what is below is the rest of noise
    mass = out.sum((1, 2)) + 1e-6
    place = np.arange(x.shape[1]) - (x.shape[1] - 1) / 2
    across, up = (out * place).sum((1, 2)) / mass, (out * place[:, None]).sum((1, 2)) / mass
    colour = (out[..., None] * (x - ground)).sum((1, 2)) / mass[:, None]
    return np.column_stack([across, up, mass, colour])


def judged(method: Method, seed: int) -> dict[str, float]:
    """What directions do to the attributes of new pictures."""
    assert isinstance(method, NoiseCLR)
    made = [*method.eval().generate(Blank(COUNT), seed=seed, batch_size=COUNT)]
    found = {name: attributes(np.stack([each.things[name].picture() for each in made])) for name in made[0].things}
    plain = found.pop("")
    return dict(effect_scores((np.stack([*found.values()]) - plain) / (plain.std(0) + 1e-6)))


def taught(method: NoiseCLR) -> NoiseCLR:
    """The same with words that the model knows as its directions."""
    ids = method.base.tokenizer.convert_tokens_to_ids([*WORDS])
    with torch.no_grad():
        method.vectors.copy_(method.base.table()[ids])
    return method


def run(seed: int) -> dict[str, dict[str, float]]:
    data = load(size=SIDE, examples=100, data_seed=seed)
    assert isinstance(data, Pictures)
    method = build("noiseclr", data, seed)
    found = {"random vectors": judged(method, seed)}
    found["noiseclr"] = judged(train("noiseclr", method.train(), data, seed), seed)
    assert isinstance(method, NoiseCLR)
    found["known words"] = judged(taught(method), seed)
    alone = build("noiseclr", data, seed, AttractionOnly)
    found["attraction only"] = judged(train("noiseclr", alone, data, seed), seed)
    return found


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""A text-to-picture diffusion of {SIDE}-pixel sprites (one coloured shape each) that was taught their
    captions and then stays as it is; 100 pictures without captions; six directions, all others compared with the one
    asked, 150 steps of 6 pictures. Every arm begins with the same random vectors; "random vectors" are these untouched,
    "attraction only" leaves out the other directions, "known words" are six words of the captions. {COUNT} new pictures
    are changed along each direction with a scale of 5, and what counts is the change of six attributes measured in the
    pixels: place across and up, mass, and three of colour, each over its spread. Told apart is the share of changes
    nearest to the mean change of their own direction; chance is 1/6.""",
    claims=(
        Claim(
            "Directions are told apart by what they change better than random vectors",
            "noiseclr",
            "random vectors",
            "told apart",
        ),
        Claim(
            "A direction changes different pictures more alike than a random vector",
            "noiseclr",
            "random vectors",
            "consistency",
        ),
        Claim(
            "Other directions to be different from keep them apart",
            "noiseclr",
            "attraction only",
            "told apart",
            role="ablation",
        ),
        Claim(
            "Directions overlap less than with attraction alone",
            "noiseclr",
            "attraction only",
            "overlap",
            better="lower",
            role="ablation",
        ),
        Claim(
            "Words that the model knows are told apart", "known words", "random vectors", "told apart", role="sanity"
        ),
    ),
)
