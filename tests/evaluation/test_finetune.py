"""Few-label fine-tuning: what is drawn, what is trained, and what must stay untouched."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from nearfar.evaluation import fine_tune, stratified_fraction


def moons(n, seed):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (n,), generator=generator)
    angle = torch.rand(n, generator=generator) * torch.pi
    x = torch.stack([torch.cos(angle) * (1 - 2 * y) + y, torch.sin(angle) * (1 - 2 * y) + 0.5 * y], 1)
    return x + 0.05 * torch.randn(n, 2, generator=generator), y


def network(*extra):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 32), *extra, nn.ReLU(), nn.Linear(32, 16))


ARGUMENTS = {"fraction": 0.5, "out_features": 16, "lr_trunk": 0.1, "lr_head": 0.1, "epochs": 40}


def test_the_draw_is_stratified_nested_and_leaves_no_class_out():
    labels = np.array(["a"] * 200 + ["b"] * 90 + ["c"] * 3)
    one, ten = stratified_fraction(labels, 0.01, seed=3), stratified_fraction(labels, 0.1, seed=3)
    assert [np.sum(labels[one] == c) for c in "abc"] == [2, 1, 1]
    assert [np.sum(labels[ten] == c) for c in "abc"] == [20, 9, 1]
    assert set(one) < set(ten)
    assert np.array_equal(ten, stratified_fraction(labels, 0.1, seed=3))
    assert not np.array_equal(ten, stratified_fraction(labels, 0.1, seed=4))
    assert np.array_equal(stratified_fraction(labels, 1.0), np.arange(293))
    with pytest.raises(ValueError, match="fraction must lie in"):
        stratified_fraction(labels, 10)


def test_the_trunk_learns_what_a_linear_head_cannot():
    (x, y), (z, t) = moons(400, 0), moons(200, 1)
    dull = nn.Sequential(nn.Linear(2, 16))
    assert fine_tune(network(), x, y, z, t, **ARGUMENTS) > 0.97
    assert fine_tune(dull, x, y, z, t, **ARGUMENTS) < 0.95


def test_adamw_learns_as_well_and_weight_decay_reaches_the_weights():
    (x, y), (z, t) = moons(400, 0), moons(200, 1)
    rates = {**ARGUMENTS, "optimizer": "adamw", "lr_trunk": 0.01, "lr_head": 0.01}
    assert fine_tune(network(), x, y, z, t, **rates, weight_decay=0.05) > 0.97
    # A decay of 1 / rate forgets the weights at every step, so that nothing can be learned.
    for optimizer, decay in (("adamw", 100.0), ("sgd", 10.0)):
        assert fine_tune(network(), x, y, z, t, **rates | {"optimizer": optimizer}, weight_decay=decay) < 0.95


def test_the_callers_encoder_and_random_state_stay_as_they_were():
    (x, y), (z, t) = moons(100, 0), moons(50, 1)
    encoder = network(nn.BatchNorm1d(32), nn.Dropout(0.5)).eval()
    encoder[0].weight.requires_grad_(False)
    weights, random_state = copy.deepcopy(encoder.state_dict()), torch.get_rng_state()
    with torch.no_grad():
        first = fine_tune(encoder, x, y, z, t, **ARGUMENTS)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not encoder.training
    assert not encoder[0].weight.requires_grad
    assert all(torch.equal(encoder.state_dict()[name], value) for name, value in weights.items())
    torch.manual_seed(123)
    assert fine_tune(encoder, x, y, z, t, **ARGUMENTS) == first


def test_without_a_trunk_rate_only_the_head_learns():
    (x, y), (z, t) = moons(100, 0), moons(50, 1)
    weights = []

    class Recorder(nn.Linear):
        def forward(self, batch):
            weights.append(self.weight.detach().clone())
            return super().forward(batch)

    trained = []

    class Mode(nn.BatchNorm1d):
        def forward(self, batch):
            trained.append(self.training)
            return super().forward(batch)

    encoder = nn.Sequential(Recorder(2, 16), Mode(16))
    accuracy = fine_tune(encoder, x, y, z, t, **ARGUMENTS | {"lr_trunk": 0.0})
    assert accuracy > 0.7
    assert all(torch.equal(w, encoder[0].weight) for w in weights)
    assert not any(trained)
    fine_tune(encoder, x, y, z, t, **ARGUMENTS)
    assert not torch.equal(weights[-1], encoder[0].weight)
    assert any(trained)


def test_batch_norm_never_meets_a_single_row():
    x, y = moons(65, 0)
    encoder = network(nn.BatchNorm1d(32))
    for rows, size in ((65, 64), (3, 2), (5, 4)):
        labels = torch.arange(rows) % 2
        assert 0 <= fine_tune(encoder, x[:rows], labels, x, y, **ARGUMENTS | {"fraction": 1.0, "batch_size": size}) <= 1


def test_preparing_augmenting_and_labels_of_any_type():
    (x, y), (z, t) = moons(200, 0), moons(100, 1)
    pixels, other = ((v * 40 + 100).to(torch.uint8) for v in (x, z))
    seen = []

    def augment(batch):
        seen.append(len(batch))
        return batch + 0.01 * torch.randn_like(batch)

    names = np.array(["far", "near"])
    accuracy = fine_tune(
        network(),
        pixels,
        names[y.numpy()],
        other,
        names[t.numpy()],
        **ARGUMENTS,
        prepare=lambda batch: (batch.float() - 100) / 40,
        augment=augment,
    )
    assert accuracy > 0.9
    assert sum(seen) == 40 * 100


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"out_features": 8}, r"out_features=8\), got shape"),
        ({"train_y": torch.zeros(100)}, "train_y must contain at least 2 classes"),
        ({"test_y": torch.zeros(3)}, "test_y must have 50"),
        ({"batch_size": 1}, "batch_size"),
        ({"lr_head": -1.0}, "learning rates"),
        ({"epochs": 0}, "epochs"),
        ({"optimizer": "adam"}, "optimizer must be 'sgd' or 'adamw', got 'adam'"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0"),
        ({"fraction": 0.0}, "fraction"),
    ],
)
def test_bad_input(change, named):
    (x, y), (z, t) = moons(100, 0), moons(50, 1)
    arguments = {"train_inputs": x, "train_y": y, "test_inputs": z, "test_y": t} | ARGUMENTS | change
    with pytest.raises(ValueError, match=named):
        fine_tune(network(), **arguments)


def test_divergence_is_an_error_and_not_a_number():
    (x, y), (z, t) = moons(100, 0), moons(50, 1)
    with pytest.raises(FloatingPointError, match="lower lr_trunk"):
        fine_tune(network(), x * 1e4, y, z, t, **ARGUMENTS | {"lr_trunk": 1e6, "lr_head": 1e6})
