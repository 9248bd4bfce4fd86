"""CDiffuser: plans that are denoised, clamped, guided and pulled, and what its data gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.cli import main
from nearfar.control.data import Recorded, Sampling, load, watched
from nearfar.control.methods.cdiffuser import CDiffuser
from nearfar.control.plan_networks import PlanUNet, PlanValue
from nearfar.control.planning import Contrast, Planning
from nearfar.control.spaces import Spaces
from nearfar.parts.diffusion import Diffusion
from nearfar.reproductions.arms import build
from nearfar.training import Optimization, Training, fit

QUICK = Optimization("adam", lr=3e-3, weight_decay=0.0, schedule="constant")
SMALL = {"horizon": 4, "noises": 4, "width": 8, "times": (1, 2), "optimization": QUICK, "value_optimization": QUICK}


@pytest.fixture(scope="module")
def source() -> Recorded:
    return load("point-maze-corner-episodes", recorded=2000)


def made(source: Recorded, weight: float = 0.1, **changes: object) -> CDiffuser:
    contrast = Contrast(weight=weight, upper=0.1, lower=0.5, each=2, width=8)
    return build("cdiffuser", source, 0, contrast=contrast, **{**SMALL, **changes})  # type: ignore[return-value]


def test_returns_are_what_the_rest_of_the_episode_gave(source: Recorded) -> None:
    episodes, replay = source.episodes, source.replay
    values = episodes.values(0.9)
    rows = np.random.default_rng(0).integers(len(values), size=200)
    for row in rows:
        end = int(np.flatnonzero(episodes.starts <= row)[-1])
        last = episodes.starts[end] + episodes.lengths[end] - 1
        slow = sum(0.9 ** (t - row) * float(episodes.rewards[t]) for t in range(row, last))
        assert values[row] == pytest.approx(slow, abs=1e-5)
    given = replay.returns(rows, np.zeros(200, np.int64), 0.9)
    np.testing.assert_allclose(given, values[rows], atol=1e-4)
    drawn = replay.sample(np.random.default_rng(1), 50, Sampling(length=4, returns=1.0))
    assert (drawn.returns >= drawn.rewards.sum(1)).all()  # type: ignore[union-attr]
    assert not replay.sample(np.random.default_rng(1), 5, Sampling(length=4)).returns.any()  # type: ignore[union-attr]


def test_the_cosine_schedule_is_the_one_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(20, beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False)
    ours = Diffusion.cosine(20)
    torch.testing.assert_close(ours.signal.float(), theirs.alphas_cumprod, rtol=1e-4, atol=1e-7)
    x_t, x0 = (torch.randn(2, 3, generator=torch.Generator().manual_seed(n)) for n in range(2))
    mean, variance = ours.before(x_t, 7, 6, x0)
    share = ours.signal[6:8].tolist()
    beta = 1 - share[1] / share[0]
    slow = share[0] ** 0.5 * beta / (1 - share[1]) * x0 + (1 - beta) ** 0.5 * (1 - share[0]) / (1 - share[1]) * x_t
    torch.testing.assert_close(mean, slow)
    assert variance == pytest.approx((1 - share[0]) / (1 - share[1]) * beta, rel=1e-5)
    assert ours.before(x_t, 0, -1, x0)[1] == 0


@pytest.mark.parametrize(("horizon", "times"), [(8, (1, 2, 4)), (4, (1,)), (6, (2, 1))])
def test_networks_take_every_horizon_that_can_be_halved(horizon: int, times: tuple[int, ...]) -> None:
    plans, t = torch.randn(3, horizon, 5, requires_grad=True), torch.tensor([0, 4, 9])
    found = PlanUNet(5, horizon, 8, times)(plans, t)
    assert found.shape == plans.shape
    (slope,) = torch.autograd.grad(PlanValue(5, horizon, 8, times)(plans, t).sum(), plans)
    assert (slope.abs().sum((1, 2)) > 0).all()
    with pytest.raises(ValueError, match="cannot be halved"):
        PlanUNet(5, 6, 8, (1, 1, 1))


def test_the_first_state_is_put_in_and_teaches_nothing(source: Recorded) -> None:
    method = made(source)
    method.begin(source)
    batch = source.draw(method, 0, np.random.default_rng(0), 16)
    plans, noised, t, returns = method.views(batch)
    assert torch.equal(noised[:, 0, 2:], plans[:, 0, 2:])
    assert not torch.equal(noised[:, 1:], plans[:, 1:])
    assert plans.std() == pytest.approx(1, abs=0.3)
    torch.testing.assert_close(plans * method.spread + method.center, torch.cat([batch[1], batch[0][:, :-1]], 2))
    assert returns is batch.returns
    terms = method.plan_loss((plans, noised, t, returns))
    slow = (method.encoder(noised, t) - plans).square()
    slow[:, 0, 2:] = 0
    slow[:, 0, :2] *= 10
    torch.testing.assert_close(terms["diffusion"], slow.mean())
    assert set(made(source, 0.0).plan_loss((plans, noised, t, returns))) == {"diffusion"}
    first = method.plan(batch.observations[:5, 0], torch.Generator().manual_seed(0))[:, 0, 2:]
    torch.testing.assert_close(first, batch.observations[:5, 0])


def test_positives_are_the_states_of_highest_value(source: Recorded) -> None:
    method = made(source)
    method.begin(source)
    states, values = source.episodes.observations, source.episodes.values(0.99)
    order = np.argsort(-values, kind="stable")
    for pool, rows in ((method.high, order[: int(0.1 * len(order))]), (method.low, order[-int(0.5 * len(order)) :])):
        back = pool * method.spread[2:] + method.center[2:]
        torch.testing.assert_close(back, torch.from_numpy(states[rows]), rtol=1e-4, atol=1e-5)


def test_contrast_draws_plans_to_high_states(source: Recorded) -> None:
    ends = {}
    start = torch.zeros(64, 2)
    for weight in (0.0, 3.0):
        method = made(source, weight)
        fit(method, source, Training(steps=15, batch_size=16, seed=0), progress=False)
        method.eval()
        method.planning = Planning(plans=1, climbs=0)
        with torch.no_grad():
            ends[weight] = method.plan(start, torch.Generator().manual_seed(0))[:, 1:, 2:]
    corner = -torch.ones(2)
    assert (ends[3.0] - corner).norm(dim=-1).mean() < (ends[0.0] - corner).norm(dim=-1).mean()


class Leftwards(torch.nn.Module):
    """A value that is higher the further left the planned states lie."""

    def forward(self, plans: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return -plans[..., 2].sum(1)


class Same(torch.nn.Module):
    """A denoiser that finds no noise."""

    def forward(self, plans: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return plans


def test_guidance_climbs_the_value_and_the_best_plan_is_taken(source: Recorded) -> None:
    method = made(source)
    method.begin(source)
    method.value, method.slow = Leftwards(), Same()  # type: ignore[assignment]
    found = []
    for planning in (
        Planning(1, climbs=0),
        Planning(1, scale=1.0),
        Planning(16, climbs=0),
        Planning(1, scale=1.0, last=9),
    ):
        method.planning = planning
        with torch.no_grad():
            found.append(method.plan(torch.zeros(32, 2), torch.Generator().manual_seed(0)))
    plain, guided, best, late = (float(plans[:, 1:, 2].mean()) for plans in found)
    assert guided < plain - 0.05
    assert best < plain - 0.05
    assert late == plain


def test_a_reopened_run_acts_as_the_one_in_memory(source: Recorded, tmp_path: Path) -> None:
    arguments, _ = workflow.laptop_settings(find("cdiffuser"), tiny=True)
    method, _ = workflow.train(
        "cdiffuser",
        data=source,
        arguments=arguments,
        training=Training(steps=2, batch_size=8),
        out=tmp_path / "run",
        progress=False,
    )
    _, again, _ = workflow.load_run(tmp_path / "run")
    observed = watched(source.episodes.observations[:3], None)
    assert torch.equal(method.act(observed), again.act(observed))
    drawn = [method.act(observed, generator=torch.Generator().manual_seed(n)) for n in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    choosing = CDiffuser(Spaces((3,), 4, discrete=True), **SMALL)
    assert torch.equal(choosing.act(watched(np.zeros((2, 3), np.float32), None)).sum(1), torch.ones(2))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--data", "point-maze"], "cdiffuser learns from recorded episodes, and point-maze is acted in"),
        (["--data", "pixel-maze-episodes", "--recorded", "400"], "cdiffuser learns from observations of numbers"),
        (["--contrast.lower", "1"], "contrast.lower in [0, 1)"),
        (["--horizon", "5", "--times", "[1,2]", "--recorded", "400"], "a horizon of 5 cannot be halved 1 times"),
    ],
)
def test_wrong_words_get_one_sentence(words: list[str], expected: str, capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "cdiffuser", *words, "--steps", "1"]) == 2
    said = capsys.readouterr().err
    assert [expected in line for line in said.splitlines() if line.startswith("nearfar:")] == [True], said
