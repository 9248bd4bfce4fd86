"""Space Engage: its contrast against the released rule in loops, its prototypes, its labels, and that they help."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar.losses import prototype_contrast
from nearfar.parts import ClassPrototypes
from nearfar.reproductions.arms import build, train
from nearfar.segmentation.cutmix import cut_mix_mask, with_the_next
from nearfar.segmentation.data.few_labels import street_few_labels
from nearfar.segmentation.evaluation import evaluate
from nearfar.segmentation.methods.space_engage import SpaceEngage
from nearfar.segmentation.spaces import SpaceViews, follow, warn_if_out_of_reach

SMALL = {"representation_dim": 16, "decoder_width": 32, "queries": 16, "negatives": 16}


@pytest.fixture(scope="module")
def streets():
    return street_few_labels(size=32, scenes=24, labelled=8)


def engaged(streets, **changes) -> SpaceEngage:
    method = build("space-engage", streets, 0, **{**SMALL, **changes})
    assert isinstance(method, SpaceEngage)
    return method


def rows(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (40,), generator=generator)
    labels[labels == 2] = 255  # class 2 is absent
    return vectors, labels, torch.randn(4, 5, generator=generator, dtype=torch.float64)


def test_the_contrast_is_on_average_that_of_the_released_rule() -> None:
    vectors, labels, prototypes = rows()
    hard = torch.arange(40) % 3 != 0
    hard[labels == 3] = False  # counted in the divisor, without a term
    present = [0, 1, 3]
    cos = lambda a, b: float(a @ b / (a.norm() * b.norm()))  # noqa: E731
    # With one negative per query the expectation over all draws is a finite sum.
    expected = 0.0
    for c in (0, 1):
        others = [k for k in present if k != c]
        weight = [math.exp(cos(prototypes[c], prototypes[k]) / 0.5) for k in others]
        anchors = [i for i in range(40) if labels[i] == c and hard[i]]
        total = 0.0
        for i in anchors:
            near = math.exp(cos(vectors[i], prototypes[c]) / 0.5)
            for k, w in zip(others, weight, strict=True):
                members = [j for j in range(40) if labels[j] == k]
                for j in members:
                    far = math.exp(cos(vectors[i], vectors[j]) / 0.5)
                    total += w / sum(weight) / len(members) / len(anchors) * -math.log(near / (near + far))
        expected += total / len(present)
    generator = torch.Generator().manual_seed(1)
    found = prototype_contrast(vectors, labels, prototypes, hard=hard, queries=40_000, negatives=1, generator=generator)
    assert found.item() == pytest.approx(expected, rel=0.01)


def test_gradients_reach_the_queries_alone() -> None:
    vectors, labels, prototypes = rows()
    vectors.requires_grad_()
    prototypes.requires_grad_()

    def loss(v: torch.Tensor, hard: torch.Tensor) -> torch.Tensor:
        return prototype_contrast(
            v, labels, prototypes, hard=hard, queries=8, negatives=5, generator=torch.Generator().manual_seed(0)
        )

    one = torch.zeros(40, dtype=torch.bool)
    one[int((labels == 1).nonzero()[0])] = True
    loss(vectors, one).backward()
    assert prototypes.grad is None
    assert torch.equal(vectors.grad.abs().sum(1) > 0, one)


def test_the_contrast_of_too_few_classes_is_zero() -> None:
    vectors, labels, prototypes = rows()
    for kept in (torch.full_like(labels, 255), torch.where(labels == 1, labels, -1)):
        value = prototype_contrast(vectors.requires_grad_(), kept, prototypes)
        assert value.item() == 0
        value.backward()
    with pytest.raises(ValueError, match="queries and negatives must be at least 1, got 0 and 512"):
        prototype_contrast(vectors, labels, prototypes, queries=0)
    with pytest.raises(ValueError, match=r"labels must be integers of shape \(40,\)"):
        prototype_contrast(vectors, labels[:3], prototypes)
    with pytest.raises(ValueError, match=r"hard must be boolean of shape \(40,\)"):
        prototype_contrast(vectors, labels, prototypes, hard=labels)


def test_prototypes_are_moving_averages_of_what_was_seen() -> None:
    bank = ClassPrototypes(3, 2, momentum=0.9)
    first = torch.tensor([[1.0, 1.0], [3.0, 1.0], [9.0, 9.0]])
    bank.store(bank.moved(bank.sums(first, torch.tensor([0, 0, 255]))))
    torch.testing.assert_close(bank.means, torch.tensor([[2.0, 1.0], [0.0, 0.0], [0.0, 0.0]]))
    halves = [
        bank.sums(x, y)
        for x, y in ((torch.ones(1, 2) * 4, torch.tensor([0])), (torch.ones(2, 2), torch.tensor([2, 0])))
    ]
    moved = bank.moved(halves[0] + halves[1])
    torch.testing.assert_close(moved, torch.tensor([[0.9 * 2 + 0.1 * 2.5, 0.9 + 0.1 * 2.5], [0.0, 0.0], [1.0, 1.0]]))
    assert bank.means[2].sum() == 0  # stored on demand only
    cosines = bank.cosines(torch.tensor([2.0, 1.0]).view(1, 2, 1, 1))
    torch.testing.assert_close(cosines.flatten(), torch.tensor([1.0, 0.0, 0.0]))


def test_thresholds_out_of_reach_are_named() -> None:
    # One cosine of 1 and twenty of -1 at 0.5: e^2 / (e^2 + 20 e^-2).
    with pytest.warns(UserWarning, match=r"can exceed 0\.732, so sure = 0\.97 and easy = 0\.8 is never reached"):
        warn_if_out_of_reach(21, 0.5, {"sure": 0.97, "easy": 0.8})
    with pytest.warns(UserWarning, match="21 classes"):
        SpaceEngage("small-pyramid", 21, proto_temperature=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SpaceEngage("small-pyramid", 21)
        SpaceEngage("small-pyramid", 21, supervision="logits", proto_temperature=0.5)


def test_image_weights_count_sure_pixels() -> None:
    logits = torch.randn(2, 16, 4, 5)
    pseudo = torch.randint(0, 16, (2, 4, 5))
    pseudo[0, 0] = 255
    confidence = torch.rand(2, 4, 5)
    terms, count = 0.0, 0
    for n in range(2):
        weight = float((confidence[n] >= 0.9).sum()) / float((pseudo[n] != 255).sum())
        for p in range(20):
            label = int(pseudo[n].flatten()[p])
            if label != 255:
                terms += weight * float(F.cross_entropy(logits[n].flatten(1)[:, p], torch.tensor(label)))
                count += 1
    assert follow(logits, pseudo, confidence, 0.9).item() == pytest.approx(terms / count, rel=1e-5)
    assert follow(logits, torch.full_like(pseudo, 255), confidence, 0.9).item() == 0


def test_cutmix_masks_half_of_every_image_and_moves_everything_alike() -> None:
    mask = cut_mix_mask(200, 32, 64, torch.Generator().manual_seed(0))
    share = (~mask).float().mean((1, 2))
    assert share.mean() == pytest.approx(0.5, abs=0.02)
    assert share.std() < 0.03
    widths = (~mask).any(1).sum(1)
    assert widths.min() >= 31
    assert widths.max() > 58
    labels = torch.arange(200).view(-1, 1, 1).expand(200, 32, 64)
    mixed = with_the_next(mask, labels)
    assert torch.equal(mixed[mask], labels[mask])
    assert torch.equal(mixed[~mask], ((labels + 1) % 200)[~mask])
    pictures = labels.unsqueeze(1).expand(-1, 3, -1, -1)
    assert torch.equal(with_the_next(mask, pictures)[:, 1], mixed)


def test_each_space_supervises_the_other(streets) -> None:
    method = engaged(streets)
    method.seed_step(0, 0)
    views = method.views(streets.batch(np.arange(4)))
    assert views.by_logits.shape == views.sure_prototypes.shape == (4, 32, 64)
    # Prototypes that were never met are alike to everything: nothing is sure.
    torch.testing.assert_close(views.sure_prototypes, torch.full_like(views.sure_prototypes, 1 / 16))
    wrong = torch.full_like(views.by_logits, 3)
    base = {
        k: float(v.detach()) for k, v in method.loss(views._replace(sure_prototypes=views.sure_logits * 0 + 1)).items()
    }
    other = method.loss(views._replace(sure_prototypes=views.sure_logits * 0 + 1, by_prototypes=wrong))
    assert float(other["unsupervised"].detach()) != pytest.approx(base["unsupervised"], rel=1e-3)
    assert float(method.loss(views)["unsupervised"].detach()) == 0
    logits_only = engaged(streets, supervision="logits")
    logits_only.seed_step(0, 0)
    sure = views._replace(sure_logits=torch.ones_like(views.sure_logits))
    a = logits_only.loss(sure)["unsupervised"].item()
    assert logits_only.loss(sure._replace(by_prototypes=wrong))["unsupervised"].item() == pytest.approx(a, rel=1e-3)


def test_agreement_ignores_what_the_spaces_disagree_on(streets) -> None:
    method = engaged(streets, supervision="agreement")
    method.seed_step(0, 0)
    by_logits, _, by_prototypes, _ = method.believe(streets.batch(np.arange(2)).targets[:, 0])
    assert torch.equal(by_logits, by_prototypes)
    # Without prototypes all are class 0, so only that can be agreed on.
    assert set(by_logits.unique().tolist()) <= {0, 255}


def test_prototypes_move_after_the_step_only(streets) -> None:
    method = engaged(streets)
    method.seed_step(0, 0)
    views: SpaceViews = method.views(streets.batch(np.arange(4)))
    sum(method.loss(views).values()).backward()
    assert method.prototypes.means.abs().sum() == 0
    assert all(p.grad is not None for p in method.network.parameters())
    method.after_step()
    present = views.labels[views.labels != 255].unique()
    assert (method.prototypes.means[present].abs().sum(1) > 0).float().mean() > 0.8


def test_it_segments_better_than_before_training(streets) -> None:
    method = engaged(streets)
    before = evaluate(method.eval(), streets)["miou test"]
    method.train()
    train("space-engage", method, streets, 0, steps=40)
    assert evaluate(method, streets)["miou test"] > before + 0.05


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="supervision must be one of 'cross', 'logits', 'agreement', got 'both'"):
        SpaceEngage("small-pyramid", 16, supervision="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="which nothing trains with contrast_weight = 0"):
        SpaceEngage("small-pyramid", 16, contrast_weight=0.0)
    with pytest.raises(ValueError, match="must be at least 0, got -1"):
        SpaceEngage("small-pyramid", 16, unsupervised_weight=-1)
