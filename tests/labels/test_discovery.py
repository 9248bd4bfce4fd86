"""GCD, ProtoGCD and CoVi: the released sums, groups and scores, adaptation, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.labels.data import LabelledImages
from nearfar.reproductions.arms import build
from tests.labels.learning import assert_same_on_the_sphere, learn, one_loss, small
from tests.parity import ParityCase, parity


@pytest.mark.parametrize("case", parity("protogcd", "total_loss"))
def test_protogcd_is_the_released_sum(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    a, hyper = case.load(), case.hyper
    method = build("protogcd", small("open-digits"), 0, temperature=1.0, num_classes=5)
    method.weight_labelled, method.entropy, method.separation = hyper["lam"], hyper["w_e"], hyper["w_s"]
    ratio = hyper["init_ratio"] + (1 - hyper["init_ratio"]) * hyper["epoch"] / 99
    monkeypatch.setattr(type(method), "hard_share", property(lambda self: ratio))
    method.classifier.weight = torch.nn.Parameter(a["in_prototypes"].detach().clone())
    labels = torch.where(a["in_labelled"], a["in_labels"], -1)
    terms = method.terms(a["in_logits"].chunk(2), a["in_z"].chunk(2), labels)
    share = 1 - hyper["lam"]
    for own, name in (("pseudo", "pl"), ("views", "unsup")):
        torch.testing.assert_close(terms[own], share * a[f"out_{name}"], msg=own)
    torch.testing.assert_close(terms["labels"], hyper["lam"] * a["out_ce"])
    torch.testing.assert_close(terms["classes"], hyper["lam"] * a["out_sup"])
    value = torch.stack(list(terms.values())).sum()
    torch.testing.assert_close(value, a["out_loss"], rtol=1e-6, atol=1e-7)
    found = torch.autograd.grad(value, [a["in_logits"], a["in_z"]], retain_graph=True)
    torch.testing.assert_close(found[0], a["grad_logits"], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found[1], a["grad_z"], rtol=1e-6, atol=1e-7)
    assert_same_on_the_sphere(value, method.classifier.weight, a["grad_prototypes"])


def test_gcd_groups_old_and_new_classes() -> None:
    data = small("open-digits", 16)
    method, before, after = learn("gcd", data, steps=60, restarts=3)
    assert after["all"] > before["all"] + 0.1
    assert after["new"] > before["new"]
    groups = method.groups(data)
    known = data.seen >= 0
    assert np.array_equal(groups[known], data.seen[known]), "labelled pictures keep their class's number"
    assert set(groups.tolist()) == set(range(10))
    assert np.array_equal(groups, method.groups(data))
    assert 6 <= method.count_classes(data) <= 24


def test_protogcd_names_groups_without_clustering_and_tells_strangers() -> None:
    data = small("open-digits", 16)
    method, before, after = learn("protogcd", data, steps=60)
    assert after["all"] > before["all"] + 0.2
    assert after["old"] > 0.5
    batch = data.batch(np.arange(64))
    with method.frozen():
        sure = method.score(batch)
        noise = torch.randint(0, 255, batch.pictures.images.shape, dtype=torch.uint8)
        strange = method.score(batch._replace(pictures=batch.pictures._replace(images=noise)))
    assert float(sure.min()) > 0
    assert float(sure.max()) <= 1
    assert float(sure.mean()) > float(strange.mean())
    assert method.hard_share == 1.0
    assert build("protogcd", data, 0).hard_share == 0.0


def test_epochs_draw_labelled_and_unlabelled_pictures_equally() -> None:
    data = small("open-digits")
    order = build("gcd", data, 0).order(data, np.random.default_rng(0))
    assert abs((data.seen[order] >= 0).mean() - 0.5) < 0.05


@pytest.mark.long
def test_covi_adapts_to_the_target() -> None:
    data = small("shifted-digits", 16)
    method, before, after = learn("covi", data, steps=120)
    assert after["predicted target"] > before["predicted target"] + 0.2
    assert method.phase == "vicinal"
    rows = method.order(data, np.random.default_rng(0))
    terms = one_loss(method, data.subset(rows), 64)
    assert set(terms) == {"balance", "contrast", "consensus"}


def test_the_balance_is_where_the_network_is_least_sure() -> None:
    data = small("shifted-digits")
    method = build("covi", data, 0).eval()
    batch = data.batch(np.arange(8)).pictures.images.float() / 255
    xs, xt = batch[:4], batch[4:]
    with torch.no_grad():
        found = method.balance(xs, xt)

        def entropy(tenth: int, row: int) -> float:
            p = method.network(tenth / 10 * xs[[row]] + (1 - tenth / 10) * xt[[row]]).softmax(1)
            return float(-(p * p.log()).sum())

        for row, tenth in enumerate(found.tolist()):
            best = max(entropy(t, row) for t in range(1, 10))
            assert entropy(tenth, row) == pytest.approx(best, rel=1e-4)
        halves = build("covi", data, 0, search="half").balance(xs, xt)
    assert halves.tolist() == [5] * 4


def test_each_batch_pairs_source_and_target() -> None:
    data = small("shifted-digits")
    order = build("covi", data, 0).order(data, np.random.default_rng(0))
    assert len(order) == len(data)
    domain = data.marks["domain"][order[: 2 * (len(data) // 2)]]
    assert domain.tolist() == [0, 1] * (len(data) // 2)


def test_data_that_does_not_fit_gets_one_sentence() -> None:
    data = small("open-digits")
    assert isinstance(data, LabelledImages)
    everything = LabelledImages(data.images, data.labels, classes=range(10))
    with pytest.raises(ValueError, match="unlabelled pictures of old and of new classes"):
        build("gcd", data, 0).evaluate(everything)
    with pytest.raises(ValueError, match="CoVi learns from the domain of pictures"):
        build("covi", data, 0).begin(data)
    one = LabelledImages(data.images, data.labels, classes=range(10), marks={"domain": np.zeros(len(data), int)})
    with pytest.raises(ValueError, match="pictures of one domain only"):
        build("covi", data, 0).begin(one)
    with pytest.raises(ValueError, match="2 or more classes"):
        build("protogcd", data, 0, num_classes=1)
