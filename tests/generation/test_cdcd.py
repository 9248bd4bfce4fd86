"""CDCD, the discrete diffusion that it is made of, and pictures as tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nearfar.generation import discrete
from nearfar.generation.data import Blank, load
from nearfar.generation.discrete import MaskAndReplace, level_chances
from nearfar.generation.evaluation import agreement
from nearfar.generation.made import Made, Picture
from nearfar.generation.methods.cdcd import CDCD
from nearfar.generation.token_fit import TokenViews
from nearfar.generation.token_negatives import Contrast, negative_tokens, reordered
from nearfar.generation.token_net import Condition, TokenNet
from nearfar.generation.tokens import GreyTokens, VQTokens, open_tokens
from nearfar.reproductions.arms import build, train
from nearfar.testing import check_method
from nearfar.training import Optimization
from tests.parity import ParityCase, parity

SMALL: dict[str, Any] = {
    "side": 8,
    "num_classes": 10,
    "tokens": "grey:3",
    "levels": 4,
    "contrast": Contrast(weight=1e-3, count=2),
    "net": TokenNet(8, 1, 1),
    "averaging_every": 1,
    "optimization": Optimization(lr=2e-2),
}


@pytest.fixture(scope="module")
def digits() -> Any:
    return load("digits").splits()["test"]


@pytest.mark.parametrize("case", parity("cdcd", "schedule"))
def test_schedule_is_the_released_one(case: ParityCase) -> None:
    arrays, schedule = case.load(), MaskAndReplace(case.hyper["K"], case.hyper["T"])
    t = torch.arange(case.hyper["T"])
    for found, name in zip(schedule.rates(t, t - 1), ("at", "bt", "ct"), strict=True):
        torch.testing.assert_close(found, arrays[f"out_{name}"], rtol=1e-9, atol=1e-12)
    every = torch.arange(case.hyper["T"] + 1)
    for found, name in zip(schedule.rates(every), ("att", "btt", "ctt"), strict=True):
        torch.testing.assert_close(found, arrays[f"out_{name}"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", parity("cdcd", "q_functions"))
def test_distributions_are_the_released_ones(case: ParityCase) -> None:
    arrays, schedule = case.load(), MaskAndReplace(case.hyper["K"], case.hyper["T"])
    x0, xt, t, logits = (arrays[f"in_{name}"] for name in ("x0", "xt", "t", "logits"))
    known = discrete.certain(x0, case.hyper["K"] + 1).double()
    close: dict[str, float] = {"rtol": 1e-5, "atol": 1e-6}  # certain tokens are known in float32
    torch.testing.assert_close(schedule.spread(known, t), arrays["out_q_pred"], **close)
    true = schedule.posterior(known, xt, t)
    torch.testing.assert_close(true, arrays["out_post_true"], **close)
    model = schedule.posterior(discrete.start_logs(logits), xt, t)
    torch.testing.assert_close(model, arrays["out_post_model"], **close)
    kl = discrete.divergence(true, model)
    torch.testing.assert_close(kl, arrays["out_kl"], **close)
    (slope,) = torch.autograd.grad(kl.sum(), logits)
    torch.testing.assert_close(slope, arrays["grad_logits"], **close)


@pytest.mark.parametrize("case", parity("cdcd", "training_loss"))
def test_loss_and_history_are_the_released_ones(case: ParityCase) -> None:
    arrays, hyper = case.load(), case.hyper
    weight = hyper.get("contrastive_intra_loss_weight", 0.0)
    method = CDCD(
        8,
        10,
        f"grey:{hyper['K']}",
        levels=hyper["T"],
        net=TokenNet(8, 1, 1),
        auxiliary=hyper["auxiliary_loss_weight"],
        adaptive=hyper["adaptive_auxiliary_loss"],
        on_masked=hyper["mask_weight"][0],
        elsewhere=hyper["mask_weight"][1],
        contrast=Contrast("intra", hyper.get("intra_mode", "step"), weight),
    )
    x0, xt, t, pt, logits = (arrays[f"in_{name}"] for name in ("x0", "xt", "t", "pt", "logits"))
    negatives = arrays.get("in_negatives_intra", x0.new_zeros(0, *x0.shape))
    terms, fit = method.terms(logits, TokenViews(x0, xt, t, pt.detach(), negatives, t, []))
    loss = torch.stack([*terms.values()]).sum()
    torch.testing.assert_close(loss, arrays["out_loss"], rtol=1e-5, atol=1e-7)
    (slope,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(slope, arrays["grad_logits"], rtol=1e-4, atol=1e-7)
    method._of_batch = {"t": t, "fit": fit}
    method.after_step()
    torch.testing.assert_close(method.history, arrays["out_Lt_history"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(method.seen, arrays["out_Lt_count"])


@pytest.mark.parametrize("case", parity("cdcd", "time_sampling"))
def test_levels_are_drawn_as_released(case: ParityCase) -> None:
    arrays = case.load()
    found = level_chances(arrays["in_history"].detach(), arrays["in_count"].detach())
    drawn = arrays["out_p_all"].isfinite()
    torch.testing.assert_close(found[drawn], arrays["out_p_all"][drawn])
    torch.testing.assert_close(level_chances(torch.ones(4), torch.ones(4)), torch.full((4,), 0.25))


def test_steps_follow_from_one_another() -> None:
    """What was there several levels before, by Bayes from all that may have been."""
    schedule = MaskAndReplace(3, 10)
    known = discrete.certain(torch.tensor([[0, 1, 2]]), 4).double()
    t, s = torch.tensor([7]), torch.tensor([4])
    for x in (torch.tensor([[0, 2, 3]]), torch.tensor([[3, 3, 1]])):
        back = schedule.posterior(known, x, t, s).exp()
        forth = torch.stack(
            [
                schedule.spread(discrete.certain(torch.full((1, 3), k), 4).double(), t, s).gather(1, x[:, None])[:, 0]
                if k < 3
                else torch.where(x == 3, 0.0, -70.0).double()
                for k in range(4)
            ],
            1,
        )
        joint = (schedule.spread(known, s) + forth).exp()
        torch.testing.assert_close(back, joint / joint.sum(1, keepdim=True), rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match="steps must be between 1 and the 10 of the schedule, got 11"):
        schedule.times(11)
    with pytest.raises(ValueError, match="at least 2 tokens and 2 steps"):
        MaskAndReplace(1, 10)


def test_a_network_that_knows_the_answer_makes_it_in_any_number_of_steps() -> None:
    schedule = MaskAndReplace(4, 12)
    wanted = torch.arange(20).view(2, 10) % 4
    generator = torch.Generator().manual_seed(0)

    def uniform() -> torch.Tensor:
        return torch.rand(2, 10, generator=generator)

    logs = discrete.certain(wanted, 5).clamp_min(discrete.LEAST)
    for steps in (None, 5, 1):
        masks = torch.full((2, 10), 4)
        assert torch.equal(schedule.sample(lambda x, t: logs, masks, uniform, steps), wanted)
    most = schedule.noised(wanted, torch.tensor([11, 11]), uniform())
    assert (most == 4).float().mean() > 0.9
    shares = torch.tensor([0.5, 0.3, 0.2]).log().view(1, 3, 1)
    assert discrete.likely(shares, 0.6)[0, :, 0].exp().tolist() == pytest.approx([0.5, 0.3, 0.0], abs=1e-6)
    torch.testing.assert_close(discrete.likely(shares, 1.0), shares)


def test_pictures_as_tokens_and_back(tmp_path: Path, digits: Any) -> None:
    images = digits.batch(np.arange(3)).images
    grey = open_tokens("grey:256", 8)
    back = (grey.decode(grey.encode(images)) + 1) * 127.5
    torch.testing.assert_close(back, images[:, :1].float(), rtol=0, atol=0.51)
    assert GreyTokens(2, 8).encode(images).unique().tolist() == [0, 1]
    diffusers = pytest.importorskip("diffusers")
    diffusers.VQModel(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        num_vq_embeddings=6,
    ).save_pretrained(tmp_path)
    codes = open_tokens(tmp_path, 8)
    assert isinstance(codes, VQTokens)
    found = codes.encode(images)
    assert found.shape == (3, 16)
    assert codes.grid == (4, 4)
    assert int(found.max()) < 6
    assert codes.decode(found).shape == (3, 3, 8, 8)
    with pytest.raises(ValueError, match="there are no tokens 'ink'; accepted are grey:<levels>"):
        open_tokens("ink", 8)
    with pytest.raises(ValueError, match="between 2 and 256 levels of grey, got 1"):
        open_tokens("grey:1", 8)


def test_it_keeps_the_promises_of_the_house(digits: Any) -> None:
    check_method(CDCD, digits, SMALL)


def test_negatives_are_the_same_tokens_elsewhere_or_other_examples(digits: Any) -> None:
    x = torch.arange(34).view(2, 17)
    order = torch.tensor([1, 0, 3, 2])
    found = reordered(x, order)
    assert found[0].tolist() == [4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11, 16]
    with pytest.raises(ValueError, match="17 tokens cannot be cut into 18 chunks"):
        reordered(x, torch.arange(18))
    batch = digits.batch(np.arange(12))
    tokens = GreyTokens(3, 8).encode(batch.images)
    generator = torch.Generator().manual_seed(0)
    negatives = negative_tokens(tokens, batch.labels, Contrast("inter", "sample", 1e-3, 3), generator)
    assert negatives.shape == (3, 12, 64)
    rows = {tuple(row.tolist()): int(label) for row, label in zip(tokens, batch.labels, strict=True)}
    for each in negatives:
        assert all(rows[tuple(r.tolist())] != int(own) for r, own in zip(each, batch.labels, strict=True))
    intra = negative_tokens(tokens, batch.labels, Contrast(count=2), generator)
    assert len(negative_tokens(tokens, batch.labels, Contrast(weight=0.0), generator)) == 0
    assert torch.equal(intra.sort(2).values, tokens.sort(1).values.expand_as(intra))


def test_a_short_training_makes_digits_that_are_nearer_to_real_ones(digits: Any) -> None:
    method = build("cdcd", digits, 0, **{**SMALL, "side": 8, "num_classes": 10})
    before = method.eval().evaluate(digits)
    after = train("cdcd", method.train(), digits, 0, steps=25, batch_size=16).eval().evaluate(digits)
    name = "frechet random convolutions"
    assert after[name] < 0.7 * before[name]
    assert after.better == {name: "lower", "agreement": "higher"}
    new = [*method.generate(Blank(12), seed=1)]  # type: ignore[attr-defined]
    assert len({each.thing.picture().tobytes() for each in new}) > 6
    again = [*method.generate(Blank(12), seed=1, batch_size=5)]  # type: ignore[attr-defined]
    assert all(np.array_equal(a.thing.picture(), b.thing.picture()) for a, b in zip(new, again, strict=True))


def test_captions_are_conditions_too_and_agreement_reads_classes(digits: Any) -> None:
    method = CDCD(**{**SMALL, "condition": "caption", "num_classes": None})
    few = digits.subset(np.arange(4))
    assert next(method.generate(few)).said["caption"].startswith("the digit")
    exact = [Made(n, {"": Picture(p)}, said={"label": int(k)}) for n, (p, k) in enumerate(_shown(few))]
    assert agreement(exact, digits)["agreement"] == 1
    wrong = [Made(each.row, each.things, said={"label": (each.said["label"] + 1) % 10}) for each in exact]
    assert agreement(wrong, digits)["agreement"] == 0
    assert agreement([Made(0, exact[0].things)], digits) == {}


def _shown(data: Any) -> Any:
    batch = data.batch(np.arange(len(data)))
    return zip(batch.images.permute(0, 2, 3, 1).numpy().copy(), batch.labels, strict=True)


def test_bad_settings_are_named(digits: Any) -> None:
    with pytest.raises(ValueError, match="CDCD needs the side of its pictures"):
        CDCD()
    with pytest.raises(ValueError, match="the number of classes is not known; give num_classes, or condition=caption"):
        CDCD(8)
    with pytest.raises(ValueError, match="weight must be at least 0, count at least 1 and chunks at least 2"):
        Contrast(chunks=1)
    with pytest.raises(ValueError, match="width must be a multiple of twice the heads"):
        TokenNet(10, 1, 3)
    with pytest.raises(ValueError, match=r"truncation in \(0, 1\]"):
        CDCD(**{**SMALL, "truncation": 0.0})
    with pytest.raises(ValueError, match="every picture needs one of 3 classes, got a label of -1 to 2"):
        Condition("class", 4, 3)(torch.tensor([-1, 2]), ["", ""])
