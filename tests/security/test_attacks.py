"""Triggers, attacks, detection and the bench: what they must do on models whose weaknesses are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nearfar.cli import main
from nearfar.reproductions.arms import build, train
from nearfar.security.attacks import flip_labels, inverted, membership_scores, misclassified, moved_away, pgd
from nearfar.security.bench import SecurityBench, audit, both
from nearfar.security.data import CaptionedPictures, load
from nearfar.security.poison import (
    attack_success,
    backdoor_zscore,
    misaligned,
    neighbour_distances,
    outlier_scores,
    spectral_scores,
)
from nearfar.security.triggers import KINDS, trigger


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trigger_changes_every_picture_a_little_and_repeats(kind: str) -> None:
    images = torch.rand(6, 3, 28, 28, generator=seeded(1))
    marked = trigger(images, kind, seeded())  # type: ignore[arg-type]
    assert marked.shape == images.shape
    assert ((marked >= 0) & (marked <= 1)).all()
    assert torch.equal(marked, trigger(images, kind, seeded()))  # type: ignore[arg-type]
    changed = (marked != images).flatten(1).float().mean(1)
    assert (changed > 0).all()
    if "patch" in kind:
        assert (changed <= 4 / 28**2 + 1e-6).all(), "a square of 2 x 2 pixels"
    with pytest.raises(ValueError, match="a trigger is one of"):
        trigger(images, "none", seeded())  # type: ignore[arg-type]


def test_evasion_stays_in_its_ball_and_grows_with_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 5))
    images, labels = torch.rand(20, 3, 8, 8), torch.randint(5, (20,))
    goal = misclassified(model, labels)
    losses = []
    for eps in (0.0, 0.01, 0.05, 0.2):
        moved = pgd(images, goal, eps=eps, generator=seeded())
        assert (moved - images).abs().max() <= eps + 1e-6
        assert ((moved >= 0) & (moved <= 1)).all()
        losses.append(float(goal(moved).mean()))
    assert losses == sorted(losses)
    assert losses[3] > losses[0] + 0.1
    ball = pgd(images, goal, eps=0.5, norm="2")
    assert ((ball - images).flatten(1).norm(dim=1) <= 0.5 + 1e-5).all()
    # Of a linear model one signed step is the best there is.
    best = pgd(images, goal, eps=0.01, steps=1)
    slope = torch.autograd.grad(goal(x := images.clone().requires_grad_()).sum(), x)[0]
    torch.testing.assert_close(best, (images + 0.01 * slope.sign()).clamp(0, 1))
    away = pgd(images, moved_away(model, images), eps=0.1, generator=seeded())
    assert float(moved_away(model, images)(away).mean()) > 0.001


def test_labels_are_flipped_as_often_as_asked() -> None:
    labels = np.repeat(np.arange(4), 50)
    for kind in ("symmetric", "pair"):
        flipped = flip_labels(labels, 0.3, kind=kind)
        assert (flipped != labels).mean() == pytest.approx(0.3)
        assert set(flipped) <= set(range(4))
    moved = flip_labels(labels, 1.0, kind="pair")
    assert np.array_equal(moved, (labels + 1) % 4)
    with pytest.raises(ValueError, match="rate must be in"):
        flip_labels(labels, 1.5)


def test_members_of_an_encoder_that_knows_them_are_told() -> None:
    images = torch.rand(40, 3, 8, 8, generator=seeded())
    known = images[:20]

    def encode(x: torch.Tensor) -> torch.Tensor:
        # Steady near what it knows, noisy elsewhere.
        distance = torch.cdist(x.flatten(1), known.flatten(1))
        return torch.where(distance.amin(1, keepdim=True) < 1.0, 1.0, x.flatten(1)[:, :20] - 0.5)

    def views(x: torch.Tensor) -> torch.Tensor:
        return x + 0.05 * torch.rand(x.shape) - 0.025

    scores = membership_scores(encode, views, images)
    assert scores[:20].min() > scores[20:].max()


def test_a_picture_is_made_from_an_invertible_vector() -> None:
    image = torch.rand(1, 3, 8, 8, generator=seeded())
    made = inverted(nn.Flatten(), image.flatten(1), (3, 8, 8), steps=300, smooth=0.0)
    assert float((made - image).abs().mean()) < 0.05


def test_detection_finds_what_lies_apart() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 6))
    z[:6] += 6 * np.eye(6)
    for scores in (outlier_scores(z), neighbour_distances(z), spectral_scores(z, np.zeros(200))):
        assert scores[:6].mean() > 2 * scores[6:].mean()
    assert misaligned(z, z).max() < 1e-9
    assert attack_success(np.array([0, 0, 1, 0]), np.array([0, 1, 1, 2]), 0) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="not of the target class"):
        attack_success(np.zeros(3), np.zeros(3), 0)
    alike = np.ones((10, 6)) + 0.01 * rng.normal(size=(10, 6))
    assert backdoor_zscore(alike, z) > 1
    assert abs(backdoor_zscore(z, z)) < 1e-9


@pytest.mark.long
def test_the_backdoor_works_and_poison_is_the_same_every_time() -> None:
    data = load(size=16)
    assert isinstance(data, CaptionedPictures)
    clean = train("clip-poisoning", build("clip-poisoning", data, 0, poisoned=0), data, 0, steps=120)
    method = train("clip-poisoning", build("clip-poisoning", data, 0, poisoned=100, patch=0.3), data, 0, steps=120)
    attacked, usual = method.evaluate(data), clean.evaluate(data)
    assert attacked["accuracy"] > 0.4
    assert attacked["attack success"] > usual["attack success"] + 0.05
    assert attacked["attack success"] > attacked["without trigger"] + 0.05
    assert attacked["z-score"] > usual["z-score"]
    assert 0 <= attacked["found by outlier factor"] <= 1
    assert attacked == method.evaluate(data)
    labels = np.asarray(data.labels)
    rows = method.poison_rows.numpy()
    assert len(set(rows.tolist())) == 100
    assert (labels[rows] != 0).all()
    assert (method.poison_words[:, 0] == 0).all()


def test_the_repair_has_both_losses_on_trusted_pairs() -> None:
    data = load(size=8)
    method = build("clip-poisoning", data, 0, defence="cleanclip", trusted=40)
    method.begin(data)
    assert method.phase == "repair"
    method.seed_step(0, 0)
    views = method.views(data.batch(np.arange(64)))
    assert len(views[0]) == 40
    assert set(method.loss(views)) == {"pairs", "inside"}
    poison = set(method.poison_rows.tolist())
    assert not poison & set(method._clean.rows.tolist())


def test_the_bench_finds_what_a_victim_is_weak_to() -> None:
    data = load(size=8)
    bench = SecurityBench(steps=60, pictures=100)
    scores = bench.evaluate(data)
    falling = [scores[f"PGD, eps {e}/255: accuracy under attack"] for e in (2, 8, 32)]
    assert falling == sorted(falling, reverse=True)
    assert falling[2] < 0.15
    assert scores.better["membership: AUROC of members by the likeness of their views"] == "lower"
    with pytest.raises(ValueError, match="pictures at least 32"):
        SecurityBench(pictures=2)


def test_audit_of_a_run_prints_what_was_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, table = tmp_path / "run", tmp_path / "suspects.csv"
    words = ["--steps", "4", "--batch-size", "32", "--size", "16", "--preset", "laptop"]
    assert main(["train", "simclr", "--out", str(out), *words]) == 0
    capsys.readouterr()
    assert main(["audit", str(out), "--pictures", "64", "--suspects", str(table)]) == 0
    printed = capsys.readouterr()
    for name in ("FGSM, eps 8/255", "extraction, 100 queries", "membership", "inversion", "yellow patch"):
        assert name in printed.out
    assert "things tried" in printed.err
    assert table.read_text().startswith("id,outlier_factor\n")
    assert main(["audit", str(out), "--suspects", str(table)]) == 2, "nothing is overwritten"


def test_data_that_does_not_fit_gets_one_sentence() -> None:
    data = load(size=8)
    with pytest.raises(ValueError, match="target a class below 10"):
        build("clip-poisoning", data, 0, target=10)
    with pytest.raises(ValueError, match="pictures to poison"):
        build("clip-poisoning", data, 0, poisoned=5000).begin(data)
    with pytest.raises(ValueError, match="all labels of images are missing"):
        load(np.zeros((4, 8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="needs labelled training and held-out pictures"):
        both(data.subset(np.arange(10)), 10)
    assert callable(audit)
