"""ST-DIM, BeCL, latent dynamics and ReLIC for control: losses, what they learn, and what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.cli import main
from nearfar.control.data import Frames, load, watched
from nearfar.control.evaluation import evaluate
from nearfar.control.skills import walk_skills
from nearfar.losses import becl, becl_alone, latent_hinge, latent_info_nce, st_dim
from nearfar.reproductions.arms import build, train
from nearfar.training import Training
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("st-dim"))
def test_released_st_dim(case: ParityCase) -> None:
    arrays = case.load()
    whole = arrays["in_z"] @ arrays["in_wg"].T + arrays["in_bg"]
    local = arrays["in_local_t"] @ arrays["in_wl"].T + arrays["in_bl"]
    terms = st_dim(whole, local, arrays["in_local_prev"])
    torch.testing.assert_close(terms["global_local"], arrays["out_gl"], rtol=1e-9, atol=0)
    torch.testing.assert_close(terms["local_local"], arrays["out_ll"], rtol=1e-9, atol=0)
    assert_parity(case, arrays, terms["global_local"] + terms["local_local"], rtol=1e-9)


@pytest.mark.parametrize("case", parity("becl"))
def test_released_becl(case: ParityCase) -> None:
    arrays = case.load()
    losses = becl(arrays["in_features"], arrays["in_skills"].argmax(1), temperature=case.hyper["temperature"])
    torch.testing.assert_close(losses[:, None], arrays["out_per_sample"], rtol=1e-7, atol=1e-9)
    torch.testing.assert_close((-losses).exp()[:, None], arrays["out_reward"], rtol=1e-7, atol=1e-9)
    assert_parity(case, arrays, losses.mean(), rtol=1e-7)


def test_st_dim_is_the_mean_over_places() -> None:
    rng = torch.Generator().manual_seed(0)
    whole = torch.randn(4, 3, generator=rng, dtype=torch.float64)
    local, before = (torch.randn(4, 2, 5, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    slow = [F.cross_entropy(whole @ before[:, h, w].T, torch.arange(4)) for h in range(2) for w in range(5)]
    near = [F.cross_entropy(local[:, h, w] @ before[:, h, w].T, torch.arange(4)) for h in range(2) for w in range(5)]
    found = st_dim(whole, local, before)
    torch.testing.assert_close(found["global_local"], torch.stack(slow).mean())
    torch.testing.assert_close(found["local_local"], torch.stack(near).mean())
    given = [x.requires_grad_() for x in (whole, local, before)]
    assert torch.autograd.gradcheck(lambda *x: sum(st_dim(*x).values()), given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="local and before must be"):
        st_dim(whole, local, before[:, :1])


def test_becl_rewards_consistent_skills_and_marks_those_alone() -> None:
    skills = torch.tensor([0, 0, 1, 1, 2])
    apart = torch.eye(3, dtype=torch.float64)[skills].requires_grad_()
    together = torch.ones(5, 3, dtype=torch.float64)
    assert becl(apart, skills)[:4].max() < becl(together, skills)[:4].min()
    assert becl_alone(skills).tolist() == [False] * 4 + [True]
    drawn = becl(apart, skills, positive="random", generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn[:4], becl(apart, skills)[:4])  # one other row each: nothing to draw
    noisy = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: becl(x, skills), (noisy,))
    with pytest.raises(ValueError, match="skills must have shape"):
        becl(apart, skills[:3])


@pytest.mark.parametrize("loss", [lambda p, r: latent_info_nce(p, r, temperature=0.7), latent_hinge])
def test_latent_losses_are_least_where_predictions_are_right(loss) -> None:
    rng = torch.Generator().manual_seed(0)
    reached = torch.randn(3, 6, 4, generator=rng, dtype=torch.float64) * 3
    off = (reached + 0.5 * torch.randn(reached.shape, generator=rng, dtype=torch.float64)).requires_grad_()
    assert loss(reached, reached) < loss(off, reached)
    assert torch.autograd.gradcheck(lambda p: loss(p, reached), (off,))
    order = torch.randperm(6, generator=rng)
    mixed = latent_info_nce(off[:, order], reached[:, order], temperature=1.0)
    torch.testing.assert_close(mixed, latent_info_nce(off, reached, temperature=1.0))


def test_latent_losses_are_their_formulas() -> None:
    rng = torch.Generator().manual_seed(0)
    predicted, reached = (torch.randn(2, 3, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    slow = [
        F.cross_entropy(-(predicted[k, :, None] - reached[k, None]).square().sum(-1) / 0.7, torch.arange(3))
        for k in range(2)
    ]
    torch.testing.assert_close(latent_info_nce(predicted, reached, temperature=0.7), torch.stack(slow).mean())
    total = 0.0
    for k in range(2):
        for i in range(3):
            both = predicted[k, i], reached[k, i - 1]
            energy = [float((other - reached[k, i]).square().sum()) * 2 for other in both]
            total += energy[0] + max(0.0, 1 - energy[1])
    assert float(latent_hinge(predicted, reached)) == pytest.approx(total / 6)
    with pytest.raises(ValueError, match="must be"):
        latent_hinge(predicted, reached[:1])


def test_frames_come_with_the_step_before_and_with_what_is_true() -> None:
    data = load("pixel-cartpole-frames", recorded=400)
    assert isinstance(data, Frames)
    batch = data.batch(np.arange(len(data)))
    first = set(data.episodes.starts.tolist())
    assert not first & set(batch.rows.tolist())
    assert torch.equal(batch.before, torch.from_numpy(data.episodes.observations[batch.rows.numpy() - 1]))
    assert data.states is not None
    cart = (batch.frames[:, 0, 61] == 140).float()
    middle = cart @ torch.arange(84.0) / cart.sum(1)
    assert np.corrcoef(middle.numpy(), data.states[:, 0])[0, 1] > 0.9
    assert data.states.shape[1] == len(data.names) == 4
    assert set(data.splits()) == {"held out"}


def test_st_dim_reads_more_of_the_state_than_an_untrained_network() -> None:
    data = load("pixel-cartpole-frames", recorded=600)
    method = build("st-dim", data, 0, features=32)
    before = float(sum(method.loss(method.views(data.batch(np.arange(64)))).values()).detach())
    train("st-dim", method, data, 0, steps=12, batch_size=32)
    assert float(sum(method.loss(method.views(data.batch(np.arange(64)))).values()).detach()) < before
    scores = evaluate(method, data)
    assert {"angle R2", "mean R2"} <= set(scores)
    assert scores["place R2"] > 0.5
    still = build("st-dim", data, 0, time=False)
    views = still.views(data.batch(np.arange(4)))
    assert views[0] is views[1]


def test_becl_pays_for_states_that_tell_the_skill() -> None:
    source = load("point-maze-open", random_steps=800)
    method = build("becl", source, 0, hidden=32, skills=4)
    train("becl", method, source, 0, steps=40, batch_size=128)
    batch = source.draw(method, 0, np.random.default_rng(0), 128)
    assert batch.goals.shape == (128, 4)
    assert torch.equal(batch.goals.sum(1), torch.ones(128))
    told = batch._replace(next_observations=torch.eye(4)[batch.goals.argmax(1)][:, :2] * 2 - 1)
    assert method.reward(batch).min() >= 0
    assert method.reward(batch).max() <= 1
    assert torch.isfinite(method.critic_loss(told))
    scores = method.evaluate(source, seed=1)
    assert 0 < scores["coverage"] <= 1
    paths = walk_skills(method, source.fresh(8), 0)  # type: ignore[attr-defined]
    assert np.array_equal(paths[0], np.broadcast_to(paths[0][:1], paths[0].shape))
    assert not np.array_equal(paths[-1][0], paths[-1][1])


@pytest.mark.parametrize("loss", ["infonce", "hinge"])
def test_latent_dynamics_predict_and_plan(loss: str) -> None:
    source = load("pixel-grid-episodes", recorded=3000)
    method = build("latent-dynamics", source, 0, loss=loss, latent=16, hidden=64, plans=64)
    before = method.evaluate(source)
    train("latent-dynamics", method, source, 0, steps=120, batch_size=64)
    after = method.evaluate(source)
    assert after["hits@1 after 1"] > before["hits@1 after 1"] + 0.1, (before, after)
    where = source.fresh(5)  # type: ignore[attr-defined]
    observed = watched(where.reset(np.random.default_rng(0)), where.goals)
    acted = method.act(observed)
    assert acted.shape == (5, 4)
    assert torch.equal(acted, method.act(observed))
    with pytest.raises(ValueError, match="this world sets none"):
        method.act(watched(observed.observations.numpy(), None))


def test_relic_for_control_moves_head_and_encoder() -> None:
    source = load("pixel-pendulum-episodes", recorded=800)
    arguments, _ = workflow.laptop_settings(find("relic-atari"), tiny=True)
    method = build("relic-atari", source, 0, **arguments)
    batch = source.draw(method, 0, np.random.default_rng(0), 8)
    terms = method.contrast(method.views(batch))
    assert set(terms) == {"contrastive", "invariance"}
    sum(terms.values()).backward()
    names = {name.split(".")[0] for name, p in method.named_parameters() if p.grad is not None and p.grad.any()}
    assert names == {"encoder", "head"}


@pytest.mark.parametrize("slug", ["st-dim", "becl", "latent-dynamics", "relic-atari"])
def test_a_reopened_run_is_the_one_in_memory(slug: str, tmp_path: Path) -> None:
    entry = find(slug)
    arguments, _ = workflow.laptop_settings(entry, tiny=True)
    source = load(entry.data, recorded=600, random_steps=450, envs=4)
    settings = Training(steps=2, batch_size=16)
    method, _ = workflow.train(
        slug, data=source, arguments=arguments, training=settings, out=tmp_path / "run", progress=False
    )
    _, again, _ = workflow.load_run(tmp_path / "run")
    mine, theirs = method.kept().state_dict(), again.kept().state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert workflow.measure(entry, again, source) == workflow.measure(entry, method, source)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "becl", "--env", "pixel-pendulum", "--steps", "1"], "becl learns from observations of numbers"),
        (["train", "becl", "--skills", "1", "--steps", "1"], "skills must be at least 2"),
        (["train", "st-dim", "--data", "point-maze", "--steps", "1"], "st-dim takes frames"),
        (["train", "st-dim", "--env", "pendulum", "--steps", "1"], "learns from pixels"),
        (["train", "latent-dynamics", "--horizon", "0", "--steps", "1"], "horizon must be at least 1"),
        (["train", "relic-atari", "--weight", "0", "--steps", "1"], "weight must be above 0"),
    ],
)
def test_wrong_words_get_one_sentence(words: list[str], expected: str, capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert [expected in line for line in said.splitlines() if line.startswith("nearfar:")] == [True], said
