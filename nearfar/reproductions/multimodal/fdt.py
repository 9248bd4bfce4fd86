"""FDT: pictures and captions that meet in one set of tokens say more of what is in them than pooled features do."""

from __future__ import annotations

import numpy as np
import torch

from nearfar.evaluation import paired_retrieval
from nearfar.multimodal.data import CaptionedImages
from nearfar.multimodal.data.shape_scenes import COLORS, SHAPES, Scenes, describe, retrieval_gallery, shape_scenes
from nearfar.multimodal.method import DualEncoder
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.claims import Claim, Reproduction
from nearfar.reproductions.multimodal.small import small_text
from nearfar.training import Method

STEPS, BATCH, OBJECTS = 120, 64, 2


def one_concept_changed(scenes: Scenes, seed: int) -> dict[str, np.ndarray]:
    """The record of the scenes with another colour or another shape of one object of each."""
    rng = np.random.default_rng([seed, 7])
    changed = {name: values.copy() for name, values in scenes.attributes.items()}
    for row in range(len(scenes)):
        name, count = (("color", len(COLORS)), ("shape", len(SHAPES)))[int(rng.integers(2))]
        taken = changed[name][row]
        free = np.setdiff1d(np.arange(count), taken)
        changed[name][row, int(rng.integers(OBJECTS))] = rng.choice(free)
    return changed


def measure(method: Method, seed: int) -> dict[str, float]:
    """``R@1`` over 300 scenes of which no two mean the same, both directions averaged; ``completeness``, how often the
    caption scores above the same one with one concept swapped."""
    gallery = retrieval_gallery(300, seed=1000 + seed, objects=OBJECTS)
    right, wrong = describe(gallery.attributes, seed), describe(one_concept_changed(gallery, seed), seed)
    towers = method.encoder
    assert isinstance(towers, DualEncoder)
    with method.frozen():
        images = torch.from_numpy(gallery.images).permute(0, 3, 1, 2)
        pictures = torch.nn.functional.normalize(towers.embed_images(images), dim=1)
        texts, swapped = (torch.nn.functional.normalize(towers.embed_text(each), dim=1) for each in (right, wrong))
    found = paired_retrieval(pictures.numpy(), texts.numpy(), ks=(1,))
    better = (pictures * texts).sum(1) > (pictures * swapped).sum(1)
    return {
        "R@1": (found["a_to_b@1"] + found["b_to_a@1"]) / 2,
        "completeness": float(better.float().mean()),
    }


def run(seed: int) -> dict[str, dict[str, float]]:
    scenes = shape_scenes(5000, seed=seed, objects=OBJECTS)
    data = CaptionedImages(scenes.images, scenes.captions)

    def arm(slug: str, steps: int = STEPS) -> dict[str, float]:
        torch.manual_seed(seed)
        method = build(slug, data, seed, text_encoder=small_text())
        return measure(train(slug, method, data, seed, steps=steps, batch_size=BATCH), seed)

    torch.manual_seed(seed)
    return {
        "fdt": arm("fdt"),
        "clip": arm("clip"),
        "clip, twice as long": arm("clip", 2 * STEPS),
        "untrained": measure(build("fdt", data, seed, text_encoder=small_text()).eval(), seed),
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting=f"""5,000 drawn scenes of two coloured shapes with captions. A four-layer conv net (four cells of a map) and
    a two-layer transformer of width 64, {STEPS} steps of {BATCH}, the same for both; FDT has 128 tokens. Measured on
    300 other scenes of which no two mean the same: recall at 1 in both directions, and how often the caption is
    preferred to the same one with one colour or shape swapped (chance 0.5). CLIP trained twice as long shows what
    room there is.""",
    explanation="""Mixtures begin blind: scores of random towers hardly differ, and where the temperature lets only some
    tokens in, those left out get no gradient. On a seed of its own, CLIP's rate and steps gave R@1 of 0.04 with a
    quarter of the tokens in each caption at the start, 0.38 with four fifths and 0.43 with all of 128, so in 120 steps
    the contrast is learned late. The paper trains on 15 million pairs and more, and from 7 by 7 patches at least, where
    these towers have four cells.""",
    claims=(
        Claim("FDT retrieves better than CLIP", "fdt", "clip", "R@1"),
        Claim("FDT tells a caption from one with a swapped concept better than CLIP", "fdt", "clip", "completeness"),
        Claim("FDT beats its untrained towers", "fdt", "untrained", "R@1", role="sanity"),
        Claim("CLIP leaves room", "clip, twice as long", "clip", "R@1", role="sanity"),
    ),
)
