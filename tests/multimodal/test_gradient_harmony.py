"""Gradient harmonisation: MIL-NCE as released, the projection, gradients of groups, and what is learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.losses import mil_nce, symmetric_info_nce
from nearfar.multimodal.data import Column, Tuples
from nearfar.multimodal.data.generated import sounding_scenes
from nearfar.multimodal.methods import GradientHarmony
from nearfar.multimodal.one_tower import Reader, Spaces
from nearfar.parts import Harmony, cosine_of, realigned
from nearfar.reproductions.arms import build, train
from nearfar.testing import a_resumed_run_is_the_whole_one, random_numbers_are_the_steps
from tests.parity import ParityCase, assert_parity, parity

SMALL = Reader(16, 1, 2, 12, 100, 12, 512, 1.0, 0.9)


@pytest.fixture(scope="module")
def scenes() -> Tuples:
    return sounding_scenes(320, held_out=80)


def small(scenes: Tuples, **changes: Any) -> GradientHarmony:
    torch.manual_seed(0)
    return GradientHarmony(scenes.modalities, **{"reader": SMALL, "spaces": Spaces(12, 8), **changes})


def views_of(method: GradientHarmony, scenes: Tuples, rows: np.ndarray) -> Any:
    method.seed_step(0, 0)
    with torch.no_grad():
        return method.views(scenes.batch(rows))


@pytest.mark.parametrize("case", parity("gradient-harmony", "mil_nce"))
def test_the_base_loss_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    valid = {f"valid_{ours}": arrays[f"in_mask{theirs}"] > 0 for ours, theirs in (("a", 1), ("b", 2))
             if f"in_mask{theirs}" in arrays}  # fmt: skip
    value = mil_nce(arrays["in_m1"], arrays["in_m2"], temperature=case.hyper["temperature"], **valid)
    assert_parity(case, arrays, value, rtol=1e-5)


def test_one_candidate_each_is_clip_twice() -> None:
    a, b = torch.randn(2, 7, 5, dtype=torch.float64)
    found = mil_nce(a.unsqueeze(1), b.unsqueeze(1), temperature=0.2)
    torch.testing.assert_close(found, 2 * symmetric_info_nce(a, b, temperature=0.2))
    x = a.unsqueeze(1).requires_grad_()
    valid = torch.tensor([True] * 5 + [False] * 2)
    torch.autograd.gradcheck(lambda x: mil_nce(x, b.unsqueeze(1), temperature=0.2, valid_b=valid), (x,))
    with pytest.raises(ValueError, match=r"a must be \(N, K, D\) and b \(N, L, D\), got \(7, 5\)"):
        mil_nce(a, b, temperature=0.2)
    with pytest.raises(TypeError, match="valid_a must be a boolean tensor"):
        mil_nce(x, x, temperature=0.2, valid_a=torch.ones(7))


def test_conflicting_gradients_lose_what_they_have_against_each_other() -> None:
    generator = torch.Generator().manual_seed(3)
    g, h = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    h = h - 2 * (g @ h).abs() / (g @ g) * g - g  # against g
    one = [g[:2], g[2:].view(2, 2), torch.ones(3), None]
    two = [h[:2], h[2:].view(2, 2), None, torch.ones(1)]
    found = realigned(one, two)
    first, second = (torch.cat([x.flatten() for x in each[:2] if x is not None]) for each in found[:2])
    torch.testing.assert_close(found.cosine, torch.nn.functional.cosine_similarity(g, h, 0))
    torch.testing.assert_close(first, g - (g @ h) / (h @ h) * h)
    torch.testing.assert_close(second, h - (g @ h) / (g @ g) * g)  # by the other as it was
    assert abs(float(first @ h)) < 1e-12
    assert found.first[2] is one[2]
    assert found.first[3] is None
    agreeing = realigned([g], [2 * g])
    torch.testing.assert_close(agreeing.first[0], g)
    torch.testing.assert_close(cosine_of([g], [2 * g]), torch.ones((), dtype=torch.float64))
    assert float(realigned([g], [0 * g]).cosine) == 0
    with pytest.raises(ValueError, match="no parameter has gradients of both losses"):
        realigned([g, None], [None, g])


def gradients(method: GradientHarmony, views: Any) -> list[Tensor]:
    method.zero_grad()
    torch.stack([*method.loss(views).values()]).sum().backward()
    return [p.grad.clone() for p in method.parameters() if p.grad is not None]


def test_groups_sum_to_the_gradient_of_the_batch(scenes: Tuples) -> None:
    """Without harmony the carrier is the plain gradient, in however many groups it is computed."""
    off = {"realign": False, "curriculum": False}
    method = small(scenes, harmony=Harmony(**off, rows=5)).double()
    rows = method.encoder.modalities
    views = views_of(method, scenes, np.arange(12))
    views.rows.cells["sound"] = views.rows.cells["sound"].double()
    views.rows.cells["picture"] = views.rows.cells["picture"].double()
    in_groups = gradients(method, views)
    method.zero_grad()
    losses = method.contrasts(method.encoder.features(views.rows.cells, views.chosen), views.rows.present)
    ((losses[0] + losses[1]) / 2).backward()
    for one, parameter in zip(in_groups, method.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-6, atol=1e-9)
    assert len(method.cosines) == 3
    assert rows.names == ("picture", "sound", "caption")


def test_rows_of_too_much_conflict_leave_the_network_as_it_is(scenes: Tuples) -> None:
    method = small(scenes, harmony=Harmony(start=1.0, end=1.0, rows=4))
    gradients(method, views_of(method, scenes, np.arange(12)))
    assert all(float(p.grad.abs().max()) == 0 for p in method.encoder.backbone() if p.grad is not None)
    assert float(method.encoder.third.weight.grad.abs().max()) > 0  # type: ignore[union-attr]
    assert Harmony(start=-0.4, end=0.0).least(0.5) == pytest.approx(-0.2)


def test_it_learns_and_foreign_rows_conflict_more() -> None:
    """Three readings of the same six numbers; those of the third modality are foreign in half of the groups."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(400, 6))
    columns = {name: Column("numbers", hidden @ rng.normal(size=(6, 8))) for name in ("a", "b", "c")}
    test = Tuples({name: Column("numbers", x.values[300:]) for name, x in columns.items()}, name="test")
    rows = Tuples({name: Column("numbers", x.values[:300]) for name, x in columns.items()}, splits={"test": test})
    method = build("gradient-harmony", rows, 0, reader=SMALL, spaces=Spaces(12, 8), harmony=Harmony(rows=8))
    before = method.evaluate(rows)  # type: ignore[operator]
    train("gradient-harmony", method, rows, 0, steps=50, batch_size=32)
    after = method.evaluate(rows)  # type: ignore[operator]
    assert after["R@1 a test"] > before["R@1 a test"] + 0.1
    assert after["effective_rank"] > 4
    assert isinstance(method, GradientHarmony)
    views = views_of(method.eval(), test, np.arange(96))
    foreign = np.arange(96) // 8 % 2 == 1
    views.rows.cells["c"][foreign] = views.rows.cells["c"][foreign].roll(1, 0)
    method.loss(views)
    wrong = torch.from_numpy(foreign[::8])
    assert float(method.cosines[wrong].mean()) < float(method.cosines[~wrong].mean())


def test_promises_hold(scenes: Tuples) -> None:
    few = sounding_scenes(16, held_out=2)
    arguments = {"schema": few.modalities, "reader": SMALL, "spaces": Spaces(12, 8), "harmony": Harmony(rows=4)}
    random_numbers_are_the_steps(GradientHarmony, few, arguments, 8)
    a_resumed_run_is_the_whole_one(GradientHarmony, few, arguments, 8)
    settings, _ = workflow.laptop_settings(find("gradient-harmony"))
    assert settings["reader"].patch == 6


def test_generated_rows_are_aligned_unless_asked(scenes: Tuples) -> None:
    aligned, wrong = sounding_scenes(200, held_out=2), sounding_scenes(200, held_out=2, misaligned=0.5)
    same = {name: np.array([np.array_equal(a, b) for a, b in
                            zip(aligned.columns[name].values, wrong.columns[name].values, strict=True)])
            for name in ("picture", "sound", "caption")}  # fmt: skip
    assert same["picture"].all()
    assert not (~same["sound"] & ~same["caption"]).any()
    assert 0.4 < 1 - (same["sound"] & same["caption"]).mean() < 0.6


def test_what_does_not_fit_is_named(scenes: Tuples) -> None:
    two = Tuples({"a": Column("text", ["x", "y"]), "b": Column("numbers", np.ones((2, 1)))}).modalities
    with pytest.raises(ValueError, match="with three modalities, and taken from the data; got a, b"):
        GradientHarmony(two)
    method = small(scenes, reader=Reader(16, 1, 2, 10, 100))
    views = views_of(method, scenes, np.arange(4))
    with pytest.raises(ValueError, match="not whole patches of 10"):
        method.loss(views)
    with pytest.raises(ValueError, match="start and end must be in"):
        Harmony(start=-2)
