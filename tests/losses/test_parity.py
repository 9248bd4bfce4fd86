"""The founding losses against values and gradients that systems' own released code computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar import losses
from tests.parity import ParityCase, assert_parity, parity

Arrays = dict[str, Tensor]


def total(terms: Tensor | dict[str, Tensor]) -> Tensor:
    return terms if isinstance(terms, Tensor) else torch.stack([*terms.values()]).sum()


def simclr_tf(a: Arrays, h: dict[str, Any]) -> Tensor:
    """The released value adds both directions: twice the mean over the 2N anchors."""
    return 2 * losses.nt_xent(*a["in_hidden"].chunk(2), temperature=h["temperature"])


def nt_xent(a: Arrays, h: dict[str, Any]) -> Tensor:
    return losses.nt_xent(a["in_z1"], a["in_z2"], temperature=h["temperature"])


def bank(a: Arrays, h: dict[str, Any]) -> Tensor:
    return losses.info_nce(
        a["in_z1"],
        a["in_z2"],
        temperature=h["temperature"],
        negatives=a["in_bank"].detach().to(a["in_z1"].dtype),
        in_batch=False,
    )


def moco_v3(a: Arrays, h: dict[str, Any]) -> Tensor:
    """The release multiplies each direction by 2 T."""
    directions = [
        losses.info_nce(a[f"in_q{x}"], a[f"in_k{y}"].detach(), temperature=h["T"]) for x, y in ((1, 2), (2, 1))
    ]
    return 2 * h["T"] * (directions[0] + directions[1])


def byol(a: Arrays, h: dict[str, Any]) -> Tensor:
    """The released names: predictions of view 1 are compared with targets of view 2."""
    return losses.byol_regression(a["in_p1"], a["in_p2"], a["in_t1"].detach(), a["in_t2"].detach())


def simsiam(a: Arrays, h: dict[str, Any]) -> Tensor:
    first = losses.negative_cosine(a["in_p1"], a["in_z2"].detach())
    return (first + losses.negative_cosine(a["in_p2"], a["in_z1"].detach())) / 2


def barlow(a: Arrays, h: dict[str, Any]) -> Tensor:
    return losses.barlow_twins(a["in_z1"], a["in_z2"], lambd=h["lambd"])


def vicreg(a: Arrays, h: dict[str, Any]) -> Tensor:
    weights = {"invariance": h["sim"], "variance": h["std"], "covariance": h["cov"]}
    return total(losses.vicreg(a["in_x"], a["in_y"], **weights))


def grace(a: Arrays, h: dict[str, Any]) -> Tensor:
    return losses.grace(a["in_h1"], a["in_h2"], temperature=h["tau"])


def simcse(a: Arrays, h: dict[str, Any]) -> Tensor:
    return losses.info_nce(a["in_z1"], a["in_z2"], temperature=h["temperature"])


def simcse_supervised(a: Arrays, h: dict[str, Any]) -> Tensor:
    return losses.info_nce(
        a["in_z1"],
        a["in_z2"],
        temperature=h["temperature"],
        hard_negatives=a["in_z3"],
        hard_negative_bias=h["hard_negative_weight"],
    )


def care(a: Arrays, h: dict[str, Any]) -> Tensor:
    return losses.nt_xent(a["in_z1"], a["in_z2"], temperature=h["temperature"])


def entropy(a: Arrays, h: dict[str, Any]) -> Tensor:
    return losses.normalized_entropy(a["in_logits"])


def cross_domain(a: Arrays, h: dict[str, Any]) -> Tensor:
    return losses.aligned_patch_contrast(
        a["in_anchor"],
        a["in_positive"],
        a["in_confidence"],
        a["in_queue"].detach().T,
        temperature=h["temperature"],
        grid=h["num_grid"],
        min_confidence=h["confidence_threshold"],
    )


CASES: list[tuple[list[Any], Callable[[Arrays, dict[str, Any]], Tensor], set[str]]] = [
    (parity("simclr", "nt_xent_simclr_tf"), simclr_tf, set()),
    (parity("simclr", "nt_xent_two_views_lightly"), nt_xent, set()),
    (parity("simclr", "nt_xent_memory_bank_lightly"), bank, set()),
    (parity("moco", "moco_v3_loss"), moco_v3, {"k1", "k2"}),
    (parity("byol", "byol_loss"), byol, {"t1", "t2"}),
    (parity("simsiam", "simsiam_loss"), simsiam, {"z1", "z2"}),
    (parity("barlow-twins", "barlow_loss"), barlow, set()),
    (parity("vicreg", "vicreg_loss"), vicreg, set()),
    (parity("grace", "grace_loss"), grace, set()),
    (parity("simcse", "unsup"), simcse, set()),
    (parity("simcse", "sup"), simcse_supervised, set()),
    (parity("care", "infonce"), care, set()),
    (parity("cma", "normalized_entropy"), entropy, set()),
    (parity("cma", "cdc_loss"), cross_domain, {"queue", "positive", "confidence"}),
]


def parameters() -> list[Any]:
    found = []
    for number, (cases, call, still) in enumerate(CASES):
        for parameter in cases:
            (case,) = parameter.values
            name = f"{case.slug}-{case}" if case else f"absent-{number}"
            found.append(pytest.param(case, call, still, id=name, marks=parameter.marks))
    return found


@pytest.mark.parametrize(("case", "call", "still"), parameters())
def test_a_loss_is_the_released_one(
    case: ParityCase, call: Callable[[Arrays, dict[str, Any]], Tensor], still: set[str]
) -> None:
    """Values and gradients; gradients of what the release holds still are not compared. Where the library normalises
    inside, the part of a gradient along the sphere is."""
    arrays = case.load()
    value = call(arrays, case.hyper)
    for name in still:
        arrays.pop(f"grad_{name}", None)
    for name in [n for n in arrays if n.startswith("grad_") and f"in_{n[5:]}" not in arrays]:
        arrays.pop(name)
    expected = arrays["out_loss"]
    torch.testing.assert_close(value.to(expected.dtype), expected, rtol=1e-6, atol=1e-8)
    wanted = {n[5:]: g for n, g in arrays.items() if n.startswith("grad_")}
    found = torch.autograd.grad(value, [arrays[f"in_{n}"] for n in wanted], allow_unused=True)
    for (name, grad), own in zip(wanted.items(), found, strict=True):
        own = torch.zeros_like(grad) if own is None else own
        rows = arrays[f"in_{name}"].detach()
        if case.slug == "care":  # released code is given unit rows and does not normalise
            own, grad = (g - (g * rows).sum(-1, keepdim=True) * rows for g in (own, grad))
        torch.testing.assert_close(own, grad, rtol=1e-5, atol=1e-7, msg=lambda m, n=name: f"gradient of {n}: {m}")


@pytest.mark.parametrize("case", parity("swav", "sinkhorn"))
def test_sinkhorn_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    codes = losses.sinkhorn(arrays["in_scores"], epsilon=case.hyper["epsilon"], iterations=case.hyper["iterations"])
    torch.testing.assert_close(codes.double(), arrays["out_q"].double(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("case", parity("relic", "own_relic"))
def test_relic_is_its_formula(case: ParityCase) -> None:
    arrays = case.load()
    views = [arrays[f"in_{name}"] for name in ("o1", "o2", "t1", "t2")]
    for mode in ("full", "sg_entropy", "sg_target"):
        terms = losses.relic(
            views[0],
            views[1],
            views[2].detach(),
            views[3].detach(),
            temperature=case.hyper["temperature"],
            alpha=case.hyper["alpha"],
            kl_mode=mode,
        )
        value = total(terms)
        torch.testing.assert_close(value.double(), arrays["out_loss"].double(), rtol=1e-6, atol=1e-8)
        for name, own in zip(("o1", "o2"), torch.autograd.grad(value, views[:2]), strict=True):
            expected = arrays.get(f"grad_{mode}_{name}")
            assert expected is not None
            torch.testing.assert_close(own, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("case", parity("poly-view", "own_poly_view"))
@pytest.mark.parametrize("variant", ["geometric", "arithmetic", "sufficient_statistics"])
def test_poly_view_is_its_formula(case: ParityCase, variant: Any) -> None:
    arrays = case.load()
    views = [*arrays["in_z"].transpose(0, 1)]
    value = losses.poly_view(views, temperature=case.hyper["temperature"], variant=variant.replace("_", "-"))
    torch.testing.assert_close(value.double(), arrays[f"out_{variant}"].double(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("case", parity("clip", "clip"))
def test_clip_is_the_released_one(case: ParityCase) -> None:
    """The release does not normalise inside; a bias moves every logit alike and changes nothing."""
    arrays = case.load()
    temperature = 1 / arrays["in_log_scale"].exp()
    value = losses.symmetric_info_nce(arrays["in_image"], arrays["in_text"], temperature=temperature, normalize=False)
    arrays.pop("grad_bias", None)
    assert_parity(case, arrays, value, rtol=1e-6)


@pytest.mark.parametrize("case", parity("er", "sphere"))
def test_entropies_on_the_sphere_are_the_released_ones(case: ParityCase) -> None:
    """The release adds 1e-7 inside a logarithm; the cases say what that adds, and the library leaves it out."""
    arrays = case.load()
    shift = arrays["out_legacy_minus_exact"].double()
    found = {
        "H_plugin": losses.vmf_entropy(arrays["in_z1"], kappa=case.hyper["kappa"], estimator="plug-in"),
        "rec": losses.vmf_reconstruction(arrays["in_z1"], arrays["in_z2"], kappa=case.hyper["kappa"]),
    }
    for name, value in found.items():
        torch.testing.assert_close(value.double(), arrays[f"out_{name}"].double() - shift, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", parity("mae", "loss"))
def test_masked_reconstruction_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    n, c, height, width = arrays["in_imgs"].shape
    p = case.hyper["patch"]
    patches = arrays["in_imgs"].detach().reshape(n, c, height // p, p, width // p, p)
    patches = patches.permute(0, 2, 4, 3, 5, 1).reshape(n, -1, p * p * c)
    value = losses.masked_reconstruction(
        arrays["in_pred"], patches, arrays["in_mask"].detach().bool(), normalise=case.hyper["norm_pix"]
    )
    arrays = {k: v for k, v in arrays.items() if k in ("in_pred", "out_loss", "grad_pred")}
    assert_parity(case, arrays, value, rtol=1e-6)


@pytest.mark.parametrize("case", parity("jigclu", "supclu"))
def test_supervised_clustering_is_the_released_one(case: ParityCase) -> None:
    """Released rows are unit vectors; a row without a partner gives NaN there and nothing here."""
    arrays = case.load()
    expected = arrays["out_loss"]
    labels = arrays["in_labels"]
    value = losses.supcon(
        F.normalize(arrays["in_z"], dim=1),
        labels,
        temperature=case.hyper["temperature"],
        base_temperature=case.hyper["base_temperature"],
    )
    if expected.isnan():
        counts = torch.bincount(labels)
        assert (counts[labels] == 1).any()
        assert value.isfinite()
        return
    torch.testing.assert_close(value.double(), expected.double(), rtol=1e-6, atol=1e-8)
