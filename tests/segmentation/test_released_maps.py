"""Segmentation and dense pre-training against values and gradients that released code computed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.losses import pixel_consistency, prototype_contrast
from nearfar.parts import ClassPrototypes, PixelPropagation
from nearfar.parts.warp import flow_confidence, warp
from nearfar.segmentation import mixing
from nearfar.segmentation.classes import IGNORE
from nearfar.segmentation.dense import DenseViews, to_cells
from nearfar.segmentation.method import cross_entropy, hard_pixel_cross_entropy
from nearfar.segmentation.methods.dacs import margins
from nearfar.segmentation.methods.daformer import distance_to_reference, thing_mask
from nearfar.segmentation.methods.densecl import DenseCL
from nearfar.segmentation.mixing import class_mix_mask, mix
from nearfar.segmentation.places import close_cells
from nearfar.segmentation.pseudo_labels import pseudo_labels
from nearfar.segmentation.resolutions import Box, TwoResolutions
from nearfar.segmentation.sampling import rare_class_probabilities
from nearfar.segmentation.source_labels import balanced_labels, class_thresholds
from nearfar.segmentation.spaces import follow, ramp_down
from tests.parity import ParityCase, parity

CLOSE: dict[str, Any] = {"rtol": 1e-7, "atol": 1e-9}
SINGLE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}  # logits are taken in float32


def gradients_are(loss: Tensor, inputs: dict[str, Tensor], a: dict[str, Tensor], **close: float) -> None:
    found = torch.autograd.grad(loss, [*inputs.values()], retain_graph=True, allow_unused=True)
    for name, own in zip(inputs, found, strict=True):
        own = torch.zeros_like(inputs[name]) if own is None else own
        torch.testing.assert_close(own, a[f"grad_{name}"], **(close or CLOSE), msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("case", parity("daformer", "dacs_mix"))
def test_mixed_pictures(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    a, h = case.load(), case.hyper
    labels, pictures, targets = a["in_label"][:, 0], a["in_img"].detach(), a["in_target_img"].detach()
    keys = torch.ones(len(labels), mixing.CLASSES)
    for i in range(len(labels)):
        chosen = labels.unique()[a[f"in_choice_{i}"]]
        keys[i, chosen] = torch.linspace(0, 0.5, len(chosen))
    monkeypatch.setattr(mixing, "for_examples", lambda draw, count: keys)
    mask = class_mix_mask(labels)
    believed = pseudo_labels(a["in_teacher_logits"].detach(), h["pseudo_threshold"])
    assert torch.equal(believed.labels, a["out_pseudo_label"])
    torch.testing.assert_close(believed.weight.double(), a["out_q"], **SINGLE)
    trust = believed.weight * (margins(targets, h["ignore_top"], h["ignore_bottom"], 0) != IGNORE)
    torch.testing.assert_close(mix(mask, pictures, targets), a["out_mixed_img"], rtol=0, atol=0)
    assert torch.equal(mix(mask, labels, believed.labels), a["out_mixed_label"][:, 0])
    weight = mix(mask, torch.ones_like(trust), trust)
    torch.testing.assert_close(weight.double(), a["out_weight"], **SINGLE)


@pytest.mark.parametrize("case", parity("daformer", "weighted_ce"))
def test_weighted_pixels(case: ParityCase) -> None:
    a = case.load()
    value = cross_entropy(a["in_logits"], a["in_label"], a["in_weight"].detach())
    torch.testing.assert_close(value.double(), a["out_loss"], **SINGLE)
    plain = cross_entropy(a["in_logits"], a["in_label"])
    torch.testing.assert_close(plain.double(), a["out_loss_unweighted"], **SINGLE)
    gradients_are(value, {"logits": a["in_logits"]}, a, **SINGLE)


@pytest.mark.parametrize("case", parity("daformer", "rare_class_probs"))
def test_how_often_classes_are_asked_for(case: ParityCase) -> None:
    a = case.load()
    counts = a["in_counts"].clamp_min(0).numpy()
    found = rare_class_probabilities(counts, case.hyper["temperature"])
    classes = a["out_classes"].numpy()
    np.testing.assert_allclose(found[classes], a["out_probs"].numpy(), rtol=1e-5)
    assert found.sum() == pytest.approx(found[classes].sum())


@pytest.mark.parametrize("case", parity("daformer", "feature_distance"))
def test_distance_to_the_reference(case: ParityCase) -> None:
    """0 where no thing is, and NaN there."""
    a, h = case.load(), case.hyper
    features = a["in_feat"]
    size = (features.shape[2], features.shape[3])
    mask = thing_mask(a["in_label"][:, 0], size, h["num_classes"], tuple(h["thing_classes"]), h["min_ratio"])
    assert torch.equal(mask, a["out_mask"][:, 0])
    value = h["weight"] * distance_to_reference(features, a["in_ref"].detach(), mask)
    if not mask.any():
        assert float(value) == 0
        return
    torch.testing.assert_close(value.double(), a["out_loss"], **SINGLE)
    gradients_are(value, {"feat": features}, a, **SINGLE)


class Stub(nn.Module):
    """Answers what was asked first with the first answer, and so on; its maps are what it was shown."""

    out_features = 3

    def __init__(self, *answers: Tensor) -> None:
        super().__init__()
        self.answers = [*answers]

    def forward(self, *given: Any) -> Tensor:
        return self.answers.pop(0)

    def maps(self, pictures: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(pictures, 4)]


@pytest.mark.parametrize("case", parity("hrda", "fusion_train"))
def test_two_resolutions_are_fused(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    logits = {name: a[f"in_{name}"] for name in ("lr_logits", "hr_logits", "att_logits")}
    labels, weight = a["in_label"][:, 0].long(), a["in_weight"].detach()
    height, width = labels.shape[1:]
    corners = [int(x) for x in a["in_box"]] or [0, height, 0, width]
    box = Box(*corners)
    network = TwoResolutions(Stub(), Stub(logits["hr_logits"], logits["lr_logits"]), Stub(logits["att_logits"]))  # type: ignore[arg-type]
    fused, detail, _ = network.with_detail(torch.zeros(len(labels), 3, height, width, dtype=torch.float64), box)
    torch.testing.assert_close(fused, a["out_fused"], **CLOSE)
    share = h["hr_loss_weight"]
    whole = (1 - share) * cross_entropy(fused, labels, weight)
    part = share * cross_entropy(detail, box.cut(labels), box.cut(weight))
    torch.testing.assert_close(whole.double(), a["out_loss_fused"], **SINGLE)
    torch.testing.assert_close(part.double(), a["out_loss_hr"], **SINGLE)
    torch.testing.assert_close((whole + part).double(), a["out_loss"], **SINGLE)
    gradients_are(whole + part, logits, a, **SINGLE)


@pytest.mark.parametrize("case", parity("densecl", "densecl_forward"))
def test_a_step_of_densecl(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients are compared along the sphere, where the queries' lengths do not count; what is pooled for the second
    queue is the case's."""
    a, h = case.load(), case.hyper
    queue, pooled = a["in_queue"].detach().T, a["in_queue2"].detach().T
    method = DenseCL(
        "small-dense", projection_dim=queue.shape[1], queue_size=len(queue), temperature=h["temperature"],
        dense_weight=h["loss_lambda"],
    ).double()  # fmt: skip
    method.queue.keys.copy_(queue)
    method.dense_queue.keys.copy_(pooled)
    keys = (a["in_b_k"].detach(), a["in_k"].detach(), a["in_g_k"].detach().mT)
    monkeypatch.setattr(method, "map", lambda view: a["in_b_q"].detach())
    monkeypatch.setattr(method, "keys", lambda view: keys)
    method.head, method.dense_head = Stub(a["in_q"]), Stub(a["in_g_q"].mT.flatten(0, 1))  # type: ignore[assignment]
    nothing = torch.zeros(0)
    terms = method.loss(DenseViews(nothing, nothing, nothing, nothing))
    for name, released in (("image", "single"), ("dense", "dense")):
        torch.testing.assert_close(terms[name], a[f"out_loss_{released}"], **CLOSE)
    gradients_are(terms["image"] + terms["dense"], {"q": a["in_q"], "g_q": a["in_g_q"]}, a)
    method.queue.enqueue(method.collected("keys"))
    method.dense_queue.enqueue(a["in_k2"].detach())
    torch.testing.assert_close(method.queue.keys.T, a["out_queue_after"], **CLOSE)
    torch.testing.assert_close(method.dense_queue.keys.T, a["out_queue2_after"], **CLOSE)


@pytest.mark.parametrize("case", parity("pixpro", "pixel_propagation"))
def test_cells_are_propagated(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    z, up = a["in_z"], a["in_w_up"].detach()
    layers = h["value_layers"]
    module = PixelPropagation(z.shape[1], power=h["power"], clamp=h["clamp"], value_layers=layers).double()
    inputs = {"z": z}
    for name in ("weight", "bias") if layers == 1 else ():
        inputs[name] = module.value.get_parameter(f"0.{name}")
        inputs[name].data.copy_(a[f"in_{name}"])
    y = module(to_cells(z)).mT.view_as(z)
    torch.testing.assert_close(y, a["out_y"], **CLOSE)
    gradients_are((y * up).sum(), inputs, a)


@pytest.mark.parametrize("case", parity("pixpro", "pixpro_regression_loss"))
def test_close_cells_agree(case: ParityCase) -> None:
    """Released cells are given with length 1, and get gradients along their lengths too; ours are normalised inside,
    and the targets get none."""
    a = case.load()
    q, k, first, second = (a[f"in_{n}"] for n in ("q", "k", "coord_q", "coord_k"))
    close = close_cells(first.detach(), second.detach(), (q.shape[2], q.shape[3]), case.hyper["pos_ratio"])
    assert close.sum((1, 2)).tolist() == a["out_n_pos"].tolist()
    value = pixel_consistency(to_cells(q), to_cells(k), close)
    torch.testing.assert_close(value, a["out_loss"], **SINGLE)  # pairs are counted in float32 there
    back = pixel_consistency(to_cells(k), to_cells(q), close.mT)
    torch.testing.assert_close(back, a["out_loss_reverse"], **SINGLE)
    (found,) = torch.autograd.grad(value, q)
    unit = q.detach()
    expected = a["grad_q"] - (a["grad_q"] * unit).sum(1, keepdim=True) * unit
    torch.testing.assert_close(found, expected, **SINGLE)


@pytest.mark.parametrize("case", parity("cma", "warp_and_confidence"))
def test_maps_are_warped(case: ParityCase) -> None:
    """A picture that stays where it is keeps its edge; in the released code only where the whole batch does."""
    a = case.load()
    warped, inside = warp(a["in_x"], a["in_flow"].detach())
    torch.testing.assert_close(warped, a["out_warped"], **CLOSE)
    still = (a["in_flow"] == 0).flatten(1).all(1)
    assert torch.equal(inside[:, 0], a["out_mask"] | still[:, None, None])
    trust = flow_confidence(a["in_logvar"].detach(), case.hyper["R"])
    torch.testing.assert_close(trust, a["out_prob"], **CLOSE)
    weights = torch.arange(warped.numel(), dtype=warped.dtype).view_as(warped) / 100
    gradients_are((warped * weights).sum(), {"x": a["in_x"]}, a)


@pytest.mark.parametrize("case", parity("cma", "pseudo_labels"))
def test_classes_are_held_to_their_own_standard(case: ParityCase) -> None:
    a = case.load()
    probabilities = a["in_probs"].detach()
    thresholds = class_thresholds(probabilities.split(1), probabilities.shape[1], case.hyper["portion"])
    found = balanced_labels(probabilities, thresholds)
    assert torch.equal(found, a["out_labels"].long())


def prototypes_of(case: dict[str, Tensor], momentum: float = 0.99) -> ClassPrototypes:
    means = case["in_prototypes"].detach()
    prototypes = ClassPrototypes(*means.shape, momentum).double()
    prototypes.store(means)
    return prototypes


@pytest.mark.parametrize("case", parity("space-engage", "contrast_loss"))
def test_pixels_and_prototypes(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The released draws are put in the place of ours."""
    a, h = case.load(), case.hyper
    rep = a["in_rep"]
    rows = rep.permute(0, 2, 3, 1).flatten(0, 2)
    valid = (a["in_label"] * a["in_mask"]).permute(0, 2, 3, 1).flatten(0, 2).detach() > 0
    labels = torch.where(valid.any(1), valid.double().argmax(1), IGNORE)
    prob = a["in_prob"].detach().permute(0, 2, 3, 1).flatten(0, 2)
    hard = prob.gather(1, labels.clamp_max(prob.shape[1] - 1)[:, None])[:, 0] < h["strong_threshold"]
    prototypes = prototypes_of(a, h["alpha"])
    moved = prototypes.moved(prototypes.sums(rows, labels))
    torch.testing.assert_close(moved, a["out_prototypes_after"], **CLOSE)
    draws = iter(as_uniform(a, labels, hard, moved, h["temp"]))
    module = import_module("nearfar.losses.dense.prototype_contrast")
    monkeypatch.setattr(module, "_uniform", lambda *given: next(draws))
    value = prototype_contrast(
        rows, labels, moved, hard=hard, queries=h["num_queries"], negatives=h["num_negatives"], temperature=h["temp"]
    )
    torch.testing.assert_close(value, a["out_loss"], **CLOSE)
    gradients_are(value, {"rep": rep}, a)


def as_uniform(a: dict[str, Tensor], labels: Tensor, hard: Tensor, moved: Tensor, temp: float) -> list[Tensor]:
    """The released pixels as the uniform numbers that make ours draw them."""
    present = a["in_present"].tolist()
    members = {c: (labels == c).nonzero()[:, 0].tolist() for c in present}
    kin = F.cosine_similarity(moved[present][:, None], moved[present][None], dim=2) / temp
    found = []
    for place, c in enumerate(present):
        anchors, negatives = a["in_anchor_pixel"][place], a["in_negative_pixel"][place]
        candidates = [i for i in members[c] if hard[i]] or [0]
        pick = [(candidates.index(i) + 0.5) / len(candidates) if i in candidates else 0.5 for i in anchors.tolist()]
        share = kin[place].masked_fill(torch.arange(len(present)) == place, -torch.inf).softmax(0)
        if len(present) > 1:
            after = torch.cat([share[place + 1 :], share[:place]])  # the released order is cyclic
            torch.testing.assert_close(after, a["in_negative_class_prob"][place].detach(), **CLOSE)
        ends = share.cumsum(0)
        which, where = torch.zeros(2, *negatives.shape, dtype=torch.float64)
        for spot in np.ndindex(*negatives.shape):
            pixel = int(negatives[spot])
            if pixel < 0:
                continue
            k = present.index(int(labels[pixel]))
            which[spot] = ends[k] - share[k] / 2
            where[spot] = (members[present[k]].index(pixel) + 0.5) / len(members[present[k]])
        found += [torch.tensor(pick, dtype=torch.float64), which, where]
    return found


@pytest.mark.parametrize("case", parity("space-engage", "attention_threshold_loss"))
def test_pictures_count_by_their_sure_pixels(case: ParityCase) -> None:
    a = case.load()
    pred, labels = a["in_pred"], a["in_label"]
    pseudo = torch.where(labels < 0, IGNORE, labels)
    value = follow(pred, pseudo, a["in_conf"].detach(), case.hyper["un_threshold"])
    torch.testing.assert_close(value.double(), a["out_loss"], **SINGLE)
    gradients_are(value, {"pred": pred}, a, **SINGLE)


@pytest.mark.parametrize("case", parity("space-engage", "ohem_ce"))
def test_hard_pixels_alone(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    labels = torch.where(a["in_label"] < 0, IGNORE, a["in_label"])
    value = hard_pixel_cross_entropy(a["in_pred"], labels, threshold=h["thresh"], least=h["min_kept"])
    torch.testing.assert_close(value.double(), a["out_loss"], **SINGLE)
    gradients_are(value, {"pred": a["in_pred"]}, a, **SINGLE)


@pytest.mark.parametrize("case", parity("space-engage", "pseudo_labels"))
def test_pseudo_labels_of_two_spaces(case: ParityCase) -> None:
    """Maps are enlarged with aligned corners there and without everywhere here, so the enlarging is the test's; cosines
    are compared at the maps' size."""
    a, temp = case.load(), case.hyper["temp"]
    prototypes = prototypes_of(a)
    size = a["in_size"].tolist()

    def enlarged(x: Tensor) -> Tensor:
        return F.interpolate(x.double(), size=size, mode="bilinear", align_corners=True)

    student = (prototypes.cosines(a["in_student_rep"].detach()) / temp).softmax(1)
    torch.testing.assert_close(student.double(), a["out_prob_all"], **SINGLE)
    found = {
        "cls": enlarged(a["in_pred"].detach()).softmax(1).max(1),
        "rep": (enlarged(prototypes.cosines(a["in_rep"].detach())) / temp).softmax(1).max(1),
    }
    for name, (confidence, labels) in found.items():
        torch.testing.assert_close(confidence, a[f"out_conf_{name}"], **SINGLE)
        assert torch.equal(labels.double(), a[f"out_label_{name}"].double())
    agreed = torch.where(found["cls"][1] == found["rep"][1], found["cls"][1], IGNORE)
    assert torch.equal(agreed.double(), a["out_label_mix"].double())


@pytest.mark.parametrize("case", parity("space-engage", "ramp_down"))
def test_the_contrast_fades(case: ParityCase) -> None:
    """Ours begins with the run and has no least value; between its ends it is the released curve."""
    a, h = case.load(), case.hyper
    begin, end = h["begin"], h["max_epoch"]
    for epoch, value in zip(a["in_epoch"].tolist(), a["out_value"].tolist(), strict=True):
        if begin <= epoch <= end:
            own = h["max_value"] * ramp_down((epoch - begin) / (end - begin), sharpness=-h["mult"])
            assert max(own, h["min_value"]) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(("threshold", "least"), [(0.3, 5), (0.3, 25), (0.01, 5), (0.9, 1000)])
def test_hard_pixels_are_those_that_get_little(threshold: float, least: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 4, 5, 5, generator=generator)
    labels = torch.randint(0, 4, (2, 5, 5), generator=generator)
    labels[:, 0] = IGNORE
    own = [(float(logits[n, :, y, x].softmax(0)[c])) for n, y, x in np.ndindex(2, 5, 5) if (c := labels[n, y, x]) < 4]
    limit = max(threshold, sorted(own)[least - 1]) if least <= len(own) else 1.0
    hard = [-np.log(p) for p in own if p <= limit]
    value = hard_pixel_cross_entropy(logits, labels, threshold=threshold, least=least)
    assert float(value) == pytest.approx(np.mean(hard), rel=1e-5)
