"""SupCon as a method: the released loss, unlabelled pictures, learning."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.labels.data import LabelledImages
from nearfar.labels.method import own_class
from nearfar.losses import nt_xent, supcon
from nearfar.reproductions.arms import build
from tests.labels.learning import learn, one_loss, small
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("supcon", "supcon_loss"))
def test_the_released_loss(case: ParityCase) -> None:
    arrays = case.load()
    features, labels = arrays["in_features"], arrays["in_labels"]
    rows = torch.cat(features.unbind(1))
    tau, base = case.hyper["temperature"], case.hyper["base_temperature"]
    value = supcon(rows, labels.repeat(features.shape[1]), temperature=tau, base_temperature=base)
    torch.testing.assert_close(value, arrays["out_loss"], rtol=1e-8, atol=1e-8)
    plain = supcon(rows, labels.repeat(features.shape[1]), temperature=tau)
    torch.testing.assert_close(plain, arrays["out_loss_plain"], rtol=1e-8, atol=1e-8)
    if bool((features.norm(dim=2) - 1).abs().max() < 1e-9):
        grad = arrays.pop("grad_features")
        (own,) = torch.autograd.grad(value, features)
        tangent = grad - (grad * features).sum(2, keepdim=True) * features
        torch.testing.assert_close(own, tangent.detach(), rtol=1e-6, atol=1e-7)
    else:
        assert_parity(case, arrays, value, rtol=1e-7)


def test_without_labels_it_is_simclrs_loss() -> None:
    data = small("labelled-digits")
    assert isinstance(data, LabelledImages)
    method = build("supcon", data, 0).eval()
    blind = data.hiding(np.ones(len(data), bool))
    views = method.views(blind.batch(np.arange(16)))
    z1, z2 = (method.network(v) for v in views.views)
    torch.testing.assert_close(method.loss(views), nt_xent(z1, z2, temperature=method.temperature))
    assert own_class(torch.tensor([3, -1, 3, -1])).tolist() == [3, -2, 3, -4]


@pytest.mark.long
def test_it_learns_classes() -> None:
    method, before, after = learn("supcon", small("labelled-digits", 16), steps=50)
    assert after["linear test"] > before["linear test"] + 0.1
    assert after["knn test"] > before["knn test"] + 0.1
    assert torch.isfinite(one_loss(method, small("labelled-digits", 16)))


def test_all_labels_missing_is_one_sentence() -> None:
    data = small("labelled-digits")
    assert isinstance(data, LabelledImages)
    with pytest.raises(ValueError, match="are missing, and SupCon learns from them"):
        build("supcon", data, 0).begin(data.hiding(np.ones(len(data), bool)))
