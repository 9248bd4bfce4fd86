"""What makes steps faster leaves runs repeatable, resumable and measured in float32."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nearfar.common.randomness import seed_torch
from nearfar.encoders import image_encoder, text_encoder
from nearfar.training import Method, Run, Training, embed, fit
from nearfar.training import acceleration as acceleration_module
from nearfar.training.acceleration import chosen_precision, compiled, in_precision
from nearfar.training.gradient_cache import in_chunks
from nearfar.vision.data.arrays import ImageArray
from nearfar.vision.methods.simclr import SimCLR
from tests.toy import Toy
from tests.training.test_fit import StopAt


def pictures(count: int = 64) -> ImageArray:
    rng = np.random.default_rng(0)
    return ImageArray(rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8), rng.integers(0, 4, count))


def build() -> SimCLR:
    torch.manual_seed(0)
    return SimCLR("small-conv-gn", projection_hidden=16, projection_dim=8)


@pytest.mark.parametrize("has", [True, False])
def test_auto_is_bf16_only_where_the_processor_and_the_encoder_gain(monkeypatch, has: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(acceleration_module, "processor_has_bf16", lambda: has)
    sentences = Method()
    sentences.encoder = text_encoder("tiny-bert")
    fast = "bf16" if has else "32"
    assert chosen_precision("auto", build()) == fast
    assert chosen_precision("auto", sentences) == fast
    assert chosen_precision("auto", Toy()) == "32"
    assert chosen_precision("bf16", Toy()) == "bf16"
    # Threads that share the gradient of a convolution's weights in bf16 spin on each other.
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert chosen_precision("auto", build()) == "32"
    assert chosen_precision("auto", sentences) == fast
    assert chosen_precision("bf16", build()) == "bf16"


@pytest.mark.parametrize(("amx", "vectors", "vendor", "gains"), [
    (True, True, "GenuineIntel", True),
    (False, True, "GenuineIntel", False),
    (False, True, "AuthenticAMD", True),
    (False, False, "AuthenticAMD", False),
])  # fmt: skip
def test_vectors_of_bf16_gain_on_other_processors_than_intels(
    amx: bool, vectors: bool, vendor: str, gains: bool, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: vectors)
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nvendor_id : {vendor}\n")
    is_intel = acceleration_module._is_intel
    monkeypatch.setattr(acceleration_module, "_is_intel", lambda: is_intel(tmp_path / "cpuinfo"))
    assert acceleration_module.processor_has_bf16() is gains


def test_the_encoder_works_in_bf16_and_everybody_else_sees_float32() -> None:
    method = build()
    x = torch.rand(4, 3, 32, 32)
    seen: list[torch.dtype] = []
    method.encoder.backbone.register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    with in_precision(method, "bf16"):
        trained = method.network(x)
        with method.frozen():
            measured = method.encoder(x)
    plain = method.network(x)
    assert seen == [torch.bfloat16, torch.float32, torch.float32]
    assert trained.dtype == measured.dtype == torch.float32
    assert torch.equal(measured, method.encoder(x))
    assert 0 < (trained - plain).norm() < 0.05 * plain.norm()


@pytest.mark.parametrize("size", [4, 8, 16])
def test_kernels_larger_than_the_map_have_finite_gradients(size: int) -> None:
    """With maps of one pixel some weights meet nothing but padding, and their gradient is 0."""
    torch.manual_seed(0)
    method = nn.Module()
    method.encoder = image_encoder("small-conv-gn")
    x = torch.rand(16, 3, size, size)

    def gradient(precision: str) -> list[Tensor]:
        method.zero_grad()
        with in_precision(method, precision):
            method.encoder(x).square().sum().backward()
        return [p.grad.clone() for p in method.parameters()]

    for half, full in zip(gradient("bf16"), gradient("32"), strict=True):
        assert (half - full).norm() <= 0.3 * full.norm() + 1e-6


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"precision": "bf16", "chunk": 20}])
def test_a_run_in_bf16_resumes_to_the_bit(tmp_path, options: dict) -> None:
    settings = Training(steps=6, batch_size=16, checkpoint_every=2, monitor_every=3, **options)
    data = pictures()
    whole = fit(build(), data, settings, progress=False).state_dict()
    cut = Run.create(tmp_path / "cut", {"method": "simclr"})
    with pytest.raises(KeyError):
        fit(build(), data, settings, run=cut, progress=False, callbacks=[StopAt(3)])
    resumed = fit(build(), data, settings, run=cut, checkpoint=cut.latest_checkpoint(), progress=False).state_dict()
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name


def test_chunks_in_bf16_have_the_gradient_of_the_whole() -> None:
    method = build()
    views = tuple(torch.rand(12, 3, 16, 16) for _ in range(2))

    def gradient(chunk: int) -> Tensor:
        method.zero_grad()
        with in_precision(method, "bf16"), in_chunks(method, chunk):
            method.loss(views).backward()
        return torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])

    whole, parts = gradient(0), gradient(5)
    assert (whole - parts).norm() < 0.02 * whole.norm()


def test_without_a_compiler_training_goes_on_and_says_so(monkeypatch) -> None:
    monkeypatch.setattr(acceleration_module, "compiler_problem", lambda device: "no compiler is installed")
    settings = Training(steps=2, batch_size=16, monitor_every=-1, compile=True)
    with pytest.warns(UserWarning, match="compile is off.*no compiler is installed"):
        found = fit(build(), pictures(), settings, progress=False).state_dict()
    plain = fit(build(), pictures(), Training(steps=2, batch_size=16, monitor_every=-1), progress=False).state_dict()
    assert all(torch.equal(found[name], value) for name, value in plain.items())


def test_only_training_is_compiled(monkeypatch) -> None:
    calls: list[bool] = []

    def stand_in(function, **options):
        def run(module, *args):
            calls.append(module.training)
            return function(module, *args)

        return run

    monkeypatch.setattr(acceleration_module, "compiler_problem", lambda device: None)
    monkeypatch.setattr(torch, "compile", stand_in)
    method = build()
    before = type(method.encoder.backbone)
    with compiled(method, True):
        method.encoder(torch.rand(2, 3, 16, 16))
        embed(method, pictures(8))
    assert calls == [True]
    assert type(method.encoder.backbone) is before


def test_seeding_a_step_is_seeding_torch() -> None:
    torch.manual_seed(7)
    expected = torch.rand(5)
    seed_torch(7, torch.device("cpu"))
    assert torch.equal(torch.rand(5), expected)


def test_convolutions_read_channels_last() -> None:
    encoder = image_encoder("small-conv")
    weights = [m.weight for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    seen: list[bool] = []
    encoder.backbone.register_forward_pre_hook(
        lambda module, args: seen.append(args[0].is_contiguous(memory_format=torch.channels_last))
    )
    encoder(torch.rand(2, 3, 16, 16))
    assert seen == [True]


def test_importing_nearfar_imports_no_torch() -> None:
    code = "import sys, nearfar, nearfar.catalogue, nearfar.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
