"""Methods that draw replies while they train, and the one that goes through stages."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.losses import copg_loss, online_kl_loss
from nearfar.preference.data import Pairs, rated_replies, reply_pairs
from nearfar.preference.data.world import reply_world
from nearfar.preference.methods.copg import CoPG
from nearfar.preference.methods.hypo import HyPO
from nearfar.preference.methods.mpo import MPO
from nearfar.preference.online import Drawing, rewards_of
from nearfar.training import Optimization, Training, fit

QUICK = Optimization("adamw", lr=1e-3, schedule="constant", clip=1.0)


def test_replies_are_drawn_from_the_policy_without_gradients_and_repeat() -> None:
    world = reply_world()
    data = rated_replies(world, 20, 0)
    method = CoPG(world.model, online=True, drawing=Drawing(k=3, new=4))
    method.begin(data)
    found = []
    for _ in range(2):
        method.seed_step(0, 5)
        with torch.no_grad():
            found.append(method.views(data.batch(np.arange(4))))
    assert found[0].replies == found[1].replies
    assert found[0].reference.shape == found[0].rewards.shape == (4, 3)
    texts = [method.policy.text(said) for said in found[0].replies]
    prompts = [data.prompts[row] for row in range(4) for _ in range(3)]
    wanted = [world.reward(p, t) for p, t in zip(prompts, texts, strict=True)]
    assert found[0].rewards.flatten().tolist() == pytest.approx(wanted, rel=1e-5)
    policy = method.rated(found[0])
    torch.testing.assert_close(policy.detach(), found[0].reference)  # nothing has moved yet
    loss = method.loss(found[0])
    torch.testing.assert_close(loss, copg_loss(policy, found[0].reference, found[0].rewards, beta=0.1))
    assert loss.requires_grad


def test_drawn_replies_are_as_frequent_as_the_policy_finds_them_likely() -> None:
    world = reply_world()
    method = CoPG(world.model)
    said = method.policy.sequences(world.prompts[0], world.replies)
    with torch.no_grad():
        p = method.policy.logps(said).exp().numpy()
    torch.manual_seed(0)
    drawn = method.policy.sample([world.prompts[0]], 400, new=4)[0]
    texts = [f" {method.policy.text(each)}" for each in drawn]
    first = np.array([sum(p[i] for i, r in enumerate(world.replies) if r.split()[0] == f"w{w}") for w in range(12)])
    seen = np.array([np.mean([t.split()[:1] == [f"w{w}"] for t in texts]) for w in range(12)])
    assert np.abs(first - seen).max() < 0.1


def test_hybrid_preference_adds_the_divergence_of_the_policys_own_replies() -> None:
    world = reply_world()
    data = reply_pairs(world, 20, 0)
    method = HyPO(world.model, kl=0.5, drawing=Drawing(k=2, new=4))
    with torch.no_grad():
        for p in method.policy.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2)))
        views = method.views(data.batch(np.arange(6)))
    terms = method.loss(views)
    own = online_kl_loss(method.rated(views.own), views.own.reference, baseline="loo")
    torch.testing.assert_close(terms["kl"], 0.5 * own)
    torch.testing.assert_close(terms["dpo"], method.compare(method.rated(views.pairs), views.pairs))
    assert (method.rated(views.own) - views.own.reference).abs().max() > 1e-3


def test_stages_follow_each_other_with_their_own_part_of_the_data() -> None:
    world = reply_world()
    data = reply_pairs(world, 96, 0)
    method = MPO(world.model, drawing=Drawing(k=2, new=4), phases=(0.5, 0.25), optimization=QUICK)
    before = {name: value.clone() for name, value in method.policy.state_dict().items()}
    seen: dict[str, list[int]] = {}
    drawn = method._drawn

    def watched(count: int):
        found = drawn(count)
        seen.setdefault(method.phase, []).extend(found.rows.tolist())
        return found

    method._drawn = watched  # type: ignore[method-assign]
    fit(method, data, Training(steps=16, batch_size=16, precision="32"), progress=False)
    assert set(seen) == {"dpo", "reinforce"}
    easy = method.gaps > method.gaps.quantile(0.5)
    assert all(easy[row] and method.gaps[row] > 0 for row in seen["dpo"])
    assert not any(easy[row] and method.gaps[row] > 0 for row in seen["reinforce"])
    assert method.gaps.abs().max() > 0
    reference = method.reference.state_dict()  # what DPO made, neither the beginning nor the end
    assert any(not torch.equal(value, before[name]) for name, value in reference.items())
    assert any(not torch.equal(value, reference[name]) for name, value in method.policy.state_dict().items())


def test_nobody_rates_and_one_reply_are_refused() -> None:
    with pytest.raises(ValueError, match="must be rated, and pairs says by nobody"):
        rewards_of(Pairs(["a"], ["b"], ["c"]))
    model = reply_world().model
    for make in (lambda: CoPG(model, online=True, drawing=Drawing(k=1)), lambda: MPO(model, drawing=Drawing(k=1))):
        with pytest.raises(ValueError, match="must be 2 or more, got 1"):
            make()
    with pytest.raises(ValueError, match="easy must be a share"):
        MPO(model, easy=1.0)
    with pytest.raises(ValueError, match="kl must be at least 0"):
        HyPO(model, kl=-1.0)
