"""Contrastive pre-training for data efficiency: its two parts, demonstrations, and what a curve says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.cli import main
from nearfar.control.augment import shift
from nearfar.control.data import Recorded, record, watched
from nearfar.control.efficiency import area, demonstrations, label_multiplier
from nearfar.control.worlds import CartPole, PointMaze
from nearfar.reproductions.arms import build
from nearfar.training import Optimization, Training, fit

SMALL = {"filters": 8, "features": 16, "hidden": 32, "pad": 1}


@pytest.fixture(scope="module")
def source() -> Recorded:
    return Recorded(record(CartPole(8, size=20), 800, policy="mixed"))


def made(source: Recorded, **changes):  # type: ignore[no-untyped-def]
    return build("contrastive-pretraining", source, 0, **{**SMALL, **changes})


def views(method, source: Recorded, phase: str):  # type: ignore[no-untyped-def]
    batch = source.draw(method, 0, np.random.default_rng(0), 16)
    method.phases = tuple(p for p in method.phases if p.name == phase)
    method.generator.manual_seed(0)
    return batch, method.views(batch)


@pytest.mark.parametrize("objective", ["steps", "crops"])
def test_the_first_part_is_its_formula_and_sees_no_action(source: Recorded, objective: str) -> None:
    method = made(source, objective=objective)
    batch, (first, second) = views(method, source, "contrast")
    method.generator.manual_seed(0)
    other = batch.next_observations if objective == "steps" else batch.observations
    assert torch.equal(first, shift(batch.observations, 1, method.generator))
    assert torch.equal(second, shift(other, 1, method.generator))
    queries, keys = method.encoder(first), method.slow(second)
    if objective == "steps":
        queries = queries + method.ahead(queries)
    slow = F.cross_entropy(queries @ method.product @ keys.T, torch.arange(16))
    found = method.loss((first, second))["contrast"]
    torch.testing.assert_close(found, slow, rtol=1e-4, atol=1e-5)
    found.backward()
    names = {name.split(".")[0] for name, p in method.named_parameters() if p.grad is not None and p.grad.any()}
    assert names == {"encoder", "product"} | ({"ahead"} if objective == "steps" else set())


@pytest.mark.parametrize("tune", [True, False])
def test_the_second_part_imitates_and_moves_the_encoder_where_asked(source: Recorded, tune: bool) -> None:
    method = made(source, tune=tune, labelled=5)
    method.begin(source)
    _, (pixels, actions) = views(method, source, "cloning")
    assert {tuple(row) for row in actions.tolist()} <= {tuple(row) for row in method.done.tolist()}
    loss = method.loss((pixels, actions))["cloning"]
    logits = method.actor.body(method.encoder(pixels))
    torch.testing.assert_close(loss, F.cross_entropy(logits, actions.argmax(1)))
    loss.backward()
    assert any(p.grad is not None for p in method.encoder.parameters()) is tune
    shown, done = torch.zeros(3, 2, 20, 20, dtype=torch.uint8), torch.eye(2)[[0, 1, 1]]
    method.teach(shown, done)
    method.begin(source)  # what was taught is not replaced
    assert torch.equal(method.done, done)


def test_pre_training_tells_pictures_apart_and_imitation_follows(source: Recorded) -> None:
    quick = Optimization("adam", lr=3e-3, weight_decay=0.0, schedule="constant")
    method = made(source, optimization=quick, labelled=20, share=0.5)
    method.teach(*demonstrations(CartPole(8, size=20), 20, seed=1))
    batch, pair = views(method, source, "contrast")
    both = made(source).phases
    with torch.no_grad():
        before = float(method.loss(pair)["contrast"])
        guessed = float(method.cloned(method.shown, method.done))
    method.phases = (type(both[0])("contrast", 0.5), both[1])
    fit(method, source, Training(steps=60, batch_size=32, seed=0), progress=False)
    method.phases = both[:1]
    with torch.no_grad():
        assert float(method.loss(pair)["contrast"]) < before - 0.3
        assert method.encode(batch.observations).std(0).min() > 1e-3
        assert float(method.cloned(method.shown, method.done)) < 0.9 * guessed


def test_demonstrations_are_what_the_scripted_policy_would_do() -> None:
    where = CartPole(4, pixels=False)
    seen, done = demonstrations(where, 30, stack=1, seed=3)
    assert seen.shape == (30, 4)
    rule = (seen.double() @ torch.tensor([0.1, 0.3, 4.0, 1.0], dtype=torch.float64) > 0).long()
    assert torch.equal(done.argmax(1), rule)
    assert torch.equal(demonstrations(where, 30, stack=1, seed=3)[0], seen)
    stacked, numbers = demonstrations(CartPole(4, size=16), 10)[0], demonstrations(PointMaze("open", 4), 10)[1]
    assert stacked.shape == (10, 2, 16, 16)
    assert numbers.shape == (10, 2)
    with pytest.raises(ValueError, match="count must be at least 1"):
        demonstrations(where, 0)


def test_curves_say_what_labels_are_worth() -> None:
    plain = {10: 20.0, 100: 40.0, 1000: 40.0}
    assert area(plain) == pytest.approx(35)
    assert area({1: 3.0, 7: 3.0}) == pytest.approx(3)
    assert label_multiplier({10: 30.0}, plain, 10) == pytest.approx(10**0.5)
    assert label_multiplier({10: 40.0}, plain, 10) == pytest.approx(10)
    assert label_multiplier({10: 41.0}, plain, 10) == float("inf")
    assert label_multiplier({100: 10.0}, plain, 100) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="at least two numbers of labels"):
        area({5: 1.0})


def test_a_reopened_run_acts_as_the_one_in_memory(source: Recorded, tmp_path: Path) -> None:
    arguments, _ = workflow.laptop_settings(find("contrastive-pretraining"), tiny=True)
    training = Training(steps=2, batch_size=4)
    options = {"data": source, "arguments": arguments, "training": training, "progress": False}
    method, _ = workflow.train("contrastive-pretraining", out=tmp_path / "run", **options)
    _, again, _ = workflow.load_run(tmp_path / "run")
    observed = watched(source.replay.seen(np.arange(4), np.zeros(4, int), 2), None)
    assert torch.equal(method.policy(*observed).logs, again.policy(*observed).logs)
    assert torch.equal(method.act(observed), again.act(observed))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--data", "cartpole-episodes", "--recorded", "200"], "contrastive-pretraining learns from pixels"),
        (["--data", "pixel-cartpole"], "contrastive-pretraining learns from recorded episodes"),
        (["--labelled", "0", "--recorded", "200"], "labelled must be at least 1"),
    ],
)
def test_wrong_words_get_one_sentence(words: list[str], expected: str, capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "contrastive-pretraining", *words, "--steps", "1"]) == 2
    said = capsys.readouterr().err
    assert [expected in line for line in said.splitlines() if line.startswith("nearfar:")] == [True], said
