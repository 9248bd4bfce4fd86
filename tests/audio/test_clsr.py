"""CLSR: its loss, its towers, learning to retrieve captions, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.audio.captioned import Towers
from nearfar.audio.data import CaptionedSounds
from nearfar.audio.data.generated import events
from nearfar.audio.evaluation import evaluate
from nearfar.audio.methods.clsr import CLSR
from nearfar.losses import clsr, symmetric_info_nce
from nearfar.reproductions.arms import build, train
from nearfar.testing import check_method

SMALL = {
    "encoder": "small-conv",
    "rate": 8000,
    "seconds": 0.2,
    "towers": Towers("tiny-bert", max_length=12, hidden=32, dim=16),
}


@pytest.fixture(scope="module")
def data() -> CaptionedSounds:
    return events(96, held_out=48)


def rows(seed: int, n: int = 6) -> torch.Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_without_its_additions_it_is_the_usual_loss() -> None:
    a, b = rows(0), rows(1)
    plain = clsr(a, b, temperature=0.2, adaptivity=0.0, intra_weight=0.0)
    torch.testing.assert_close(plain["inter"], symmetric_info_nce(a, b, temperature=0.2))
    assert plain["intra"] == 0


def test_likeness_relieves_those_alike_and_never_a_network_that_says_the_same_of_all() -> None:
    one = torch.ones(6, 5, dtype=torch.float64)
    same = clsr(one, one, temperature=0.1, adaptivity=0.4)["inter"]
    torch.testing.assert_close(same, torch.tensor(6.0, dtype=torch.float64).log())
    a = torch.eye(4, dtype=torch.float64)
    a[1] = a[0] + 0.5 * a[1]  # rows 0 and 1 mean about the same
    relieved = clsr(a, a, temperature=0.1, adaptivity=0.4)["inter"]
    assert relieved < clsr(a, a, temperature=0.1, adaptivity=0.0)["inter"]


def test_rows_of_one_group_are_no_negatives() -> None:
    a, b = rows(0, 4), rows(1, 4)
    alone = clsr(a, b, groups=torch.zeros(4, dtype=torch.long))
    assert alone["inter"] == 0
    assert alone["intra"] == 0
    doubled = clsr(a.repeat(2, 1), b.repeat(2, 1), groups=torch.arange(4).repeat(2), adaptivity=0.0)
    assert doubled["inter"] > clsr(a, b, adaptivity=0.0)["inter"]  # others twice, the pair once


def test_gradients_reach_both_modalities_and_not_the_temperatures() -> None:
    a, b = rows(0).requires_grad_(), rows(1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: sum(clsr(x, y, adaptivity=0.0, intra_weight=0.7).values()), (a, b))
    tau = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    clsr(a, b, temperature=tau)["inter"].backward()
    assert tau.grad is not None
    assert torch.isfinite(tau.grad)


def test_it_learns_to_find_captions(data: CaptionedSounds) -> None:
    method, test = build("clsr", data, 0, seconds=0.5), data.splits()["test"]
    before = evaluate(method.eval(), test)
    train("clsr", method.train(), data, 0, steps=20, batch_size=24)
    after = evaluate(method, test)
    assert after["mAP text to sound"] > 1.5 * before["mAP text to sound"]
    assert after["effective_rank"] > 2


def test_the_reconstruction_moves_no_target(data: CaptionedSounds) -> None:
    method = CLSR(**SMALL, reconstruction_weight=1.0)  # type: ignore[arg-type]
    views = method.views(data.batch(np.arange(6)))
    terms = method.loss(views)
    assert set(terms) == {"inter", "intra", "reconstruction"}
    for network in (method.text_of_sound, method.sound_of_text):
        torch.nn.init.zeros_(network[-1].weight)
    method.loss(views)["reconstruction"].backward()
    # What is made depends on no input any more, so what is left would come by way of the targets.
    assert not any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.encoder.parameters())


@pytest.mark.parametrize(("adaptive", "learns"), [("semantic", False), ("learned", True), ("fixed", False)])
def test_one_temperature_is_learned_where_asked_for(adaptive: str, learns: bool) -> None:
    method = CLSR(**SMALL, adaptive=adaptive)  # type: ignore[arg-type]
    assert method.scale.log_scale.requires_grad is learns
    assert (method.adaptivity > 0) is (adaptive == "semantic")


def test_the_promises_of_the_house(data: CaptionedSounds) -> None:
    check_method(CLSR, data.subset(np.arange(16)), SMALL)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="adaptive must be one of semantic, learned, fixed; got 'both'"):
        CLSR(**SMALL, adaptive="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reconstruction_weight must be at least 0, got -1"):
        CLSR(**SMALL, reconstruction_weight=-1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"adaptivity must be below 0\.5, got 0\.5"):
        clsr(rows(0), rows(1), adaptivity=0.5)
