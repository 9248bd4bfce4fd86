"""CURL and DrQ: losses against released values, what moves what, and that values are learned from pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.cli import main
from nearfar.control.data import load, watched
from nearfar.control.pixel_sac import SAC, PixelEncoder
from nearfar.losses import bilinear_info_nce, entropy_price, soft_actor, soft_target, value_regression
from nearfar.reproductions.arms import build
from nearfar.training import Training
from tests.parity import ParityCase, assert_parity, parity

TINY = SAC(hidden=16, filters=8, features=8)


@pytest.mark.parametrize("case", parity("curl", "curl_loss"))
def test_released_curl(case: ParityCase) -> None:
    arrays = case.load()
    loss = bilinear_info_nce(arrays["in_q"], arrays["in_k"], arrays["in_W"])
    assert_parity(case, arrays, loss, rtol=1e-9)


@pytest.mark.parametrize("case", parity("drq", "actor_alpha_loss"))
def test_released_actor_and_price(case: ParityCase) -> None:
    arrays = case.load()
    values = torch.cat([arrays["in_q1"], arrays["in_q2"]], 1)
    log_prob, log_alpha = arrays["in_logp"].squeeze(1), arrays["in_log_alpha"]
    actor = soft_actor(values, log_prob, alpha=log_alpha.exp())
    price = entropy_price(log_alpha, log_prob, target=case.hyper["target_entropy"])
    torch.testing.assert_close(actor, arrays["out_actor"])
    torch.testing.assert_close(price, arrays["out_alpha_loss"])
    assert_parity(case, arrays, actor + price, rtol=1e-9)


def test_targets_average_over_views_and_stop_where_the_world_does() -> None:
    rng = torch.Generator().manual_seed(0)
    reward, continues = torch.rand(4, generator=rng), torch.tensor([1.0, 1.0, 0.0, 1.0])
    values, log_prob = torch.randn(2, 4, 2, generator=rng), torch.randn(2, 4, generator=rng)
    found = soft_target(reward, continues, values, log_prob, alpha=0.3, discount=0.9)
    for i in range(4):
        views = [float(values[k, i].min() - 0.3 * log_prob[k, i]) for k in range(2)]
        expected = float(reward[i]) + 0.9 * float(continues[i]) * sum(views) / 2
        assert float(found[i]) == pytest.approx(expected, rel=1e-5)
    regressed = torch.randn(3, 4, 2, generator=rng, dtype=torch.float64).requires_grad_()
    target = found.double()
    slow = sum(((regressed[m, :, n] - target) ** 2).mean() for m in range(3) for n in range(2))
    torch.testing.assert_close(value_regression(regressed, target), slow)
    assert torch.autograd.gradcheck(lambda v: value_regression(v, target), (regressed,))
    with pytest.raises(ValueError, match="values must be"):
        soft_target(reward, continues, values[0], log_prob, alpha=0.3, discount=0.9)
    with pytest.raises(ValueError, match="weight must be"):
        bilinear_info_nce(torch.rand(3, 4), torch.rand(3, 4), torch.rand(3, 3))


def test_the_encoder_begins_orthogonal_and_has_the_released_width() -> None:
    encoder = PixelEncoder((9, 84, 84))
    assert encoder.flat == 32 * 35 * 35
    first = encoder.convolutions[2].weight
    assert first[:, :, 0].abs().sum() == 0
    torch.testing.assert_close(first[:, :, 1, 1] @ first[:, :, 1, 1].T, 2 * torch.eye(32), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("slug", "data"), [("curl", "pixel-pendulum"), ("drq", "pixel-pendulum"), ("drq", "pixel-cartpole")]
)
def test_each_update_moves_its_own_and_the_actor_no_convolution(slug: str, data: str) -> None:
    source = load(data, envs=2, random_steps=60)
    method = build(slug, source, 0, sac=TINY)
    source.begin(method, 0)  # type: ignore[attr-defined]
    batch = source.draw(method, 0, np.random.default_rng(0), 6)
    side = source.spaces.observation[-1]  # type: ignore[attr-defined]
    assert batch.observations.shape == (6, 3, side, side)
    views = method.views(batch)
    for update in method.updates():
        update.loss(views).backward()
        names = {name.split(".")[0] for name, p in method.named_parameters() if p.grad is not None and p.grad.any()}
        if update.name == "actor":
            assert names <= {"summary", "actor", "critics"}
        elif update.name == "alpha":
            assert names == {"log_alpha"}
        elif update.name.startswith("contrast"):
            assert names == {"encoder", "product"}
        else:
            assert names == {"encoder", "critics"}
        method.zero_grad(set_to_none=True)


def test_curl_gives_one_anchor_to_both_losses_and_drq_two_shifts() -> None:
    source = load("pixel-pendulum-episodes", recorded=800)
    curl = build("curl", source, 0, sac=TINY, double_step=True)
    batch = source.draw(curl, 0, np.random.default_rng(0), 6)
    views = curl.views(batch)
    assert views.shown[0].shape[-1] == curl.side == 27
    assert not torch.equal(views.shown[0], views.keys)
    assert [u.name for u in curl.updates()][-2:] == ["contrast", "contrast_again"]
    plain = build("curl", source, 0, sac=TINY, weight=0.0)
    assert [u.name for u in plain.updates()] == ["critic", "actor", "alpha"]
    drq = build("drq", source, 0, sac=TINY, targets=3)
    views = drq.views(batch)
    assert (len(views.shown), len(views.shown_next)) == (2, 3)
    assert not torch.equal(views.shown[0], views.shown[1])


def test_contrast_pulls_crops_of_one_stack_together() -> None:
    source = load("pixel-pendulum-episodes", recorded=3000)
    method = build("curl", source, 0, sac=SAC(hidden=16, filters=16, features=16))
    batch = source.draw(method, 0, np.random.default_rng(1), 64)
    views = method.views(batch)
    with torch.no_grad():
        method.slow_encoder.update(method.encoder)
        before = float(method.contrast(views))
    adam = torch.optim.Adam([*method.encoder.parameters(), method.product], lr=1e-3)
    for step in range(40):
        loss = method.contrast(method.views(source.draw(method, step, np.random.default_rng(step), 64)))
        adam.zero_grad()
        loss.backward()
        adam.step()
        method.after_step()
    assert float(method.contrast(views).detach()) < 0.75 * before


@pytest.mark.parametrize("slug", ["curl", "drq"])
def test_a_reopened_run_acts_as_the_one_in_memory(slug: str, tmp_path: Path) -> None:
    arguments, _ = workflow.laptop_settings(find(slug), tiny=True)
    source = load("pixel-pendulum", envs=2, random_steps=40)
    settings = Training(steps=2, batch_size=4)
    method, _ = workflow.train(
        slug, data=source, arguments=arguments, training=settings, out=tmp_path / "run", progress=False
    )
    _, again, _ = workflow.load_run(tmp_path / "run")
    frames = np.random.default_rng(0).integers(0, 255, (3, 3, 32, 32), dtype=np.uint8)
    assert torch.equal(method.act(watched(frames, None)), again.act(watched(frames, None)))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "curl", "--env", "pendulum"], "curl learns from pixels"),
        (["train", "curl", "--crop", "64"], "crop must be between 16 and the 32 pixels"),
        (["train", "drq", "--targets", "0"], "targets must be at least 1"),
    ],
)
def test_wrong_words_get_one_sentence(words: list[str], expected: str, capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert [expected in line for line in said.splitlines() if line.startswith("nearfar:")] == [True], said
