"""CE-GZSL: the released losses and penalty, two networks in turns, unseen classes, re-opening."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nearfar.labels.critics import gradient_penalty
from nearfar.labels.data import AttributeFeatures, load
from nearfar.losses import supcon
from nearfar.reproductions.arms import build, train
from nearfar.runs.run import Run
from nearfar.training import Training, fit
from tests.labels.learning import assert_same_on_the_sphere, small
from tests.parity import ParityCase, parity
from tests.training.test_fit import StopAt, assert_equal, weights


@pytest.mark.parametrize("case", parity("ce-gzsl", "instance_loss"))
def test_the_released_contrast_of_instances(case: ParityCase) -> None:
    arrays = case.load()
    z = arrays["in_z"]
    value = supcon(z, arrays["in_labels"], temperature=case.hyper["temperature"], on_empty="skip")
    torch.testing.assert_close(value, arrays["out_loss"])
    assert_same_on_the_sphere(value, z, arrays["grad_z"])


@pytest.mark.parametrize("case", parity("ce-gzsl", "class_loss_and_gp"))
def test_the_released_class_contrast_and_penalty(case: ParityCase) -> None:
    arrays = case.load()
    method = build("ce-gzsl", small("attribute-features"), 0).double()
    method.temperatures = (0.1, case.hyper["cls_temp"])
    method.described = arrays["in_attributes"].detach()
    for network, prefix in ((method.comparator, "f"), (method.critic, "d")):
        for number, layer in ((1, network[0]), (2, network[2])):
            layer.weight = nn.Parameter(arrays[f"in_{prefix}{number}_w"].detach().clone())
            layer.bias = nn.Parameter(arrays[f"in_{prefix}{number}_b"].detach().clone())
    value = method.class_contrast(arrays["in_h"], arrays["in_labels"])
    torch.testing.assert_close(value, arrays["out_cls_loss"])
    (own,) = torch.autograd.grad(value, arrays["in_h"])
    torch.testing.assert_close(own, arrays["grad_h"])
    penalty = 10 * gradient_penalty(method.critic, *(arrays[f"in_{n}"] for n in ("real", "fake", "att", "alpha")))
    torch.testing.assert_close(penalty, arrays["out_gp"])
    slopes = torch.autograd.grad(penalty, [method.critic[0].weight, method.critic[2].weight])
    for own, name in zip(slopes, ("grad_d1_w", "grad_d2_w"), strict=True):
        torch.testing.assert_close(own, arrays[name])


def test_the_generator_learns_in_every_fifth_step_alone() -> None:
    data = small("attribute-features")
    method = build("ce-gzsl", data, 0)
    start = [p.clone() for p in method.generator_network.parameters()]
    train("ce-gzsl", method, data, 0, steps=1, batch_size=32)
    first = [p.clone() for p in method.generator_network.parameters()]
    assert any(not torch.equal(a, b) for a, b in zip(start, first, strict=True))
    again = build("ce-gzsl", data, 0)
    train("ce-gzsl", again, data, 0, steps=5, batch_size=32)
    moved = [torch.equal(a, b) for a, b in zip(first, again.generator_network.parameters(), strict=True)]
    assert all(moved), "steps 2 to 5 are the critic's"


def test_a_killed_run_resumes_to_the_bit(tmp_path: Path) -> None:
    data = small("attribute-features")
    settings = Training(steps=12, batch_size=32, checkpoint_every=4, monitor_every=-1)
    expected = weights(fit(build("ce-gzsl", data, 0), data, settings, progress=False))
    cut = Run.create(tmp_path / "cut", {"method": "ce-gzsl"})
    with pytest.raises(KeyError, match="crash"):
        fit(build("ce-gzsl", data, 0), data, settings, run=cut, progress=False, callbacks=[StopAt(7)])
    checkpoint = cut.latest_checkpoint()
    again = fit(build("ce-gzsl", data, 0), data, settings, run=cut, checkpoint=checkpoint, progress=False)
    assert_equal(weights(again), expected)


def test_unseen_classes_are_recognised_better_than_before_training() -> None:
    data = load("attribute-features")
    method = build("ce-gzsl", data, 0)
    before = method.eval().evaluate(data)
    method.train()
    after = train("ce-gzsl", method, data, 0, steps=300).evaluate(data)
    assert after["unseen"] > max(before["unseen"], 1 / 25) + 0.1
    assert after["harmonic"] > before["harmonic"] + 0.1
    assert after == method.evaluate(data)


def test_files_and_wrong_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y, a = rng.random((12, 5)), np.arange(12) % 4, rng.random((4, 3))
    parts = {"train": np.flatnonzero(y < 3)[:6], "seen": np.flatnonzero(y < 3)[6:], "unseen": np.flatnonzero(y == 3)}
    np.savez(tmp_path / "f.npz", features=x, labels=y, attributes=a, **parts)
    data = load(tmp_path / "f.npz")
    assert isinstance(data, AttributeFeatures)
    assert data.facts == {"feature_dim": 5, "attribute_dim": 3}
    assert data.features.min() == 0
    assert data.features.max() == 1
    np.savez(tmp_path / "g.npz", features=x, labels=y, attributes=a)
    with pytest.raises(ValueError, match="has no array train"):
        load(tmp_path / "g.npz")
    with pytest.raises(ValueError, match="finite"):
        AttributeFeatures(x * np.nan, y, a)
    with pytest.raises(ValueError, match="labels must name rows of attributes, 0 to 3"):
        AttributeFeatures(x, y + 1, a)
