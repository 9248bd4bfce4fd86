"""Self-training: mixtures, pseudo-labels, pairs of domains, and what a step is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar.parts import MomentumEncoder, momentum_at
from nearfar.reproductions.arms import build, train
from nearfar.segmentation.data import adaptation, load
from nearfar.segmentation.data.adaptation import AdaptationScenes, street_adaptation
from nearfar.segmentation.encoders import pyramid_encoder
from nearfar.segmentation.evaluation import evaluate
from nearfar.segmentation.mixing import class_mix_mask, mix, strong_augmentation, strong_draws
from nearfar.segmentation.pseudo_labels import pseudo_labels, without_dropout
from nearfar.segmentation.sampling import class_pixels, rare_class_draws, rare_class_probabilities
from nearfar.training import StepSampler


@pytest.fixture(scope="module")
def streets() -> AdaptationScenes:
    return street_adaptation(32, 12)


def test_half_of_the_classes_are_chosen() -> None:
    labels = torch.randint(0, 5, (6, 8, 8), generator=torch.Generator().manual_seed(0))
    labels[:, 0, 0] = 255
    for among in ("batch", "image"):
        mask = class_mix_mask(labels, torch.Generator().manual_seed(1), among=among)
        for chosen, label in zip(mask, labels, strict=True):
            taken = set(label[chosen].tolist())
            assert taken.isdisjoint(label[~chosen].tolist())  # a class is taken whole or not at all
            assert len(taken) == 3  # ceil(6 / 2), the ignored label being one of six
    # Classes of the batch: an image that shows none of those drawn gives nothing.
    alone = torch.zeros(64, 2, 2, dtype=torch.long)
    alone[1:] = torch.arange(1, 64).view(-1, 1, 1)
    mask = class_mix_mask(alone, torch.Generator().manual_seed(0))
    assert 10 < int(mask.flatten(1).any(1).sum()) < 54
    assert class_mix_mask(alone, torch.Generator().manual_seed(0), among="image").all()
    with pytest.raises(ValueError, match="labels must be integers"):
        class_mix_mask(torch.zeros(1, 2, 2))
    with pytest.raises(ValueError, match="among must be"):
        class_mix_mask(alone, among="world")


def test_mixing_takes_pixels_from_both() -> None:
    mask = torch.tensor([[[True, False]]])
    a, b = torch.ones(1, 3, 1, 2), torch.zeros(1, 3, 1, 2)
    assert mix(mask, a, b).flatten().tolist() == [1, 0] * 3
    assert mix(mask, a[:, 0], b[:, 0]).flatten().tolist() == [1, 0]
    with pytest.raises(ValueError, match="must have one shape"):
        mix(mask, a, b[..., :1])


def test_strong_colours_are_the_same_for_the_same_draws() -> None:
    images = torch.randint(0, 256, (4, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    seen = set()
    for seed in range(20):
        draws = strong_draws(images, torch.Generator().manual_seed(seed))
        first, second = strong_augmentation(images, draws), strong_augmentation(images, draws)
        assert torch.equal(first, second)
        assert first.dtype == torch.float32
        assert 0 <= float(first.min()) <= float(first.max()) <= 1
        jittered = bool((draws.factors != torch.tensor([1.0, 1, 1, 0])).any())
        blurred = bool((draws.sigma > 0).any())
        seen.add((jittered, blurred))
        if not jittered and not blurred:
            assert torch.allclose(first, images / 255, atol=1e-5)
    assert len(seen) > 2


def test_pseudo_labels_against_the_definition() -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(2, 4, 5, 5, dtype=torch.float64)
    found = pseudo_labels(logits, 0.6)
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True)
    assert np.array_equal(found.labels.numpy(), p.argmax(1))
    assert np.allclose(found.confidence.numpy(), p.max(1), atol=1e-6)
    assert np.isclose(float(found.weight), (p.max(1) >= 0.6).mean())
    each = pseudo_labels(logits, 0.6, per_image=True).weight
    assert np.allclose(each.flatten().numpy(), (p.max(1) >= 0.6).mean((1, 2)))
    with pytest.raises(ValueError, match="threshold must be in"):
        pseudo_labels(logits, 2.0)


def test_a_teacher_starts_as_an_average_and_has_no_dropout() -> None:
    assert [momentum_at(0, 0.9, "warmup", t) for t in (1, 3, 100)] == [0.5, 0.75, 0.9]
    student = torch.nn.Linear(1, 1, bias=False)
    teacher = MomentumEncoder(student, 0.999, "warmup")
    values = [float(student.weight.detach())]
    for step in range(1, 5):
        with torch.no_grad():
            student.weight.fill_(step)
        values.append(step)
        teacher.update(student)
        assert np.isclose(float(teacher.module.weight), np.mean(values))
    # It goes on where it was, because the number of updates is part of its state.
    again = MomentumEncoder(student, 0.999, "warmup")
    again.load_state_dict(teacher.state_dict())
    assert again.update(student) == teacher.update(student) == 1 - 1 / 6
    torch.manual_seed(0)
    dropping = without_dropout(pyramid_encoder("segformer-b0")).train()
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(dropping.maps(x)[0], dropping.maps(x)[0])


def test_an_index_names_scene_target_and_class(streets) -> None:
    s, t = len(streets.source), len(streets.target)
    code = np.array([3, 3 + s * 5, 3 + s * (5 + t * (7 + 1))])
    batch = streets.batch(code)
    assert batch.rows.tolist() == [3, 3, 3]
    assert batch.rare.tolist() == [-1, -1, 7]
    assert torch.equal(batch.targets[1], batch.targets[2])
    assert torch.equal(batch.targets[1], streets.target.batch(np.array([5])).images[0])
    assert torch.equal(batch.images[0], streets.source.batch(np.array([3])).images[0])
    order = streets.order(np.random.default_rng(0))
    assert sorted(order % s) == list(range(s))
    assert sorted(order // s) == list(range(t))
    assert set(streets.facts["things"]) < set(range(16))


def test_pairs_do_not_depend_on_where_a_run_was_resumed(streets) -> None:
    method = build("daformer", streets, 0)

    def orders(start: int) -> list[list[int]]:
        sampler = StepSampler(12, 4, 9, seed=3, order=lambda rng: method.order(streets, rng))
        sampler.start = start
        return [indices.tolist() for indices in sampler]

    assert orders(0)[4:] == orders(4)


def test_rare_classes_are_drawn_more_often() -> None:
    pixels = np.array([[1000, 0, 0], [950, 50, 0], [900, 95, 5]])
    for temperature in (0.01, 0.5):
        p = rare_class_probabilities(pixels, temperature)
        f = pixels.sum(0) / pixels.sum()
        expected = np.exp((1 - f) / temperature)
        assert np.allclose(p, expected / expected.sum())
    scenes, classes = rare_class_draws(pixels, 400, np.random.default_rng(0), temperature=0.5, min_pixels=10)
    assert set(classes) == {0, 1}  # no scene has more than ten pixels of class 2
    assert set(scenes[classes == 1]) == {1, 2}
    for bad, match in (({"temperature": 0.0}, "temperature must be above 0"), ({"min_pixels": 5000}, "no scene has")):
        with pytest.raises(ValueError, match=match):
            rare_class_draws(pixels, 1, np.random.default_rng(0), **bad)
    with pytest.raises(ValueError, match="needs labelled pixels"):
        rare_class_probabilities(np.zeros((2, 3)))


def test_class_pixels_are_those_of_the_label_maps(streets) -> None:
    counted = class_pixels(streets.source, 16)
    labels = streets.source.batch(np.arange(12)).labels.numpy()
    assert all(counted[n, c] == (labels[n] == c).sum() for n in (0, 11) for c in range(16))


def test_adaptation_takes_the_targets_classes_and_refuses_others() -> None:
    mixed = adaptation("street", load(size=32, scenes=3, classes="camvid11"), size=32)
    assert mixed.classes.name == "camvid11"
    assert mixed.facts["num_classes"] == 11
    with pytest.raises(ValueError, match="must have the same classes"):
        AdaptationScenes(load(size=32, scenes=2), load(size=32, scenes=2, classes="camvid11"))
    with pytest.raises(ValueError, match="needs examples on both sides"):
        AdaptationScenes(load(size=32, scenes=2), load(size=32, scenes=2).subset(np.arange(0)))


def test_a_step_of_dacs_is_what_the_paper_says(streets) -> None:
    method = build("dacs", streets, 0, ignore_bottom=4, threshold=0.0)
    method.seed_step(0, 0)
    views = method.views(streets.batch(np.arange(4)))
    pasted = (views.mixed_labels == views.labels) & (views.weight == 1)
    assert 0.1 < pasted.float().mean() < 0.95
    rest = views.weight != 1
    # Every pixel passes a threshold of 0, so the teacher's share is 1 but for the rows that are not trusted.
    assert set(views.weight.flatten().tolist()) <= {0.0, 1.0}
    assert rest.any()
    assert (torch.where(rest)[1] >= 28).all()
    logits, _ = method.eval().segment(views.mixed[0])
    per_pixel = F.cross_entropy(logits, views.mixed_labels, ignore_index=255, reduction="none")
    assert torch.allclose(method.loss(views)["mixed"], (views.weight * per_pixel).mean(), atol=1e-6)


def test_the_teacher_follows_and_is_not_trained(streets) -> None:
    method = build("dacs", streets, 0)
    start = [p.clone() for p in method.teacher.parameters()]
    train("dacs", method, streets, 0, steps=3)
    assert not any(p.requires_grad for p in method.teacher.parameters())
    moved = [bool((p != q).any()) for p, q in zip(method.teacher.parameters(), start, strict=True)]
    assert any(moved)
    student = [*method.encoder.parameters()]
    assert any(bool((p != q).any()) for p, q in zip(method.teacher.parameters(), student, strict=True))


def test_two_appearances_are_mixed_alike(streets) -> None:
    method = build("aligned-adaptation", streets, 0)
    method.seed_step(0, 0)
    views = method.views(streets.batch(np.arange(4)))
    a, b = views.mixed
    taken = views.weight == 1
    differs = (a - b).abs().amax(1) > 1e-3
    assert differs[taken].float().mean() > 0.5
    # What comes from the target is the same picture in both, but for what the blur carries over and the mean
    # brightness that contrast refers to.
    assert (a - b).abs().amax(1)[~taken].mean() < (a - b).abs().amax(1)[taken].mean() / 2
    terms = method.loss(views)
    assert set(terms) == {"source", "mixed", "alignment", "mixed alignment"}
    plain = build("aligned-adaptation", streets, 0, alignment=0.0, mixed_alignment=0.0)
    assert set(plain.loss(views)) == {"source", "mixed"}
    with pytest.raises(ValueError, match="base must be"):
        build("aligned-adaptation", streets, 0, base="hrda")


def test_self_training_learns_the_target(streets) -> None:
    method = build("dacs", streets, 0)
    before = evaluate(method.eval(), streets)["miou target"]
    method.train()
    train("dacs", method, streets, 0, steps=50)
    assert evaluate(method, streets)["miou target"] > before + 0.08
