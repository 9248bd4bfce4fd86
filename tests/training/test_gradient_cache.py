"""The gradient of a batch in chunks is that of the batch, in the memory of a chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nearfar.encoders import image_encoder, text_encoder
from nearfar.encoders.resnet import ResNet, SmallConvNet
from nearfar.losses import nt_xent
from nearfar.multimodal.methods.clip import CLIP
from nearfar.text.methods.simcse import SimCSE
from nearfar.training import Method, Training, fit
from nearfar.training.gradient_cache import GradientCacheError, chunked, in_chunks
from nearfar.vision.methods.byol import BYOL
from nearfar.vision.methods.moco import MoCo
from nearfar.vision.methods.simclr import SimCLR
from nearfar.vision.methods.swav import SwAV
from tests.toy import Toy, Vectors

SENTENCES = ["a cat", "a dog and a cat on a mat", "rain", "no rain today", "the sun", "three blue birds", "one bird"]


def images(count: int = 7, size: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair() -> tuple[Tensor, Tensor]:
    return images(seed=1), images(seed=2)


def gradient(method: Method, views: object, chunk: int) -> dict[str, Tensor]:
    method.zero_grad()
    method.seed_step(0, 0)
    with in_chunks(method, chunk):
        terms = method.loss(views)
        (terms if isinstance(terms, Tensor) else torch.stack([*terms.values()]).sum()).backward()
    return {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}


SMALL = "small-conv-gn"
METHODS: dict[str, tuple[Callable[[], Method], Callable[[], object]]] = {
    # The projection head has batch norm in training mode: it sees the whole batch and stays exact.
    "simclr": (lambda: SimCLR(SMALL, projection_hidden=16, projection_dim=8), pair),
    "byol": (lambda: BYOL(SMALL, hidden=16, projection_dim=8), pair),
    "moco": (lambda: MoCo(SMALL, projection_dim=8, queue_size=16), pair),
    "swav, crops of two sizes": (
        lambda: SwAV(SMALL, hidden=16, projection_dim=8, prototypes=5, small_crops=2, small_size=8),
        lambda: (*pair(), images(size=8, seed=3), images(size=8, seed=4)),
    ),
    "simcse": (
        lambda: SimCSE("tiny-bert", pooling="avg", dropout=0.0),
        lambda: [SENTENCES, SENTENCES[1:] + SENTENCES[:1]],
    ),
    "clip": (lambda: CLIP(SMALL, "tiny-bert", projection_dim=8), lambda: (images(), SENTENCES)),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_gradient_is_that_of_one_pass(name: str) -> None:
    torch.manual_seed(0)
    build, views = METHODS[name]
    method = build().double()
    for module in method.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    whole = gradient(method, views(), 0)
    parts = gradient(method, views(), 3)
    assert whole.keys() == parts.keys()
    assert len(whole) > 4
    for parameter, expected in whole.items():
        assert torch.allclose(parts[parameter], expected, rtol=1e-9, atol=1e-12), parameter


def test_float32_gradients_agree_to_1e_5() -> None:
    torch.manual_seed(0)
    method = SimCLR(SMALL, projection_hidden=16, projection_dim=8)
    views = tuple(images(64, seed=seed).float() for seed in (1, 2))
    whole, parts = (gradient(method, views, chunk) for chunk in (0, 10))
    for parameter, expected in whole.items():
        assert (parts[parameter] - expected).norm() <= 1e-5 * expected.norm() + 1e-9, parameter


def test_dropout_is_replayed_as_it_was() -> None:
    """Finite differences of the chunked forward, its masks fixed by the seed, agree with the chunked gradient."""
    torch.manual_seed(0)
    encoder = text_encoder("tiny-bert", dropout=0.3).double().train()
    method = nn.Module()
    method.encoder = encoder
    weight = encoder.model.encoder.layer[0].output.dense.weight
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def loss() -> Tensor:
        torch.manual_seed(5)
        with in_chunks(method, 3):
            z = encoder(SENTENCES)
            other = encoder(SENTENCES)
            found = nt_xent(z, other, temperature=0.5)
            if torch.is_grad_enabled():
                found.backward()
        return found.detach()

    loss()
    slope = (weight.grad * direction).sum()
    with torch.no_grad():
        step = 1e-6
        weight += step * direction
        above = loss()
        weight -= 2 * step * direction
        below = loss()
    assert torch.isclose((above - below) / (2 * step), slope, rtol=1e-5)
    assert not torch.equal(encoder(SENTENCES), encoder(SENTENCES))


class MostBytes(TorchDispatchMode):
    """The most bytes of results of operations, temporary ones included, that were alive at one moment."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, tuple[StorageWeakRef, int]] = {}
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                self.live[storage.data_ptr()] = (StorageWeakRef(storage), storage.nbytes())
        self.live = {at: entry for at, entry in self.live.items() if not entry[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.live.values()))
        return result


def most_bytes(method: Method, count: int, chunk: int) -> int:
    """At the peak of a forward and a backward pass, the views apart."""
    views = tuple(torch.rand(count, 3, 16, 16) for _ in range(2))
    before = sum(view.nbytes for view in views)
    with MostBytes() as bytes_, in_chunks(method, chunk):
        method.loss(views).backward()
    seen = any(view.untyped_storage().data_ptr() in bytes_.live for view in views)
    return bytes_.most - before * seen


def test_8192_examples_take_little_more_than_256() -> None:
    torch.manual_seed(0)

    class Plain(Method):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = image_encoder(SmallConvNet(width=8, norm="gn"))

        def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
            return nt_xent(*(self.encoder(view) for view in views), temperature=0.5)

    method = Plain()
    one_pass = most_bytes(method, 256, 0)
    assert most_bytes(method, 1024, 0) > 3 * one_pass
    embeddings = 2 * 8192 * 32 * 4
    assert most_bytes(method, 8192, 256) < one_pass + 4 * embeddings


@pytest.mark.parametrize("encoder", ["small-conv", ResNet(18, small_images=True)])
def test_batch_norm_in_the_encoder_is_refused_by_name(encoder: str | nn.Module) -> None:
    method = SimCLR(encoder, projection_hidden=16, projection_dim=8)
    message = r"encoder\.backbone\..*BatchNorm2d in training mode.*small-conv-gn"
    with pytest.raises(GradientCacheError, match=message), in_chunks(method, 4):
        pass
    method.encoder.eval()
    with in_chunks(method, 4):
        method.loss(tuple(v.float() for v in pair()))


def test_fit_takes_chunks_and_stays_resumable_and_whole() -> None:
    def trained(chunk: int) -> dict[str, Tensor]:
        torch.manual_seed(0)
        method = Toy(dropout=0.0, norm="none")
        settings = Training(steps=6, batch_size=32, monitor_every=-1, chunk=chunk, precision="32")
        return fit(method, Vectors(), settings, progress=False).state_dict()

    whole, parts, again = trained(0), trained(5), trained(5)
    for name, value in whole.items():
        assert torch.allclose(parts[name], value, rtol=1e-4, atol=1e-5), name
        assert torch.equal(parts[name], again[name]), name
    with pytest.raises(ValueError, match="chunk must be at least 0"):
        Training(chunk=-1)


def test_a_copy_made_meanwhile_runs_its_own_weights() -> None:
    import copy

    method = Toy(dropout=0.0, norm="none")
    x = torch.randn(10, 12)
    with in_chunks(method, 4):
        twin = copy.deepcopy(method.encoder)
        with torch.no_grad():
            method.encoder[0].weight.zero_()
            method.encoder[0].bias.zero_()
        assert twin(x).abs().sum() > 0
    assert type(method.encoder) is nn.Sequential


class Anything(nn.Module):
    def forward(self, x: object, **named: object) -> object:
        return x

    run = chunked(forward, 3)


def test_what_a_batch_may_be() -> None:
    module = Anything()
    batch = {"ids": torch.arange(8), "names": [*"abcdefgh"], "flag": True}
    pieces: list[int] = []

    class Counting(nn.Module):
        def forward(self, batch: dict, scale: float) -> tuple[Tensor, list[Tensor]]:
            assert batch["flag"] is True
            assert len(batch["ids"]) == len(batch["names"])
            pieces.append(len(batch["ids"]))
            return batch["ids"] * scale, [batch["ids"]]

        run = chunked(forward, 3)

    doubled, [same] = Counting().run(batch, 2.0)
    assert doubled.tolist() == [0, 2, 4, 6, 8, 10, 12, 14]
    assert same.tolist() == [*range(8)]
    assert pieces == [3, 3, 2]
    with pytest.raises(GradientCacheError, match="one entry per example"):
        module.run(torch.zeros(4, 2), edges=torch.zeros(2, 9))
    with pytest.raises(GradientCacheError, match="depend on each other"):
        module.run(object())
