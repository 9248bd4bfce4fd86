"""Scores of the next word: slow versions, released cases, invariances, wrong input."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from nearfar import losses
from tests.parity import assert_parity, parity

INF = math.inf


def close(found: torch.Tensor, wanted: torch.Tensor, rtol: float = 1e-9) -> None:
    torch.testing.assert_close(found.to(wanted.dtype), wanted, rtol=rtol, atol=rtol)


@pytest.fixture
def two() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(3, 11, generator=g, dtype=torch.float64), torch.randn(3, 11, generator=g, dtype=torch.float64)


def test_the_mask_keeps_what_is_plausible_beside_the_best(two) -> None:
    s = two[0] * 3
    for alpha in (0.0, 0.1, 0.5, 1.0):
        slow = torch.zeros_like(s, dtype=torch.bool)
        for i, p in enumerate(s.softmax(-1)):
            for v in range(len(p)):
                slow[i, v] = p[v] >= alpha * p.max()
        assert torch.equal(losses.plausible(s, alpha), slow)
        assert torch.equal(losses.plausible(s.log_softmax(-1), alpha), slow)
    assert losses.plausible(s, 0.0).all()
    assert losses.plausible(s, 1.0).sum() == 3
    assert (losses.plausible(s, 1.0, min_keep=2).sum(-1) == 2).all()
    assert losses.plausible(torch.zeros(1, 4), 1.0).all()
    for rank in (1, 3, 11, 20):
        kth = s.softmax(-1).sort(-1, descending=True).values[:, min(rank, 11) - 1, None]
        kept = s.softmax(-1) >= 0.5 * kth
        assert torch.equal(losses.plausible(s, 0.5, rank=rank), kept)
        assert torch.equal(losses.contrast_logits(s, two[1], alpha=0.5, rank=rank).isfinite(), kept)
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        losses.plausible(s, 0.5, rank=0)


@pytest.mark.parametrize("form", ["extrapolate", "difference", "complement"])
def test_contrast_is_its_formula_word_by_word(form: str, two) -> None:
    a, b = two
    weight = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    found = losses.contrast_logits(a, b, weight=weight, form=form, alpha=0.2)
    kept = losses.plausible(a, 0.2)
    for i in range(3):
        w = float(weight[i])
        for v in range(11):
            if form == "extrapolate":
                want = (1 + w) * a[i, v] - w * b[i, v]
            elif form == "difference":
                want = F.log_softmax(a[i], 0)[v] - w * F.log_softmax(b[i], 0)[v]
            else:
                want = a[i, v] + w * b[i, v]
            assert found[i, v] == (-INF if not kept[i, v] else pytest.approx(float(want)))
    moved = losses.contrast_logits(a + 7, b - 2, weight=weight, form=form, alpha=0.2)
    close(moved.softmax(-1), found.softmax(-1))
    assert torch.autograd.gradcheck(
        lambda x, y: losses.contrast_logits(x, y, form=form),  # type: ignore[arg-type]
        (a.clone().requires_grad_(), b.clone().requires_grad_()),
    )


def test_the_two_forms_have_one_order_and_differ_by_a_temperature(two) -> None:
    a, b = two
    wide = losses.contrast_logits(a, b, weight=2.0)
    narrow = losses.contrast_logits(a, b, weight=2 / 3, form="difference")
    assert torch.equal(wide.argsort(-1), narrow.argsort(-1))
    close((wide / 3).softmax(-1), narrow.softmax(-1))


def test_divergences_are_their_definitions(two) -> None:
    p, q = (x.softmax(-1) for x in two)
    m = (p + q) / 2
    kl = lambda a, b: (a * (a / b).log()).sum(-1)  # noqa: E731
    close(losses.js_divergence(*two), (kl(p, m) + kl(q, m)) / 2)
    close(losses.midpoint_divergence(*two), (kl(m, p) + kl(m, q)) / 2 / p.shape[-1])
    close(losses.js_divergence(two[0], two[0] + 3), torch.zeros(3, dtype=torch.float64), 1e-12)
    far = losses.js_divergence(torch.tensor([100.0, 0.0]), torch.tensor([0.0, 100.0]))
    assert far == pytest.approx(math.log(2), abs=1e-6)
    assert (losses.adacad_weight(*two, floor=0.3) >= 0.3).all()


def test_dola_takes_each_rows_farthest_layer(two) -> None:
    final, other = two
    layers = torch.stack([final + 0.1 * other, other, final])
    scores, layer = losses.dola(final, layers, alpha=0.0)
    assert layer.tolist() == [1, 1, 1]
    close(scores, final.log_softmax(-1) - other.log_softmax(-1))
    mixed = layers.clone()
    mixed[1, 0] = final[0]
    assert losses.dola(final, mixed)[1].tolist() == [0, 1, 1]
    alone = losses.dola(final[:1], mixed[:, :1])[0]
    close(losses.dola(final, mixed)[0][:1], alone)


def test_choices_add_up_and_forbidden_words_cost_a_thousand(two) -> None:
    scores = two[0].clone()
    scores[1, 4] = -INF
    found = losses.choice_logp(scores, torch.tensor([2, 4, -100]))
    assert float(found) == pytest.approx(float(F.log_softmax(scores[0], 0)[2]) - 1000)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda a, b: losses.plausible(a, 1.5), "alpha must be in"),
        (lambda a, b: losses.plausible(a, 0.1, min_keep=0), "min_keep must be at least 1"),
        (lambda a, b: losses.contrast_logits(a, b[:, :-1]), "over one vocabulary"),
        (lambda a, b: losses.contrast_logits(a, b, form="minus"), "form must be one of"),
        (lambda a, b: losses.dola(a, b), "premature must be"),
        (lambda a, b: losses.diffusion_noise(a, b, step=1000), "step must be between 0 and 999"),
        (lambda a, b: losses.inducing_heads(a, b, count=34), "between 1 and the 33 heads"),
        (lambda a, b: losses.contrastive_decoding(a, b, temperature=0.0), "temperature must be greater than 0"),
        (lambda a, b: losses.knowledge_features(a[0], b[0], proportion=1.0), "proportion must be in"),
        (lambda a, b: losses.choice_logp(a, torch.zeros(2, dtype=torch.long)), "tokens has shape"),
    ],
)
def test_wrong_input_gets_one_sentence(call, sentence: str, two) -> None:
    with pytest.raises(ValueError, match=sentence):
        call(*two)


# Released code ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", parity("contrastive-decoding", "plausibility_mask"))
def test_released_mask(case) -> None:
    x = case.load()
    s = x["in_scores"].detach()
    kept = losses.plausible(s, case.hyper["alpha"], min_keep=case.hyper["min_keep"])
    close(s.log_softmax(-1).masked_fill(~kept, -INF), x["out_warped"])


@pytest.mark.parametrize("case", parity("contrastive-decoding", "greedy_and_sample_step"))
def test_released_contrastive_step(case) -> None:
    x, h = case.load(), case.hyper
    settings = {"weight": h["st_coef"], "temperature": h["amateur_temperature"]}
    e, a = x["in_expert"], x["in_amateur"]
    assert_parity(case, x, losses.contrastive_decoding(e, a, alpha=0.0, **settings), out="greedy_scores", rtol=1e-9)
    assert_parity(case, x, losses.contrastive_decoding(e, a, alpha=h["alpha"], **settings), out="sample_scores")


@pytest.mark.parametrize("case", parity("contrastive-decoding", "beam_step"))
def test_released_beam_step(case) -> None:
    x, h = case.load(), case.hyper
    found = losses.contrastive_beam_step(
        x["in_expert"],
        x["in_amateur"],
        x["in_beam_scores"],
        weight=h["st_coef"],
        temperature=h["tau"],
        alpha=h["alpha"],
        first=h["first_step"],
    )
    wanted = x["out_scores"][0]
    close(found.scores.detach(), wanted)
    finite = wanted > -INF
    assert torch.equal(found.tokens[finite], x["out_tokens"][0][finite])
    assert torch.equal(found.beams[finite], x["out_beams"][0][finite])


@pytest.mark.parametrize("case", parity("contrastive-decoding", "reasoning_formula"))
def test_reasoning_formula(case) -> None:
    x, h = case.load(), case.hyper
    close(
        losses.contrast_logits(x["in_expert"], x["in_amateur"], weight=h["beta"], alpha=h["alpha"]).detach(),
        x["out_scores"],
    )


@pytest.mark.parametrize("case", parity("cad", "combine"))
def test_released_cad(case) -> None:
    x = case.load()
    found = losses.contrast_logits(x["in_ctx"], x["in_noctx"], weight=-case.hyper["weights"][1])
    assert_parity(case, x, found, out="combined", rtol=1e-9)


@pytest.mark.parametrize("case", parity("adacad", "adacad_step"))
def test_released_adacad(case) -> None:
    x = case.load()
    a, b = x["in_ctx"].detach(), x["in_noctx"].detach()
    # The release averages the divergence over its batch, which has one row; here every row has its own.
    close(losses.js_divergence(a, b).mean(), x["out_jsd"])
    if "out_weight" in x:
        weight = losses.adacad_weight(a, b, floor=case.hyper["floor"])
        close(weight.flatten()[0], x["out_weight"])
        close(losses.contrast_logits(a, b, weight=weight), x["out_combined"], 1e-8)


@pytest.mark.parametrize("case", parity("dola", "dola_step"))
def test_released_dola(case) -> None:
    x = case.load()
    final, early = x["in_final"].detach(), x["in_premature"].detach()
    scores, layer = losses.dola(final, early, alpha=case.hyper["relative_top"])
    close(losses.midpoint_divergence(final.expand_as(early), early).mean(-1), x["out_divergences"])
    assert torch.equal(layer[0], x["out_layer"])
    close(scores, x["out_scores"])


@pytest.mark.parametrize("case", parity("dola", "choice_scoring"))
def test_released_dola_choice(case) -> None:
    x = case.load()
    final, base = x["in_final"].detach(), x["in_base"].detach()
    scores, _ = losses.dola(final, base[None], alpha=0.0)
    kept = losses.plausible(final, case.hyper["relative_top"])
    logp = scores.log_softmax(-1).masked_fill(~kept, -INF)  # normalised over ALL words first, as released
    close(losses.choice_logp(logp, x["in_tokens"], normalize=False), x["out_log_prob"])


@pytest.mark.parametrize("case", parity("vcd", "add_diffusion_noise"))
def test_released_noise(case) -> None:
    x = case.load()
    found = losses.diffusion_noise(x["in_x"], x["in_eps"], step=case.hyper["step"])
    close(found.detach(), x["out_noisy"], 1e-6)


@pytest.mark.parametrize("case", [*parity("vcd", "contrast_step"), *parity("vdd", "contrast_step")])
def test_released_visual_contrast(case) -> None:
    x, h = case.load(), case.hyper
    negative = x["in_s_cd"] if "in_s_cd" in x else x["in_s_none"]
    found = losses.contrast_logits(x["in_s"], negative, weight=h["cd_alpha"], alpha=h["cd_beta"])
    close(found.detach(), x["out_scores"])


@pytest.mark.parametrize("case", parity("ritual", "complement_step"))
def test_released_ritual_branches(case) -> None:
    x, h = case.load(), case.hyper
    s = x["in_s"].detach()
    if h["mode"] == "vcd":
        found = losses.contrast_logits(s, x["in_s_neg"].detach(), weight=h["alpha_neg"], alpha=h["beta"])
    else:  # M3ID, a baseline: the difference with a weight that grows with the length
        kept = math.exp(-0.02 * h["t"])
        found = losses.contrast_logits(s, x["in_s_neg"].detach(), weight=(1 - kept) / kept, alpha=h["beta"])
    close(found, x["out_scores"])


@pytest.mark.parametrize("case", parity("vdd", "posthoc_debias"))
def test_released_debias(case) -> None:
    x = case.load()
    p, q = x["in_p"].detach(), x["in_q"].detach()
    pooled = case.hyper["calibrate"] == "all"
    if case.hyper["mode"] == "diagonal_W":
        close(losses.posthoc_debias(p, q, pooled=pooled), x["out_calibrated"])
        return
    found = losses.posthoc_debias(p, q, mode="identity")
    # On purpose: the release divides by the sum, -2e-4, which turns the order round.
    close(found / found.sum(-1, keepdim=True), x["out_calibrated"], 1e-6)
    assert torch.equal(found.argmax(-1), x["out_calibrated"].argmin(-1))


@pytest.mark.parametrize("case", parity("hicd", "select_inducing_heads"))
def test_released_heads(case) -> None:
    x, h = case.load(), case.hyper
    found = losses.inducing_heads(x["in_ac"].detach(), x["in_ad"].detach(), scale=float(h["scale"]), count=h["topk"])
    assert found == list(zip(x["out_layers"].tolist(), x["out_heads"].tolist(), strict=True))


@pytest.mark.parametrize("case", parity("hicd", "head_importance"))
def test_released_importance(case) -> None:
    x = case.load()
    shape = (*x["in_o"].shape[:3], case.hyper["heads"], -1)
    found = losses.head_importance(
        x["in_o"].detach().view(shape), x["in_g"].detach().view(shape), x["in_lens"], x["in_cont"]
    )
    close(found, x["out_importance"])


@pytest.mark.parametrize("case", parity("hicd", "contrast_scoring"))
def test_released_hicd_score(case) -> None:
    x = case.load()
    scores = losses.contrast_logits(x["in_base"].detach(), x["in_induced"].detach(), weight=case.hyper["alpha"])
    close(losses.choice_logp(scores, x["in_tokens"]), x["out_log_prob"])


@pytest.mark.parametrize("case", parity("spare", "knowledge_features"))
def test_released_features(case) -> None:
    x = case.load()
    context, memory = losses.knowledge_features(x["in_mi"].detach(), x["in_expectation"].detach(), **case.hyper)
    assert torch.equal(context, x["out_context"])
    assert torch.equal(memory, x["out_memory"])


@pytest.mark.parametrize("case", parity("spare", "functional_activations"))
def test_released_activations(case) -> None:
    x = {name: value.detach() for name, value in case.load().items()}
    close(losses.functional_activations(x["in_z1"], x["in_so1"], x["in_ss1"]), x["out_zC"])
    close(losses.functional_activations(x["in_z0"], x["in_ss0"], x["in_so0"]), x["out_zM"])


@pytest.mark.parametrize("case", parity("spare", "edit"))
def test_released_edit(case) -> None:
    x = {name: value.detach() for name, value in case.load().items()}
    latents = losses.Latents(x["in_We"], x["in_be"], x["in_Wd"], x["in_bd"])
    sets = {"context": (x["in_context"], x["in_zC"]), "memory": (x["in_memory"], x["in_zM"])}
    for use, other in (("context", "memory"), ("memory", "context")):
        (add, add_to), (remove, remove_to) = sets[use], sets[other]
        found = losses.steer(
            x["in_h"], latents, add=add, add_to=add_to, remove=remove, remove_to=remove_to, degree=case.hyper["degree"]
        )
        close(found, x[f"out_edited_{use}"])
