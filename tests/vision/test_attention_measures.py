"""What is measured of a transformer's layers, and of any encoder's invariances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar.encoders import image_encoder
from nearfar.encoders.image import ImageEncoder
from nearfar.encoders.trace import trace
from nearfar.training import Method
from nearfar.vision.data import ImageArray, ShapeImages
from nearfar.vision.data.shapes import random_factors
from nearfar.vision.measures import measure
from nearfar.vision.measures.invariance import CHANGES, change_sets
from nearfar.vision.methods import SimCLR


def method(encoder: torch.nn.Module | str) -> Method:
    torch.manual_seed(0)
    return SimCLR(encoder, projection_hidden=8, projection_dim=4).eval()


@pytest.fixture(scope="module")
def data() -> ShapeImages:
    held_out = ShapeImages(random_factors(80, seed=1), 32)
    return ShapeImages(random_factors(120, seed=0), 32, splits={"test": held_out})


def test_a_trace_ends_where_the_encoder_does() -> None:
    torch.manual_seed(0)
    images = torch.rand(3, 3, 32, 32)
    encoder = image_encoder("vit-mini").eval()
    found = trace(encoder, images)
    assert [each.shape for each in found.attentions] == [(3, 4, 65, 65)] * 4
    assert all(torch.allclose(each.sum(-1), torch.ones(())) for each in found.attentions)
    assert torch.allclose(encoder.backbone.blocks.norm(found.tokens[-1])[:, 0], encoder(images), atol=1e-5)
    assert not found.tokens[0].requires_grad


def test_transformers_of_hugging_face_are_traced() -> None:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8
    )
    torch.manual_seed(0)
    model = ViTModel(config, add_pooling_layer=False).eval()
    images = torch.rand(2, 3, 32, 32)
    encoder = ImageEncoder(model)
    found = trace(encoder, images)
    assert [each.shape for each in found.attentions] == [(2, 2, 17, 17)] * 2
    assert torch.allclose(found.attentions[0].sum(-1), torch.ones(()))
    assert torch.allclose(model.layernorm(found.tokens[-1])[:, 0], encoder(images), atol=1e-5)


def test_a_network_without_attention_is_named(data: ShapeImages) -> None:
    for name in ("attention", "layers"):
        with pytest.raises(TypeError, match="SmallConvNet has no attention"):
            measure(name, method("small-conv"), data)


def test_attention_and_layers_of_a_small_transformer(data: ShapeImages) -> None:
    vit = method("vit-mini")
    found = measure("attention", vit, data)
    assert set(found) == {
        f"{name} layer {layer}"
        for name in (
            "distance",
            "position deviation",
            "head deviation",
            "on class",
            "offset",
            "iou class",
            "iou patches",
        )
        for layer in (1, 2, 3, 4)
    }
    # Untrained attention is nearly uniform: the mean distance on the unit square, a 65th on the class token.
    assert found["distance layer 1"] == pytest.approx(0.58, abs=0.06)
    assert found["on class layer 1"] == pytest.approx(1 / 65, abs=0.01)
    assert 0.1 < found["iou class layer 1"] < 0.6
    known = measure("layers", vit, data)
    assert known["cka with last layer 4"] == pytest.approx(1)
    assert all(0 <= known[f"{name} {part} layer 2"] <= 1 for name in ("knn", "nmi") for part in ("class", "patches"))
    plain = ImageArray(data.images[:40])
    assert not any(name.startswith("iou") for name in measure("attention", vit, plain))
    assert set(measure("layers", vit, plain)) == {f"cka with last layer {layer}" for layer in (1, 2, 3, 4)}


class Centre(torch.nn.Module):
    """Random projections of the middle pixels, which light changes and a new ground does not."""

    out_features = 64

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        middle = images[:, :, 15:17, 15:17].float().flatten(1)
        weights = torch.randn(middle.shape[1], 64, generator=torch.Generator().manual_seed(0))
        return middle @ weights * self.scale


def test_invariances_of_any_encoder_beside_their_null(data: ShapeImages) -> None:
    blind = method("small-conv")
    blind.encoder = Centre()
    found = measure("invariances", blind, data)
    assert set(found) == {name + suffix for name in CHANGES for suffix in ("", " shuffled")}
    for change in CHANGES:
        assert found[f"{change} shuffled"] < 35
    # The colour of the middle stays when the ground and the cover differ less than when the hue does.
    assert found["occlusion"] > found["occlusion shuffled"] + 20
    assert found["instance"] < found["occlusion"]


def test_within_a_set_only_the_named_factors_differ() -> None:
    pictures, sets = change_sets("illumination", 16)
    assert len(pictures) == len(sets) == 8 * 20 * 12
    assert all(len(np.unique(pictures.labels[sets == each])) == 1 for each in range(0, 160, 40))
    grey = pictures.images.astype(float).mean(-1).reshape(160, 12, -1)
    within = [np.corrcoef(each)[0, 1:].mean() for each in grey]
    assert np.median(within) > 0.9
