"""Further measures of images: corruptions, few labels, neighbours, clusters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar.training import Data
from nearfar.vision.data import ImageArray
from nearfar.vision.measures import MEASURES, measure
from nearfar.vision.methods import SimCLR


def blocks(count: int, seed: int, splits: dict[str, Data] | None = None) -> ImageArray:
    """Three classes told apart by which third of the picture is bright."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 40, (count, 12, 12, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 * label : 4 * label + 4] += 180
    return ImageArray(images, labels, name="blocks", splits=splits)


@pytest.fixture(scope="module")
def data() -> ImageArray:
    return blocks(120, 0, {"test": blocks(60, 1)})


class Rows(torch.nn.Module):
    """A perfect representation of the blocks: how bright each third is."""

    out_features = 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(3))

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images
        return pixels.mean((1, 3)).unflatten(1, (3, -1)).mean(2) * self.scale


def method(encoder: torch.nn.Module | str) -> SimCLR:
    torch.manual_seed(0)
    built = SimCLR(encoder, projection_hidden=8, projection_dim=4)
    return built.eval()


def test_a_perfect_representation_gets_full_marks(data: ImageArray) -> None:
    perfect = method("small-conv")
    perfect.encoder = Rows()
    assert measure("neighbours", perfect, data) == {"precision@1 test": 1.0, "map@r test": pytest.approx(1.0)}
    assert measure("clusters", perfect, data)["accuracy test"] == 1.0
    assert measure("few-labels", perfect, data)["fine-tuned on 10% test"] > 0.9
    robust = measure("corruptions", perfect, data)
    assert robust["clean"] == 1.0
    assert robust["corrupted: brightness"] > 0.9
    assert 0 < robust["retained"] <= 1
    named = [value for name, value in robust.items() if name.startswith("corrupted: ")]
    assert robust["corrupted"] == pytest.approx(np.mean(named))


def test_a_blind_representation_does_not(data: ImageArray) -> None:
    class Blind(Rows):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images).roll(0) * 0 + images.float().flatten(1)[:, :3] * self.scale

    blind = method("small-conv")
    blind.encoder = Blind()
    noise = measure("neighbours", blind, data)
    assert noise["map@r test"] < 0.8
    assert measure("corruptions", blind, data)["clean"] < 0.9


def test_measures_need_labels_and_known_names(data: ImageArray) -> None:
    unlabelled = ImageArray(data.images, name="nothing known")
    for name in ("corruptions", "few-labels"):
        with pytest.raises(ValueError, match="labels"):
            measure(name, method("small-conv"), unlabelled)
    with pytest.raises(ValueError, match=f"no measure 'wisdom'.*{next(iter(MEASURES))}"):
        measure("wisdom", method("small-conv"), data)
