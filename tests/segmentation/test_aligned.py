"""Aligned appearances: one geometry for every view, and features that agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar.reproductions.arms import build, train
from nearfar.segmentation.alignment import alignment
from nearfar.segmentation.data import load
from nearfar.segmentation.encoders import SegFormerPyramid, pyramid_encoder
from nearfar.segmentation.evaluation import evaluate
from nearfar.segmentation.geometry import Crop, flip_together
from nearfar.segmentation.heads import DAFormerHead, SegFormerHead, decoder_head, join
from nearfar.segmentation.method import SceneBatch, cross_entropy, draw_appearances


@pytest.fixture(scope="module")
def street():
    return load(size=32, scenes=24)


def test_training_segments_better_than_the_untrained_network(street) -> None:
    method = build("aligned-segmentation", street, 0)
    before = evaluate(method.eval(), street)
    method.train()
    train("aligned-segmentation", method, street, 0, steps=60, batch_size=4)
    after = evaluate(method, street)
    assert after["miou seen appearances"] > before["miou seen appearances"] + 0.1
    assert 0 < after["agreement unseen appearances"] <= 1
    assert after["ece seen appearances"] < before["ece seen appearances"] + 0.3


def test_alignment_brings_features_of_two_appearances_closer(street) -> None:
    distances = {}
    for weight in (0.0, 5.0):
        method = build("aligned-segmentation", street, 0, alignment=weight)
        train("aligned-segmentation", method, street, 0, steps=20)
        probe = build("aligned-segmentation", street, 0, alignment=1.0).eval()
        probe.load_state_dict(method.state_dict())
        probe.seed_step(0, 0)
        with torch.no_grad():
            distances[weight] = float(probe.loss(probe.views(street.batch(np.arange(16))))["alignment"])
    assert distances[5.0] < distances[0.0]


def test_views_are_two_different_appearances_under_one_geometry(street) -> None:
    # Appearance a of scene n shows 10 * a everywhere but in its left column, so both facts can be read off.
    images = torch.zeros(40, 4, 3, 4, 6, dtype=torch.uint8)
    for appearance in range(4):
        images[:, appearance] = 10 * appearance
    images[..., 0] += 100
    labels = torch.zeros(40, 4, 6, dtype=torch.long)
    labels[..., 0] = 1
    method = build("aligned-segmentation", street, 0)
    method.seed_step(0, 0)
    a, b, y = method.views(SceneBatch(images, labels, torch.arange(40)))
    assert (a[:, 0, 0, 2] != b[:, 0, 0, 2]).all()
    for view in (a, b):
        marked = view[:, 0] >= 100
        assert torch.equal(marked, y == 1)
    assert 5 < int((y[:, 0, 0] == 0).sum()) < 35  # about half of the scenes were mirrored


def test_scenes_with_one_appearance_are_shown_twice() -> None:
    images = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1, 1).expand(3, 1, 3, 2, 2)
    drawn = draw_appearances(images, 2, torch.Generator().manual_seed(0))
    assert drawn.shape == (3, 2, 3, 2, 2)
    assert torch.equal(drawn[:, 0], drawn[:, 1])


@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.5, 2.0)])
def test_a_window_cuts_every_appearance_and_the_label_alike(scale: tuple[float, float]) -> None:
    # The picture is its own label: 200 where the label is 1.
    labels = torch.zeros(6, 32, 64, dtype=torch.long)
    labels[:, 8:24, 20:50] = 1
    images = (200 * labels).to(torch.uint8)[:, None, None].expand(6, 3, 3, 32, 64)
    crop = Crop(size=(16, 24), scale=scale, max_share=1.0)
    cut, y = crop(images, labels, torch.Generator().manual_seed(0))
    assert cut.shape == (6, 3, 3, 16, 24)
    assert y.shape == (6, 16, 24)
    assert torch.equal(cut[:, 0], cut[:, 2])
    # Away from edges, where interpolation mixes, they agree to the pixel.
    same = (cut[:, 0, 0] > 100) == (y == 1)
    assert same.float().mean() > (0.999 if scale == (1.0, 1.0) else 0.97)
    again, _ = crop(images, labels, torch.Generator().manual_seed(0))
    assert torch.equal(cut, again)


def test_a_window_is_drawn_again_until_it_shows_enough() -> None:
    labels = torch.zeros(64, 32, 64, dtype=torch.long)
    labels[:, :, 32:] = 1
    labels[:, 4:8, 4:8] = 2
    images = torch.zeros(64, 1, 3, 32, 64, dtype=torch.uint8)
    found = {}
    for share in (0.75, 1.0):
        _, y = Crop(size=(16, 16), max_share=share)(images, labels, torch.Generator().manual_seed(0))
        found[share] = float(((y == 0).flatten(1).float().mean(1) > 0.75).float().mean())
    assert found[0.75] < found[1.0] / 2
    rare = torch.full((64,), 2)
    crop = Crop(size=(16, 16), max_share=1.0)
    shown = [
        float(
            (crop(images, labels, torch.Generator().manual_seed(0), rare=r, rare_pixels=4)[1] == 2)
            .flatten(1)
            .any(1)
            .float()
            .mean()
        )
        for r in (None, rare)
    ]
    assert shown[1] > 3 * shown[0] > 0


def test_crop_refuses_what_makes_no_window() -> None:
    for bad, match in (
        ({"size": (0, 4)}, "crop.size must be"),
        ({"scale": (2.0, 1.0)}, "crop.scale must be"),
        ({"flip": 1.5}, "crop.flip must be in"),
    ):
        with pytest.raises(ValueError, match=match):
            Crop(**bad)


def test_flipping_keeps_images_and_labels_together() -> None:
    images = torch.arange(6).view(1, 1, 1, 1, 6).expand(8, 2, 3, 2, 6)
    labels = torch.arange(6).view(1, 1, 6).expand(8, 2, 6)
    flipped, y = flip_together(images, labels, torch.Generator().manual_seed(0))
    assert torch.equal(flipped[:, 0, 0], y)


def test_alignment_sums_weighted_depths_and_holds_what_it_is_told_to() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(4, 3, 8, 8, dtype=torch.float64, requires_grad=True) for _ in range(2)]

    def slow(m: torch.Tensor) -> torch.Tensor:
        return torch.stack([1 - F.cosine_similarity(m[i], m[i + 2], dim=0).mean() for i in range(2)]).mean()

    found = alignment(maps, (0, 1), layer_weights=(0.5, 2.0))
    assert torch.allclose(found, 0.5 * slow(maps[0]) + 2 * slow(maps[1]))
    for held, still in (("a", slice(0, 2)), ("b", slice(2, 4))):
        (grad,) = torch.autograd.grad(alignment(maps, (1,), stop_gradient=held), maps[1])
        moving = slice(2, 4) if held == "a" else slice(0, 2)
        assert (grad[still] == 0).all()
        assert (grad[moving] != 0).any()
    labels = torch.full((2, 16, 16), 255)
    labels[:, :8] = 3
    masked = alignment(maps, (0,), labels=labels)
    assert torch.allclose(masked, slow(maps[0][:, :, :4]))
    for bad, match in (
        ({"layers": (5,)}, "layers must be depths"),
        ({"layers": (0,), "layer_weights": (1.0, 2.0)}, "layer_weights must be one for each"),
        ({"layers": (0,), "stop_gradient": "both"}, "stop_gradient must be"),
    ):
        with pytest.raises(ValueError, match=match):
            alignment(maps, **bad)


def test_cross_entropy_averages_as_asked() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 2, 2)
    labels = torch.tensor([[[0, 255], [1, 255]]])
    expected = F.cross_entropy(logits[:, :, :, 0], labels[:, :, 0])
    assert torch.allclose(cross_entropy(logits, labels, average="valid"), expected)
    assert torch.allclose(cross_entropy(logits, labels), expected / 2)
    weight = torch.tensor([[[2.0, 9.0], [0.0, 9.0]]])
    assert torch.allclose(
        cross_entropy(logits, labels, weight), F.cross_entropy(logits[:, :, 0, :1], labels[:, 0, :1]) / 2
    )
    assert cross_entropy(logits, torch.full((1, 2, 2), 255), average="valid") == 0
    with pytest.raises(ValueError, match="average must be"):
        cross_entropy(logits, labels, average="mean")


def test_backbones() -> None:
    torch.manual_seed(0)
    encoder = pyramid_encoder("segformer-b0").eval()
    with torch.no_grad():
        maps = encoder.maps(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert [tuple(m.shape[1:]) for m in maps] == [(32, 16, 16), (64, 8, 8), (160, 4, 4), (256, 2, 2)]
    assert isinstance(encoder.backbone, SegFormerPyramid)
    with pytest.raises(ValueError, match="unknown encoder 'segformer-b9'"):
        pyramid_encoder("segformer-b9")
    with pytest.raises(ValueError, match="widths of its feature maps"):
        pyramid_encoder(torch.nn.Identity())


def test_the_fast_decoder_is_the_plain_one() -> None:
    torch.manual_seed(0)
    head = SegFormerHead((4, 8), 3, width=6).eval().double()
    maps = [torch.randn(2, 4, 8, 8, dtype=torch.float64), torch.randn(2, 8, 4, 4, dtype=torch.float64)]
    plain = head.classify(head.after(head.fuse(join(head.project, maps))))
    assert torch.allclose(head(maps), plain)


def test_daformers_decoder_looks_further_than_segformers() -> None:
    torch.manual_seed(0)
    reach = {}
    for name in ("segformer", "daformer", "daformer-conv"):
        head = decoder_head(name, (4, 4), 3, width=8).eval()
        maps = [torch.randn(1, 4, 41, 41, requires_grad=True), torch.randn(1, 4, 41, 41)]
        (grad,) = torch.autograd.grad(head(maps)[0, :, 20, 20].sum(), maps[0])
        reach[name] = int((grad[0].abs().sum(0) > 0).any(0).sum())
    assert reach["segformer"] == reach["daformer-conv"] == 1
    assert reach["daformer"] > 9
    assert len(DAFormerHead((4, 4), 3, width=8).branches) == 4
    with pytest.raises(ValueError, match="decoder must be one of"):
        decoder_head("fcn", (4,), 3, width=8)


def test_the_decoder_learns_at_its_own_rate(street) -> None:
    method = build("aligned-segmentation", street, 0, head_lr=10.0)
    backbone, head = method.parameter_groups()
    assert head["lr_scale"] == 10.0
    assert len(backbone["params"]) + len(head["params"]) == len([p for p in method.parameters() if p.requires_grad])


def test_the_number_of_classes_comes_from_the_data(street) -> None:
    assert street.facts["num_classes"] == 16
    with pytest.raises(ValueError, match="num_classes is needed"):
        type(build("aligned-segmentation", street, 0))("small-pyramid")
