"""CLAN: its negatives, its centre, learning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.reproductions.arms import build, train
from nearfar.tabular.data import load
from nearfar.tabular.evaluation import evaluate, scores_of
from nearfar.tabular.methods.clan import uniform_resample
from nearfar.training import Training


def test_one_feature_in_ten_is_drawn_anew() -> None:
    x = torch.full((200, 50), 9.0)
    changed = uniform_resample(x, 0.1, 1.7, torch.Generator().manual_seed(0))
    anew = changed != 9
    assert abs(anew.float().mean() - 0.1) < 0.01
    assert changed[anew].abs().max() <= 1.7
    assert changed[anew].std() == pytest.approx(3.4 / 12**0.5, rel=0.05)
    assert torch.equal(uniform_resample(x, 0.0, 1.7), x)


def test_clan_finds_what_is_not_normal_and_its_centre_is_the_mean() -> None:
    data = load(count=600)
    method = build("clan", data, 0)
    method.begin(data)
    before = evaluate(method.eval(), data)
    method.train()
    train("clan", method, data, 0, epochs=60)
    after = evaluate(method, data)
    assert after["auroc"] > before["auroc"] + 0.1
    with method.frozen():
        z = method.encode(data.batch(np.arange(len(data))))
    cosine = torch.cosine_similarity(z.mean(0), method.encoder.centre, dim=0)
    assert cosine > 0.99
    assert torch.linalg.matrix_rank(z) > 4


def test_the_run_that_is_opened_scores_the_same(tmp_path: Path) -> None:
    arguments, training = workflow.laptop_settings(find("clan"), tiny=True)
    trained, run = workflow.train(
        "clan", out=tmp_path / "run", arguments=arguments, training=Training(**training), progress=False
    )
    assert run is not None
    _, opened, _ = workflow.load_run(run.path)
    data = load()
    np.testing.assert_array_equal(scores_of(opened, data), scores_of(trained, data))


def test_wrong_settings() -> None:
    with pytest.raises(ValueError, match=r"resample must lie in \[0, 1\], got 2"):
        build("clan", load(count=40), 0, resample=2)
    with pytest.raises(ValueError, match="reasons must be at least 0, got -1"):
        build("clan", load(count=40), 0, reasons=-1)
