"""Contrastive curiosity: its bonus, what moves what, and what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.control.data import load, watched
from nearfar.losses import curiosity
from nearfar.reproductions.arms import build, train
from nearfar.training import Training


def test_the_bonus_is_its_formula() -> None:
    rng = torch.Generator().manual_seed(0)
    predicted, reached, memory = (torch.randn(n, 3, generator=rng, dtype=torch.float64) for n in (4, 4, 6))
    found = curiosity(predicted, reached, memory, temperature=0.5)
    unit = [x / x.norm(dim=1, keepdim=True) for x in (predicted, reached, memory)]
    for i in range(4):
        own = float((unit[0][i] @ unit[1][i] / 0.5).exp())
        others = float((unit[2] @ unit[0][i] / 0.5).exp().sum())
        assert float(found[i]) == pytest.approx(-np.log(own / (own + others)) / np.log(7), rel=1e-9)
    novelty = curiosity(predicted, reached, memory, temperature=0.5, mode="novelty")
    torch.testing.assert_close(novelty, (1 - (unit[1] @ unit[2].T).max(1).values) / 2)
    assert curiosity(predicted, memory[:4], memory, temperature=0.5, mode="novelty").max() < 1e-9
    with pytest.raises(ValueError, match="they must be equal"):
        curiosity(predicted, reached[:2], memory, temperature=0.5)
    with pytest.raises(ValueError, match="mode must be one of"):
        curiosity(predicted, reached, memory, temperature=0.5, mode="surprise")


@pytest.mark.parametrize("mode", ["novelty", "predictive"])
def test_what_was_never_met_pays_more_than_what_is_remembered(mode: str) -> None:
    source = load("grid", random_steps=400)
    method = build("contrastive-curiosity", source, 0, mode=mode, hidden=32, latent=16, memory=256, warm_up=0)
    train("contrastive-curiosity", method, source, 0, steps=60, batch_size=64)
    batch = source.draw(method, 0, np.random.default_rng(0), 64)
    familiar = method.reward(batch).mean()
    other = batch._replace(next_observations=-3 * batch.next_observations.roll(1, 1))
    assert method.reward(other).mean() > familiar
    assert float(method.deviation) != 1
    assert int(method.made) == 60


def test_no_bonus_is_paid_before_the_warm_up() -> None:
    source = load("grid", random_steps=400)
    method = build("contrastive-curiosity", source, 0, hidden=16, latent=8, memory=64, warm_up=10)
    source.begin(method, 0)  # type: ignore[attr-defined]
    batch = source.draw(method, 0, np.random.default_rng(0), 32)
    with torch.no_grad():
        for layer in (method.values[1][-1], method.slow.module[1][-1]):
            layer.weight.zero_()
            layer.bias.zero_()
    assert float(method.value_loss(batch).detach()) == 0
    method.made += 10
    assert float(method.value_loss(batch).detach()) > 0


def test_a_reopened_run_acts_as_the_one_in_memory(tmp_path: Path) -> None:
    arguments, _ = workflow.laptop_settings(find("contrastive-curiosity"), tiny=True)
    source = load("grid", envs=4, random_steps=100)
    settings = Training(steps=3, batch_size=16)
    method, _ = workflow.train(
        "contrastive-curiosity",
        data=source,
        arguments=arguments,
        training=settings,
        out=tmp_path / "run",
        progress=False,
    )
    _, again, _ = workflow.load_run(tmp_path / "run")
    where = source.fresh(3)  # type: ignore[attr-defined]
    observed = watched(where.reset(np.random.default_rng(0)), None)
    assert torch.equal(method.act(observed), again.act(observed))
    assert torch.equal(method.memory.keys, again.memory.keys)
    scores = method.evaluate(source)
    assert 10 < scores["met in training"] <= 104
    with pytest.raises(ValueError, match="this world takes numbers"):
        build("contrastive-curiosity", load("point-maze"), 0)
