"""Every method on images learns, does not collapse, and keeps its own promises."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nearfar.encoders import image_encoder
from nearfar.evaluation import feature_std
from nearfar.losses import info_nce
from nearfar.reproductions.arms import build, train
from nearfar.training import embed
from nearfar.vision.data import load
from nearfar.vision.evaluation import evaluate
from nearfar.vision.method import ImageBatch, different_pictures
from nearfar.vision.methods import BYOL, MoCo, ReLIC, SimCLR


@pytest.fixture(scope="module")
def digits():
    return load(size=16)


def long(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.parametrize(
    ("slug", "steps"),
    [("simclr", 120), long("moco", 250), long("moco-v3", 250), long("byol", 400), long("relic", 150)],
)
def test_it_beats_its_untrained_encoder_without_collapse(slug: str, steps: int, digits) -> None:
    method = build(slug, digits, 0)
    before = evaluate(method.eval(), digits)
    method.train()
    train(slug, method, digits, 0, steps=steps)
    after = evaluate(method, digits)
    assert after["knn seen styles"] > before["knn seen styles"] + 0.03, (before, after)
    assert feature_std(embed(method, digits.sample(500)).array, relative=True) > 0.1
    assert after["effective_rank"] > 4


def test_relic_with_alpha_zero_is_the_baseline_bit_for_bit(digits) -> None:
    method = build("relic", digits, 0, alpha=0.0)
    assert isinstance(method, ReLIC)
    assert method.target is not None
    batch = digits.batch(np.arange(32))
    gradients = []
    for baseline in (False, True):
        method.zero_grad()
        method.seed_step(0, 0)
        views = method.views(batch)
        if baseline:
            o1, o2 = (method.network(view) for view in views)
            t1, t2 = (method.target(view) for view in views)
            tau = method.temperature
            loss = info_nce(o1, t2, temperature=tau) + info_nce(o2, t1, temperature=tau)
        else:
            terms = method.loss(views)
            assert terms["invariance"] == 0
            loss = terms["contrastive"]
        loss.backward()
        gradients.append([p.grad.clone() for p in method.encoder.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_relic_kl_modes_agree_in_value_and_differ_in_gradient(digits) -> None:
    batch = digits.batch(np.arange(32))
    values, gradients = [], []
    for mode in ("full", "sg_entropy", "sg_target"):
        method = build("relic", digits, 0, kl_mode=mode)
        method.seed_step(0, 0)
        terms = method.loss(method.views(batch))
        values.append(float(terms["invariance"].detach()))
        terms["invariance"].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in method.encoder.parameters()]))
    assert values[0] > 0
    assert values == pytest.approx([values[0]] * 3, rel=1e-5)
    assert not torch.allclose(gradients[0], gradients[1])
    assert not torch.allclose(gradients[0], gradients[2])


def test_relic_without_target_network_sends_no_gradient_through_the_keys(digits) -> None:
    method = build("relic", digits, 0, target_network=False)
    assert isinstance(method, ReLIC)
    assert method.target is None
    assert len([n for n, _ in method.named_parameters() if n.startswith("target")]) == 0


def test_moco_enqueues_after_the_loss(digits) -> None:
    method = build("moco", digits, 0, queue_size=64)
    assert isinstance(method, MoCo)
    before = method.queue.keys.clone()
    method.seed_step(0, 0)
    method.loss(method.views(digits.batch(np.arange(32)))).backward()
    assert torch.equal(method.queue.keys, before)
    method.after_step()
    assert int(method.queue.position) == 32
    assert torch.equal(method.queue.keys[32:], before[32:])
    assert not torch.equal(method.queue.keys[:32], before[:32])


def test_teachers_get_no_gradient_and_use_their_own_batch_statistics(digits) -> None:
    method = build("byol", digits, 0)
    assert isinstance(method, BYOL)
    method.seed_step(0, 0)
    method.loss(method.views(digits.batch(np.arange(32)))).backward()
    assert all(p.grad is None for p in method.target_network.parameters())
    assert method.target_network.training
    statistics = [b for n, b in method.target_network.named_buffers() if n.endswith("running_mean")]
    assert any((b != 0).any() for b in statistics)


def test_views_repeat_by_step_and_differ_between_steps(digits) -> None:
    method, batch = build("simclr", digits, 0), digits.batch(np.arange(8))

    def views(step: int) -> torch.Tensor:
        method.seed_step(0, step)
        return torch.stack(method.views(batch))

    assert torch.equal(views(3), views(3))
    assert not torch.equal(views(3), views(4))
    assert not torch.equal(*views(3))


def test_views_of_several_pictures_are_of_different_ones() -> None:
    marked = torch.arange(4).view(1, 4, 1, 1, 1).expand(50, 4, 3, 2, 2).to(torch.uint8)
    first, second = different_pictures(marked, 2, torch.Generator().manual_seed(0))
    assert (first[:, 0, 0, 0] != second[:, 0, 0, 0]).all()
    assert len(first[:, 0, 0, 0].unique()) == 4
    assert different_pictures(marked[:, 0], 2, torch.Generator())[0].shape == (50, 3, 2, 2)


@pytest.mark.parametrize("name", ["small-conv", "resnet18", "resnet18-cifar", "resnet50"])
def test_encoders_take_bytes_and_floats_alike(name: str) -> None:
    encoder = image_encoder(name).eval()
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        out = encoder(images)
        assert out.shape == (2, encoder.out_features)
        assert torch.allclose(out, encoder(images.float() / 255), atol=1e-4)
    with pytest.raises(ValueError, match=r"\(N, 3, H, W\)"):
        encoder(images[0])


def test_any_module_with_a_known_output_size_is_an_encoder() -> None:
    body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 5))
    with pytest.raises(ValueError, match="output size of Sequential is not known"):
        image_encoder(body)
    body.out_features = 5  # type: ignore[assignment]
    method = SimCLR(body, projection_hidden=8, projection_dim=4)
    images = torch.randint(0, 256, (6, 3, 8, 8), dtype=torch.uint8)
    assert method.encode(ImageBatch(images, torch.arange(6))).shape == (6, 5)


def test_a_method_file_is_short() -> None:
    source = inspect.getsource(SimCLR)
    code = [line for line in source.splitlines() if line.strip()]
    start = next(i for i, line in enumerate(code) if "def __init__" in line)
    assert len(code) - start < 40
    folder = Path(inspect.getfile(SimCLR)).parent
    for path in folder.glob("*.py"):
        assert "torch.distributed" not in path.read_text(), path
        assert ".cuda" not in path.read_text(), path
