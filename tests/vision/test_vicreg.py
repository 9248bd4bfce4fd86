"""VICReg learns, and each of its terms prevents one kind of collapse."""

from __future__ import annotations

import torch

from nearfar.evaluation import effective_rank
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.vision.projections import projections
from nearfar.vision.method import ImageMethod
from nearfar.vision.methods import VICReg
from tests.vision.learning import digits, learn, one_loss


def test_it_beats_its_untrained_encoder_without_collapse() -> None:
    _, before, after = learn("vicreg")
    assert after["linear seen styles"] > before["linear seen styles"] + 0.05, (before, after)
    assert after["effective_rank"] > 20


def test_without_one_term_embeddings_shrink_and_without_another_they_repeat() -> None:
    std, rank = {}, {}
    for absent in ("nothing", "variance", "covariance"):
        changes = {} if absent == "nothing" else {absent: 0.0}
        method = build("vicreg", digits(), 0, **changes)
        assert isinstance(method, ImageMethod)
        train("vicreg", method, digits(), 0, steps=40, batch_size=64)
        rows = projections(method, digits().sample(300))
        std[absent], rank[absent] = float(rows.std(0).mean()), effective_rank(rows - rows.mean(0))
    assert std["variance"] < std["nothing"] / 2, std
    assert rank["covariance"] < 0.75 * rank["nothing"], rank


def test_terms_are_named_and_weighted() -> None:
    plain, heavy = (
        one_loss(build("vicreg", digits(), 0, invariance=1.0, variance=1.0, covariance=weight)) for weight in (1.0, 3.0)
    )
    assert isinstance(plain, dict)
    assert isinstance(heavy, dict)
    assert list(plain) == ["invariance", "variance", "covariance"]
    assert torch.equal(plain["invariance"], heavy["invariance"])
    torch.testing.assert_close(3 * plain["covariance"], heavy["covariance"])


def test_defaults_are_the_published_ones() -> None:
    method = VICReg("small-conv", hidden=16, projection_dim=16)
    assert method.weights == {"invariance": 25.0, "variance": 25.0, "covariance": 1.0}
    last = method.head[-1]  # type: ignore[index]
    assert isinstance(last, torch.nn.Linear)
    assert last.bias is None
