"""Whole training steps of pictures' methods against those that released code made, networks replaced by toys."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.encoders import ImageEncoder
from nearfar.losses import bag_divergence, byol_regression, mixed_barlow_twins
from nearfar.parts import VisualWords, WordWeights
from nearfar.parts import visual_words as words_module
from nearfar.parts.direct import DirectPredictor
from nearfar.parts.momentum import momentum_at
from nearfar.parts.visual_words import perplexity
from nearfar.training import Optimization
from nearfar.vision.method import ImageBatch
from nearfar.vision.methods import BarlowTwins, JigClu, MoCo, SwAV
from nearfar.vision.methods import jigclu as jigclu_module
from nearfar.vision.methods import swav as swav_module
from nearfar.vision.methods.jigclu import Montages, montage
from tests.parity import ParityCase, parity

CLOSE: dict[str, Any] = {"rtol": 1e-7, "atol": 1e-9}


class Toy(ImageEncoder):
    """An encoder of whatever its backbone takes, without the door of pictures."""

    def maps(self, images: Tensor) -> Any:
        return self.backbone(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(images)


def put(module: nn.Module, name: str, value: Tensor) -> nn.Parameter:
    parameter = module.get_parameter(name)
    with torch.no_grad():
        parameter.copy_(value.view_as(parameter))
    return parameter


def gradients_are(loss: Tensor, wanted: dict[str, Any], a: dict[str, Tensor], **close: float) -> None:
    found = torch.autograd.grad(loss, [*wanted.values()], retain_graph=True, allow_unused=True)
    for name, own in zip(wanted, found, strict=True):
        own = torch.zeros_like(a[name]) if own is None else own.view_as(a[name])
        torch.testing.assert_close(own, a[name], **(close or CLOSE), msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("case", parity("moco", "moco_v1_v2_step"))
def test_a_step_of_moco(case: ParityCase) -> None:
    """The released code moves the key encoder before it is asked; ours after the step before, which is the same run."""
    a, h = case.load(), case.hyper
    fc = ("0", "2") if h["mlp"] else ("",)
    width, dim = a["in_q_body_bias"].shape[0], a["in_queue"].shape[0]
    body = nn.Sequential(nn.Linear(a["in_x_q"].shape[1], width), nn.Tanh())
    method = MoCo(
        Toy(body, width),
        projection_dim=dim,
        projection_layers=len(fc),
        queue_size=a["in_queue"].shape[1],
        momentum=h["m"],
        temperature=h["T"],
        key_groups=1,
    ).double()
    names = {f"0.backbone.0.{p}": f"body_{p}" for p in ("weight", "bias")}
    names |= {f"1.{i or 0}.{p}": f"fc_{i}_{p}" if i else f"fc_{p}" for i in fc for p in ("weight", "bias")}
    online = {f"grad_q_{r}": put(method.network, own, a[f"in_q_{r}"]) for own, r in names.items()}
    for own, released in names.items():
        put(method.key_network.module, own, a[f"in_k_{released}"])
    method.queue.keys.copy_(a["in_queue"].detach().T)
    method.queue.position.copy_(a["in_ptr"])
    method.key_network.update(method.network)
    loss = method.loss((a["in_x_q"], a["in_x_k"]))
    torch.testing.assert_close(loss, a["out_loss"], **CLOSE)
    gradients_are(loss, {**online, "grad_x_q": a["in_x_q"]}, a)
    method.queue.enqueue(method.collected("keys"))
    torch.testing.assert_close(method.queue.keys.T, a["out_queue_after"], **CLOSE)
    assert int(method.queue.position) == int(a["out_ptr_after"])
    for own, released in names.items():
        moved = method.key_network.module.get_parameter(own)
        torch.testing.assert_close(moved.detach(), a[f"out_k_after_{released}"], **CLOSE)


class Quadrants(nn.Module):
    """The released toy: means of the quadrants, one linear map, tanh; each drawn as large as our quarters want it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, width, 1)

    def forward(self, images: Tensor) -> Tensor:
        means = torch.tanh(self.mix(F.adaptive_avg_pool2d(images, 2)))
        return means.repeat_interleave(4, 2).repeat_interleave(4, 3)


@pytest.mark.parametrize("case", parity("jigclu", "jigclu_step"))
def test_a_step_of_jigsaw_clustering(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    width, dim = a["in_enc_b"].shape[0], a["in_clu2_b"].shape[0]
    method = JigClu(Toy(Quadrants(width), width), projection_dim=dim, temperature=h["temperature"]).double()
    names = {
        "enc_w": (method.encoder, "backbone.mix.weight"),
        "enc_b": (method.encoder, "backbone.mix.bias"),
        "clu0_w": (method.head, "0.weight"),
        "clu0_b": (method.head, "0.bias"),
        "clu2_w": (method.head, "2.weight"),
        "clu2_b": (method.head, "2.bias"),
        "loc_w": (method.place, "weight"),
        "loc_b": (method.place, "bias"),
    }
    wanted = {f"grad_{name}": put(module, own, a[f"in_{name}"]) for name, (module, own) in names.items()}
    order = a["in_permute"]
    pictures = montage(a["in_patches"].detach().flatten(0, 1)[order])
    torch.testing.assert_close(pictures, a["out_montage"], rtol=0, atol=0)
    terms = method.loss(Montages(pictures, order))
    scale = h["temperature"] / 0.07  # the released factor, 1 at the default
    torch.testing.assert_close(scale * terms["clustering"], a["out_loss_clu"], **CLOSE)
    torch.testing.assert_close(terms["location"], a["out_loss_loc"], **CLOSE)
    loss = scale * terms["clustering"] + terms["location"]
    torch.testing.assert_close(loss, a["out_loss"], **CLOSE)
    gradients_are(loss, wanted, a)


@pytest.mark.parametrize("case", parity("jigclu", "crop_boxes"))
def test_where_parts_are_cut(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole pixels here, where the released boxes have fractions that its cropping rounds: of odd sides a part may be
    one pixel less. Corners are in another order there (down before across), which only numbers them."""
    a = case.load()
    width, height = a["in_size"].tolist()
    method = JigClu("small-conv", overlap=case.hyper["cross"])
    method.recipe = method.recipe.with_(scale=None, flip=0.0)
    monkeypatch.setattr(jigclu_module, "apply", lambda images, draws, size: draws.boxes)
    batch = ImageBatch(torch.zeros(1, 3, height, width, dtype=torch.uint8), torch.zeros(1, dtype=torch.long))
    boxes = torch.cat([method.part(corner, batch) for corner in (0, 2, 1, 3)]).double()
    top, left, rows, columns = boxes.unbind(1)
    found = torch.stack([left, top, left + columns, top + rows], 1)
    assert float((found - a["out_boxes"]).abs().max()) < 1.5


@pytest.mark.parametrize("case", parity("obow", "bow_targets"))
def test_bags_of_words(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    a, h = case.load(), case.hyper
    words = VisualWords(*a["in_dictionary"].shape, inv_delta=h["inv_delta"], pool=h["pool"], update=h["update"])
    words.double()
    words.words.copy_(a["in_dictionary"].detach())
    for call in (1, 2):
        maps = a[f"in_feat{call}"].detach()
        monkeypatch.setattr(words_module, "for_examples", lambda draw, n, c=call: a[f"in_index{c}"])
        distances = words.distances(maps)
        words.track(distances.amin(2).mean())
        torch.testing.assert_close(words.distance, a["out_mu"][call - 1], **CLOSE)
        if call == 1:
            codes = words.codes(distances).transpose(1, 2).reshape(a["out_codes1"].shape)
            torch.testing.assert_close(codes, a["out_codes1"], **CLOSE)
        torch.testing.assert_close(words.bags(distances), a[f"out_bow{call}"], **CLOSE)
        words.enqueue(words.candidates(maps))
        torch.testing.assert_close(words.words, a[f"out_dictionary_after{call}"], **CLOSE)
        assert int(words.position) == int(a["out_ptr"][call - 1])


@pytest.mark.parametrize("case", parity("obow", "predictor_and_loss"))
def test_words_are_predicted(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    wanted: dict[str, Any] = {"grad_f": a["in_f"]}
    errors = []
    for level in (0, 1):
        words, features = a[f"in_dict{level}"].detach(), a["in_f"].shape[1]
        head = WordWeights(words.shape[1], features, kappa=h["kappa"])
        name = f"par_layers_w_{level}_b{level}_"
        hidden = a[f"in_{name}fc_weight"].shape[0]
        head[0], head[1] = nn.Linear(words.shape[1], hidden, bias=False), nn.BatchNorm1d(hidden)
        head[3] = nn.Linear(hidden, features)
        head.double()
        for own, released in {"0": "fc", "1": "bn", "3": "last_layer"}.items():
            for part in ("weight", "bias"):
                if f"in_{name}{released}_{part}" in a:
                    parameter = put(head, f"{own}.{part}", a[f"in_{name}{released}_{part}"])
                    wanted[f"grad_{name}{released}_{part}"] = parameter
        logits = a["in_f"] @ head(words).T
        torch.testing.assert_close(logits, a[f"out_logits{level}"], **CLOSE)
        bags = a[f"in_bow{level}"].detach()
        errors.append(bag_divergence(logits, bags.repeat_interleave(h["crops"], 0)))
        assert float(perplexity(bags, floor=1e-5)) == pytest.approx(float(a["out_perplexity_batch"][level]), rel=1e-7)
        each = perplexity(bags, floor=1e-5, of="image")
        assert float(each) == pytest.approx(float(a["out_perplexity_image"][level]), rel=1e-7)
    loss = torch.stack(errors).mean()
    torch.testing.assert_close(loss, a["out_loss"], **CLOSE)
    gradients_are(loss, wanted, a)


@pytest.mark.parametrize("case", parity("mixed-barlow-twins", "mixed_barlow_small_data", "mixed_barlow_imagenet"))
def test_mixed_barlow_twins(case: ParityCase) -> None:
    """Both released forms; that of ImageNet says its mixed term before its weight."""
    a, h = case.load(), case.hyper
    imagenet = case.function == "mixed_barlow_imagenet"
    z1, z2, zm = (a[f"in_{n}"] for n in ("z1", "z2", "zm"))
    lam = float(a["in_lam"].detach())
    terms = mixed_barlow_twins(
        z1, z2, zm, z2[a["in_perm"]], lam, lambd=h["lmbda"], weight=h["reg"],
        normalize=False, form="imagenet" if imagenet else "small",
    )  # fmt: skip
    torch.testing.assert_close(terms["barlow"], a["out_loss_bt"], **CLOSE)
    torch.testing.assert_close(terms["mixed"] / (h["reg"] if imagenet else 1), a["out_loss_mix"], **CLOSE)
    loss = terms["barlow"] + terms["mixed"]
    torch.testing.assert_close(loss, a["out_loss"], **CLOSE)
    gradients_are(loss, {"grad_z1": z1, "grad_z2": z2, "grad_zm": zm}, a, rtol=1e-6, atol=1e-8)

    params = {n: a[f"in_{n}"] for n in ("a_weight", "a_bias", "b_weight", "b_bias")}

    def network(x: Tensor) -> Tensor:
        return torch.tanh(x @ params["a_weight"].T + params["a_bias"]) @ params["b_weight"].T + params["b_bias"]

    y1, y2 = a["in_y1"], a["in_y2"]
    seen = [network(y) for y in (y1, y2, lam * y1 + (1 - lam) * y2[a["in_perm"]])]
    terms = mixed_barlow_twins(
        *seen, seen[1][a["in_perm"]], lam, lambd=h["lmbda"], weight=h["reg"],
        normalize=not imagenet, form="imagenet" if imagenet else "small",
    )  # fmt: skip
    loss = terms["barlow"] + terms["mixed"]
    torch.testing.assert_close(loss, a["out_loss"], **CLOSE)
    gradients_are(loss, {f"grad_{n}": p for n, p in params.items()}, a, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("case", parity("directpred", "predictor_update"))
def test_a_computed_predictor(case: ParityCase) -> None:
    """The released loss is ours less 4."""
    a, h = case.load(), case.hyper
    steps, _, dim = a["in_f1"].shape
    predictor = DirectPredictor(
        dim,
        alpha=1 / h.get("dyn_convert", 2),
        eps=h.get("dyn_eps", 0.01),
        rho=h["rho"],
        every=h["freq"],
        eps_inside=h.get("dyn_eps_inside", False),
        centred=h.get("dyn_zero_mean", False),
        scaled=h.get("balance_type") != "direct",
    ).double()
    with torch.no_grad():
        predictor.weight.copy_(a["in_W0"])
    for step in range(steps):
        f1, f2, t1, t2 = (a[f"in_{n}"][step] for n in ("f1", "f2", "t1", "t2"))
        loss = byol_regression(predictor(f1), predictor(f2), t1, t2) - 4
        torch.testing.assert_close(loss, a["out_loss"][step], **CLOSE)
        if step == steps - 1:
            for name in ("f1", "f2"):
                (found,) = torch.autograd.grad(loss, a[f"in_{name}"], retain_graph=True)
                torch.testing.assert_close(found[step], a[f"grad_{name}"], **CLOSE)
        predictor.update(torch.cat([f1, f2]).detach())
        torch.testing.assert_close(predictor.correlation, a["out_F"][step], **CLOSE)
        torch.testing.assert_close(predictor.weight.detach(), a["out_W"][step], **CLOSE)


@pytest.mark.parametrize("case", parity("swav", "swav_train_steps"))
def test_steps_of_swav(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The crops that are assigned come first here. The released queue keeps the newest rows in front, ours writes over
    the oldest: the same rows, which the assignment does not tell apart."""
    a, h = case.load(), case.hyper
    assigned, size = h["assign"], h["queue"]
    steps, crops = a["in_x"].shape[:2]
    monkeypatch.setattr(swav_module, "ASSIGNED", len(assigned))
    embed = nn.Linear(a["in_W"].shape[1], a["in_W"].shape[0], bias=False)
    method = SwAV(
        Toy(embed, a["in_W"].shape[0]),
        projection_dim=a["in_W"].shape[0],
        prototypes=len(a["in_prototypes"]),
        temperature=h["temperature"],
        epsilon=h["epsilon"],
        iterations=h["iterations"],
        small_crops=crops - len(assigned),
        queue_size=size,
        queue_start=0.0,
        frozen_steps=h["freeze_niters"],
    ).double()
    method.head = nn.Identity()
    weights = {"W": put(embed, "weight", a["in_W"]), "proto": put(method.prototypes, "weight", a["in_prototypes"])}
    for queue, rows in zip(method.queues, a["in_queue"] if size else [], strict=True):
        queue.keys.copy_(rows.detach().flip(0))  # the oldest where the next ones are written
        if bool(rows[-1].any()):
            method.queued.fill_(size)
    order = [*assigned, *(v for v in range(crops) if v not in assigned)]
    for step in range(steps):
        method._trainer = SimpleNamespace(global_step=step, estimated_stepping_batches=steps)
        loss = method.loss(tuple(a["in_x"][step, v].detach() for v in order))
        torch.testing.assert_close(loss, a["out_losses"][step], **CLOSE)
        loss.backward()
        method.before_step()
        for name, parameter in weights.items():
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, a[f"out_grad_{name}"][step], **CLOSE)
            with torch.no_grad():
                parameter.sub_(h["lr"] * parameter.grad)
            parameter.grad = None
        method.after_step()
        method._step_done()
    torch.testing.assert_close(weights["W"].detach(), a["out_W_after"], **CLOSE)
    torch.testing.assert_close(weights["proto"].detach(), a["out_prototypes_after"], **CLOSE)
    for queue, rows in zip(method.queues, a["out_queue_after"] if size else [], strict=True):
        distances = torch.cdist(queue.keys, rows)
        assert float(distances.amin(1).max()) < 1e-9
        assert float(distances.amin(0).max()) < 1e-9


def rates(optimization: Optimization, batch: int, steps: int, asked: Tensor, groups: list[dict[str, Any]]) -> Tensor:
    """The rates (asked steps, groups) that a run would take."""
    optimizer, scheduler = optimization.build(groups, total_steps=steps, batch_size=batch)
    found = []
    for step in asked.tolist():
        factors = [f(step) for f in scheduler.lr_lambdas]
        found.append([f * g["initial_lr"] for f, g in zip(factors, optimizer.param_groups, strict=True)])
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("case", parity("barlow-twins", "lr_schedule"))
def test_rates_of_barlow_twins(case: ParityCase) -> None:
    """After the warm-up, whose steps are by 1 / (w + 1) here: none is made at a rate of 0."""
    a, h = case.load(), case.hyper
    total, warm = h["epochs"] * h["steps_per_epoch"], 10 * h["steps_per_epoch"]
    method = BarlowTwins("small-conv", hidden=8, projection_dim=8, vector_rate=h["lr_biases"] / h["lr_weights"])
    schedule = Optimization(
        "lars", lr=h["lr_weights"], lr_batch=256, warmup=warm / total, floor=method.optimization.floor
    )
    found = rates(schedule, h["batch_size"], total, a["in_step"], method.parameter_groups())
    peak = h["batch_size"] / 256 * torch.tensor([h["lr_weights"], h["lr_biases"]], dtype=torch.float64)
    for step, own, released in zip(a["in_step"].tolist(), found, a["out_lr"], strict=True):
        expected = released if step >= warm else peak * (step + 1) / (warm + 1)
        torch.testing.assert_close(own, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("case", parity("byol", "schedules"))
def test_momentum_and_rates_of_byol(case: ParityCase) -> None:
    """Rates after the warm-up, as above."""
    a, h = case.load(), case.hyper
    asked, total = a["in_steps"], h["max_steps"]
    for name, base in (("996", 0.996), ("9", 0.9)):
        found = torch.tensor([momentum_at(k / total, base) for k in asked.tolist()], dtype=torch.float64)
        torch.testing.assert_close(found, a[f"out_ema_{name}"], rtol=1e-12, atol=1e-12)
    for name, warm in (("warm10", 10), ("nowarm", 0)):
        schedule = Optimization("lars", lr=h["base_lr"], lr_batch=256, warmup=warm / total)
        group: list[dict[str, Any]] = [{"params": [nn.Parameter(torch.ones(2, 2))]}]
        found = rates(schedule, h["batch_size"], total, asked, group)[:, 0]
        peak = h["base_lr"] * h["batch_size"] / 256
        own = torch.tensor([peak * (k + 1) / (warm + 1) for k in asked.tolist()], dtype=torch.float64)
        expected = torch.where(asked < warm, own, a[f"out_lr_{name}"].double())
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
