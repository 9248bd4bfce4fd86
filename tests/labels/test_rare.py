"""GML and SBCL: queues and clusters as released, what they keep, learning under a long tail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.labels.clusters import balanced_kmeans, estimate_classes, semi_supervised_kmeans
from nearfar.labels.keys import ClassQueue
from nearfar.labels.methods.sbcl import subclasses
from nearfar.parts import CosineClassifier
from nearfar.reproductions.arms import build
from tests.labels.learning import learn, one_loss, small
from tests.parity import ParityCase, parity


@pytest.mark.parametrize("case", parity("gml", "class_balanced_queue"))
def test_the_queue_is_the_released_one(case: ParityCase) -> None:
    a = case.load()
    size, base = case.hyper["K"], case.hyper["base_per_class"]
    queue = ClassQueue(size, 1, len(a["in_pi"]), base)
    queue.divide(a["in_pi"].detach())
    assert queue.start.tolist() == a["out_start"].tolist()
    assert queue.slots.tolist() == a["out_slots"].tolist()
    for step in range(3):
        ids = a[f"in_ids_{step}"]
        queue.enqueue(ids[:, None].float(), a[f"in_labels_{step}"], ids)
    written = a["out_queue_i"] >= 0
    assert queue.rows[written].tolist() == a["out_queue_i"][written].tolist()
    assert queue.labels[written].tolist() == a["out_queue_l"][written].tolist()
    assert queue.position.tolist() == a["out_ptr"].tolist()
    with pytest.raises(ValueError, match="base slots for each"):
        ClassQueue(4, 1, 3, 2)


@pytest.mark.parametrize("case", parity("sbcl", "balanced_kmeans"))
def test_balanced_clusters_are_the_released_ones(case: ParityCase) -> None:
    a = {name: value.detach().numpy() for name, value in case.load().items()}
    cosine = case.hyper["distance"] == "cosine"
    found = balanced_kmeans(a["in_x"], a["in_init"], cosine=cosine)
    assert found.assignment.tolist() == a["out_assignment"].tolist()
    np.testing.assert_allclose(found.centres, a["out_centroids"], rtol=1e-9)
    sizes = np.bincount(found.assignment)
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("case", parity("sbcl", "class_temperature"))
def test_class_temperatures_are_the_released_ones(case: ParityCase) -> None:
    a = {name: value.detach().numpy() for name, value in case.load().items()}
    y = np.repeat(np.arange(len(a["in_counts"])), a["in_counts"])
    norms = np.linalg.norm(a["in_features"], axis=1)
    assert np.allclose(norms, 1), "the released code clusters unit rows"
    groups, temperatures = subclasses(a["in_features"], y, len(a["in_counts"]), case.hyper["min_size"], 0.1)
    parts = [len(np.unique(groups[y == c])) for c in range(len(a["in_counts"]))]
    assert parts == a["out_num_subclasses"].tolist()
    np.testing.assert_allclose(temperatures, a["out_class_temperature"], rtol=1e-5)
    assert len(np.unique(groups)) == sum(parts), "subclasses of different classes have different numbers"


@pytest.mark.parametrize("case", parity("gcd", "semi_supervised_kmeans"))
def test_semi_supervised_clusters_are_the_released_ones(case: ParityCase) -> None:
    a = {name: value.detach().numpy() for name, value in case.load().items()}
    k = case.hyper["k"]
    found = semi_supervised_kmeans(
        a["in_u"], a["in_l"], a["in_l_targets"], k, centres=a["in_init"], iterations=case.hyper["max_iterations"]
    )
    assert found.assignment.tolist() == a["out_labels"].tolist()
    assert found.inertia == pytest.approx(float(a["out_inertia"]), rel=1e-9)
    np.testing.assert_allclose(found.centres, a["out_centers"], rtol=1e-9)
    with pytest.raises(ValueError, match="at least the"):
        semi_supervised_kmeans(a["in_u"], a["in_l"], a["in_l_targets"], 1)


def test_the_number_of_classes_is_found() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(6), 30)
    x = 8 * rng.normal(size=(6, 5))[y] + rng.normal(size=(180, 5))
    known = np.where(y < 4, y, -1)
    assert abs(estimate_classes(x, known, most=12) - 6) <= 2


def test_gml_learns_rare_classes_and_predicts_without_the_prior() -> None:
    data = small("long-tailed-digits", 16)
    method, before, after = learn("gml", data, steps=60)
    assert after["predicted balanced test"] > before["predicted balanced test"] + 0.2
    for name in ("few test", "many test", "predicted few test"):
        assert 0 <= after[name] <= 1
    assert (method.queue.labels >= 0).sum() > 150
    batch = data.batch(np.arange(8))
    with method.frozen():
        assert torch.equal(method.predict(batch), method.classifier(method.encode(batch)).argmax(1))
    one = CosineClassifier(3, 2, 5.0)
    torch.testing.assert_close(one(7 * torch.ones(1, 3)), one(torch.ones(1, 3)))


def test_sbcl_splits_common_classes_and_learns() -> None:
    data = small("long-tailed-digits", 16)
    method, before, after = learn("sbcl", data, steps=45, warmup_epochs=6, recluster_epochs=6)
    assert after["balanced test"] > before["balanced test"] + 0.05
    groups = method.subclass[torch.from_numpy(data.chosen)].numpy()
    assert len(np.unique(groups[data.seen == 0])) == 12
    assert len(np.unique(groups[data.seen == 9])) == 1
    assert set(one_loss(method, data)) == {"subclass", "class"}


def test_settings_and_data_that_do_not_fit_get_one_sentence() -> None:
    data = small("long-tailed-digits")
    with pytest.raises(ValueError, match="base slots for each"):
        build("gml", data, 0, queue_size=10)
    with pytest.raises(ValueError, match="recluster_epochs and least must be at least 1"):
        build("sbcl", data, 0, least=0)
    gone = data.hiding(data.seen == 9)
    with pytest.raises(ValueError, match="has no labelled picture; GML weighs"):
        build("gml", gone, 0).begin(gone)
