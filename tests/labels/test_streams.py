"""Sy-CON, SemiCon and geography-aware pre-training: memories and queues as released, learning, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nearfar.labels.data import LabelledImages
from nearfar.labels.evaluation import evaluate
from nearfar.labels.keys import Reservoir
from nearfar.labels.methods.semicon import SemiCon, nearest_mean
from nearfar.reproductions.arms import build, train
from tests.labels.learning import learn, one_loss, small
from tests.parity import ParityCase, parity


def test_a_reservoir_is_a_uniform_sample_of_what_went_by() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = np.zeros(40)
    for _ in range(300):
        memory = Reservoir(8, (1, 1, 1))
        for part in torch.arange(40).split(7):
            draws = torch.rand(len(part), generator=generator, dtype=torch.float64)
            memory.admit(torch.zeros(len(part), 1, 1, 1, dtype=torch.uint8), part, draws)
        assert len(memory) == 8
        counts[memory.labels.numpy()] += 1
    expected = 300 * 8 / 40
    assert abs(counts - expected).max() < 5 * np.sqrt(expected)
    filling = Reservoir(4, (1, 1, 1))
    assert filling.slots(torch.tensor([0.9, 0.1, 0.5, 0.0])) == [0, 1, 2, 3], "while it fills, chance decides nothing"
    assert filling.slots(torch.tensor([0.9, 0.9, 0.9, 0.9, 0.5, 0.99])) == [0, 1, 2, 3, 2, -1]


def test_semicon_asks_for_labels_of_what_it_keeps_alone() -> None:
    data = small("digit-tasks")
    method = train("semicon", build("semicon", data, 0, memory=40), data, 0, epochs=1)
    assert len(method.memory) == 40
    assert 40 <= int(method.asked) < 0.3 * len(data)
    scores = method.evaluate(data)
    assert scores["labels asked"] == float(method.asked)
    assert scores["ncm"] > 0.2
    assert "forgetting" in scores
    everything = np.concatenate([np.asarray(t.labels) for t in data.tasks])
    assert set(method.memory.labels.tolist()) <= set(everything.tolist())
    bank = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert nearest_mean(bank, np.array([3, 5]), np.array([[2.0, 1.0], [0.1, 1.0]])).tolist() == [3, 5]


def test_labels_of_the_stream_are_not_looked_at() -> None:
    task = small("digit-tasks").tasks[0]
    assert isinstance(task, LabelledImages)
    method = build("semicon", small("digit-tasks"), 0)
    blind = task.hiding(np.ones(len(task), bool))
    assert torch.equal(one_loss(method, task), one_loss(method, blind))


def test_sycon_is_moco_first_and_shares_negatives_later() -> None:
    data = small("digit-tasks")
    method = build("sy-con", data, 0, queue_size=32)
    method.begin(data)
    method.begin_task(0, data.tasks[0])
    assert set(one_loss(method, data.tasks[0], 16)) == {"plasticity"}
    method.after_step()
    method.begin_task(1, data.tasks[1])
    assert set(one_loss(method, data.tasks[1], 16)) == {"plasticity", "stability"}
    assert len(method.negatives(0)) == 32, "the past's queue is not full yet"
    for step in range(2):
        one_loss(method, data.tasks[1], 16, step)
        method.after_step()
    assert len(method.negatives(0)) == 64
    assert torch.equal(method.negatives(1)[:32], method.queues[1].keys)


def test_sycon_learns_a_stream() -> None:
    data = small("digit-tasks")
    method = build("sy-con", data, 0, queue_size=64)
    before = evaluate(method.eval(), data)
    method.train()
    after = evaluate(train("sy-con", method, data, 0, steps=50, batch_size=32), data)
    assert np.isfinite(after["forgetting"])
    assert after["linear all tasks"] > before["linear all tasks"] - 0.05


@pytest.mark.parametrize("case", parity("geo-ssl", "geo_moco"))
def test_geo_moco_is_the_released_sum(case: ParityCase) -> None:
    a = case.load()
    method = build("geo-ssl", small("places"), 0, temperature=case.hyper["temperature"])
    method.queue.keys = a["in_queue"].detach().T.contiguous()
    linear = nn.Linear(6, 4).double()
    linear.weight, linear.bias = (nn.Parameter(a[f"in_geo_{n}"].detach().clone()) for n in ("w", "b"))
    q = a["in_q_raw"]
    contrast = method.contrast(q, a["in_k_raw"].detach())
    regions = nn.functional.cross_entropy(nn.Sequential(nn.ReLU(), linear)(q), a["in_cluster"])
    torch.testing.assert_close(contrast, a["out_loss_moco"])
    torch.testing.assert_close(regions, a["out_loss_geo"])
    found = torch.autograd.grad(contrast + regions, [q, linear.weight, linear.bias])
    for own, name in zip(found, ("q_raw", "geo_w", "geo_b"), strict=True):
        if f"grad_{name}" in a:
            torch.testing.assert_close(own, a[f"grad_{name}"])


def test_places_at_other_times_are_positives_and_the_sphere_has_no_edge() -> None:
    data = small("places", 16)
    method, before, after = learn("geo-ssl", data, steps=60)
    assert after["effective_rank"] > 3
    assert after["linear test"] > before["linear test"] - 0.1
    batch = data.batch(np.arange(6))
    both = [build("geo-ssl", data, 0, temporal=t) for t in (True, False)]
    for each in both:
        each.generator.manual_seed(0)
    apart = [float((m.views(batch).views[0] - m.views(batch).views[1]).abs().mean()) for m in both]
    assert apart[0] != apart[1]
    east, west = torch.tensor([[10.0, 179.9]]), torch.tensor([[10.0, -179.9]])
    assert torch.equal(method.region(east), method.region(west))


def test_data_that_does_not_fit_gets_one_sentence() -> None:
    data = small("places")
    with pytest.raises(ValueError, match="places, fewer than 500 regions"):
        build("geo-ssl", data, 0, regions=500).begin(data)
    digits = small("labelled-digits")
    with pytest.raises(ValueError, match="no latitude and longitude"):
        build("geo-ssl", digits, 0).begin(digits)
    with pytest.raises(TypeError, match="semicon takes pictures with their class numbers"):
        build("semicon", small("attribute-features"), 0)
    with pytest.raises(ValueError, match="picture_size is needed"):
        SemiCon("small-conv")
