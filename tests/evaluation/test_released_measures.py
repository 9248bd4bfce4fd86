"""Measures against values that released evaluation code computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar import evaluation as ev
from nearfar.evaluation.geometry import attention as look
from tests.parity import ParityCase, parity


def arrays_of(case: ParityCase) -> dict[str, Any]:
    """The arrays as NumPy's, without gradients."""
    return {name: value.detach().numpy() for name, value in case.load().items()}


def tensors_of(case: ParityCase) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in case.load().items()}


@pytest.mark.parametrize("case", parity("eval-clustering", "hungarian_and_split"))
def test_clustering_and_its_parts(case: ParityCase) -> None:
    """Both ways of judging old and new classes. Where rows of one class are marked both ways the released code counts
    all its rows on both sides; here that is refused, and the marks are those of whole classes."""
    a = arrays_of(case)
    scores = ev.clustering(a["in_y"], a["in_pred"])
    assert scores["accuracy"] == pytest.approx(a["out_acc"], abs=1e-12)
    for name in ("purity", "nmi", "ari"):
        assert scores[name] == pytest.approx(a[f"out_{name}"], abs=1e-12), name
    for rule, name in (("together", "v2"), ("apart", "v1")):
        found = ev.split_cluster_accuracy(a["in_y"], a["in_pred"], a["in_old"], matching=rule)
        for part in ("all", "old", "new"):
            assert found[part] == pytest.approx(a[f"out_{name}_{part}"], abs=1e-12), (name, part)


@pytest.mark.parametrize("case", parity("vit-analysis", "purity"))
def test_purity(case: ParityCase) -> None:
    a = arrays_of(case)
    scores = ev.clustering(a["in_y_true"], a["in_y_pred"])
    for name in ("purity", "nmi", "ari"):
        assert scores[name] == pytest.approx(a[f"out_{name}"], abs=1e-12), name


@pytest.mark.parametrize("case", parity("eval-corruption", "mce"))
def test_corruption_error(case: ParityCase) -> None:
    """The released code divides by the mean over severities, so every severity has the same reference here."""
    a = arrays_of(case)
    errors = {str(c): (1 - row).tolist() for c, row in enumerate(a["in_acc"])}
    reference = {str(c): [float(mean)] * 5 for c, mean in enumerate(a["in_reference"])}
    found = ev.corruption_error(errors, reference)
    assert found.mce == pytest.approx(float(a["out_mce"]), rel=1e-9)
    assert 1 - found.mean_accuracy == pytest.approx(float(a["out_mean_error_unnormalised"]), rel=1e-9)


@pytest.mark.parametrize("case", parity("eval-detection", "detection"))
def test_detection(case: ParityCase) -> None:
    a = arrays_of(case)
    scores = np.concatenate([a["in_pos"], a["in_neg"]])
    found = ev.detection(scores, np.arange(len(scores)) < len(a["in_pos"]))
    for name in ("auroc", "aupr", "fpr95"):
        assert found[name] == pytest.approx(a[f"out_{name}"], rel=1e-9), name


@pytest.mark.parametrize("case", parity("eval-geometry", "align_uniform"))
def test_alignment_and_uniformity(case: ParityCase) -> None:
    a = arrays_of(case)
    aligned = ev.alignment(a["in_x"], a["in_y"], alpha=case.hyper["alpha"], normalize=False)
    assert aligned == pytest.approx(a["out_align"], rel=1e-9)
    assert ev.uniformity(a["in_x"], t=case.hyper["t"], normalize=False) == pytest.approx(a["out_uniform"], rel=1e-9)


@pytest.mark.parametrize("case", parity("eval-knn", "weighted_knn"))
def test_nearest_neighbours_vote(case: ParityCase) -> None:
    """Percentages are the released ones. Where the neighbours have fewer than five classes the released top five is
    filled up with arbitrary ones; ours counts these as wrong, and says no more than that."""
    a = arrays_of(case)
    bank = (a["in_train"], a["in_train_y"], a["in_test"])
    k, temperature = case.hyper["k"], case.hyper["temperature"]
    np.testing.assert_array_equal(ev.knn_predict(*bank, k=k, temperature=temperature), a["out_pred"])
    for metric, name in (("cosine", "dino"), ("cosine", "solo"), ("euclidean", "solo_euclid")):
        for top in (1, 5):
            found = ev.knn(*bank, a["in_test_y"], k=k, temperature=temperature, metric=metric, top=top)
            expected = float(a[f"out_{name}_top{top}"])
            if top > 1 and k < 20:
                assert 100 * found <= expected
            else:
                assert 100 * found == pytest.approx(expected, abs=1e-9), (name, top)


@pytest.mark.parametrize("case", parity("eval-rank", "rankme"))
def test_rankme(case: ParityCase) -> None:
    a = arrays_of(case)
    assert ev.rankme(a["in_z"], eps=1e-5) == pytest.approx(a["out_rankme_torch"], rel=1e-9)
    assert ev.rankme(a["in_z"]) == pytest.approx(a["out_rankme_eps7"], rel=1e-7)


@pytest.mark.parametrize("case", parity("eval-rank", "lidar"))
def test_lidar(case: ParityCase) -> None:
    """The released code takes rows in blocks of one object; whole blocks up to its cap are a tensor here."""
    a = arrays_of(case)
    q = case.hyper["samples_per_object"]
    n = min(case.hyper["n_objects_cap"], len(a["in_z"]) // q)
    found = ev.lidar(a["in_z"][: n * q].reshape(n, q, -1), delta=case.hyper["delta"], eps=case.hyper["epsilon"])
    assert found == pytest.approx(a["out_lidar"], rel=1e-6)
    assert np.log(found) == pytest.approx(a["out_entropy"], rel=1e-6)


@pytest.mark.parametrize("case", parity("invariance-analysis", "invariance_score"))
def test_invariance_score(case: ParityCase) -> None:
    a = arrays_of(case)
    found = ev.invariance_score(a["in_feat"], a["in_instance"], a["in_classes"])
    for k in (10, 25):
        assert found[f"top {k}"] == pytest.approx(a[f"out_top{k}"], rel=1e-9)


@pytest.mark.parametrize("case", parity("vit-analysis", "attention_metrics"))
def test_where_attention_goes(case: ParityCase) -> None:
    """The released "attention on the class token" of the patches reads the first patch; that is left out."""
    a = tensors_of(case)
    batches = a["in_A"] if a["in_A"].ndim == 6 else a["in_A"][None]
    every = batches.flatten(0, 1)
    close: dict[str, Any] = {"rtol": 0, "atol": 1e-12}
    for layer in range(every.shape[1]):
        seen = every[:, layer].clone()
        for name, measure in (("distance", look.attention_distance), ("token_dev", look.token_position_deviation)):
            torch.testing.assert_close(measure(seen), a[f"out_{name}"][:, layer], **close)
        torch.testing.assert_close(look.head_deviation(seen), a["out_head_dev"][:, layer], **close)
        for name, source in (("all", "all"), ("cls", "class"), ("spc", "patches"), ("spcpure", "patches-only")):
            found = look.attention_on_tokens(seen, source).mean(0)  # type: ignore[arg-type]
            torch.testing.assert_close(found, a[f"out_on_{name}"][layer], **close)
        aligned = look.aligned_attention(seen)
        torch.testing.assert_close(aligned, a["out_aligned_unit"][layer], **close)
        right, down, far = look.attention_offset(aligned).unbind(1)
        for name, found in (("cx", right), ("cy", down), ("d", far)):
            torch.testing.assert_close(found, a[f"out_offset_{name}"][layer], **close, equal_nan=True)
        assert torch.equal(seen, every[:, layer])  # unlike there, nothing is written into what was given


@pytest.mark.parametrize("case", parity("vit-analysis", "attention_mask_iou"))
def test_what_attention_covers(case: ParityCase) -> None:
    a = tensors_of(case)
    mass = case.hyper["mass"]
    for layer in range(len(a["in_A"])):
        seen = a["in_A"][layer : layer + 1]
        for name, source in (("cls", "class"), ("spc", "patches"), ("center", "centre")):
            mask = look.attention_mask(seen, source, mass=mass)  # type: ignore[arg-type]
            torch.testing.assert_close(mask[0].double(), a[f"out_mask_{name}"][layer].double(), rtol=0, atol=0)
            found = look.attention_iou(seen, a["in_gt"][None], source, mass=mass)  # type: ignore[arg-type]
            torch.testing.assert_close(found[0].double(), a[f"out_iou_{name}"][layer].double(), rtol=0, atol=1e-6)
        merged = seen.mean(1, keepdim=True)
        mask = look.attention_mask(merged, "class", mass=mass)
        torch.testing.assert_close(mask[0].double(), a["out_mask_cls_merge"][layer].double(), rtol=0, atol=0)


@pytest.mark.parametrize("case", parity("vit-analysis", "cka"))
def test_centred_kernel_alignment(case: ParityCase) -> None:
    """Of one batch; over several the released code rescales each kernel first (see :func:`minibatch_cka`)."""
    a = arrays_of(case)
    (x,), (y,) = a["in_X"], a["in_Y"]
    parts = {"all": slice(None), "cls": slice(0, 1), "spat": slice(1, None)}
    for name, part in parts.items():
        rows = [m[:, part].reshape(len(m), -1) for m in (x, y)]
        assert ev.minibatch_cka(*rows) == pytest.approx(a[f"out_cka_{name}"], rel=1e-9, abs=1e-12), name
