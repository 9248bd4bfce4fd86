"""The batch size that fits, the sentence when none does, and memory that does not grow."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
import yaml

from nearfar import workflow
from nearfar.training import OutOfMemory, Training, fit, memory
from nearfar.training.fit import settled
from tests.toy import Toy, Vectors
from tests.training.test_fit import assert_equal, build, weights

MIB = 2**20


def test_the_machine_says_how_much_memory_it_has() -> None:
    assert MIB < memory.available_memory() < 2**50  # type: ignore[operator]
    assert memory.process_memory() > MIB


def test_more_memory_never_means_a_smaller_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    method, data = build(), Vectors(4_000)
    found = []
    for free in (0.03, 0.3, 1, 1000):
        monkeypatch.setattr(memory, "available_memory", lambda free=free: int(free * MIB))
        found.append(memory.largest_batch(method, data) or 0)
    assert found == sorted(found)
    assert 8 <= found[1] < found[3]
    assert found[3] == 256  # the power of two that leaves an epoch 8 steps
    monkeypatch.setattr(memory, "available_memory", lambda: 100)
    assert memory.largest_batch(method, data) is None


def test_trying_sizes_leaves_the_method_as_it_was() -> None:
    method, data = build(), Vectors()
    before = weights(method)
    memory.largest_batch(method, data)
    assert_equal(weights(method), before)
    assert method.training
    assert all(p.grad is None for p in method.parameters())
    settings = Training(steps=6, batch_size=32, monitor_every=-1)
    expected = weights(fit(build(), data, settings, progress=False))
    assert_equal(weights(fit(method, data, settings, progress=False)), expected)


def test_what_backward_keeps_is_foreseen() -> None:
    """Linear parts and a loss over all pairs alike."""
    method, data = build(), Vectors(4096)
    kept = [memory._step(method, data, size) for size in (16, 32, 64, 128, 256)]
    for count in (3, 4):
        assert kept[count] <= 1.3 * memory._next(kept[:count])
        assert memory._next(kept[:count]) <= 1.5 * kept[count]


def test_batch_size_auto_is_recorded_and_repeated(tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = Training(steps=2, batch_size="auto")
    small = {"encoder": "small-conv", "projection_hidden": 16}
    workflow.train("simclr", out=out, arguments=small, training=settings, data_options={"size": 16}, progress=False)
    recorded = yaml.safe_load((out / "config.yaml").read_text())["training"]["batch_size"]
    assert recorded in (2**k for k in range(3, 13))
    assert settled(build(), Vectors(), Training(batch_size=recorded)).examples == recorded


def test_batch_size_auto_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="auto is for one process"):
        settled(build(), Vectors(), Training(batch_size="auto"))


@pytest.mark.parametrize("bad", [0, "large"])
def test_other_words_are_no_batch_size(bad: object) -> None:
    with pytest.raises(ValueError, match="batch_size must be"):
        Training(batch_size=bad)  # type: ignore[arg-type]


def test_a_step_that_would_use_up_the_machine_says_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_LOOK_EVERY", 50_000)
    monkeypatch.setattr(memory, "_RESERVE", MIB)
    left = iter([10 * MIB, MIB // 2])
    monkeypatch.setattr(memory, "available_memory", lambda: next(left, 2 * MIB))
    with pytest.raises(OutOfMemory, match=r"batch_size 1024 does not fit .* this machine: \d+ would"):
        fit(build(), Vectors(2048), Training(steps=3, batch_size=1024, monitor_every=-1), progress=False)


def test_an_accelerator_that_runs_out_says_what_fits() -> None:
    class Large(Toy):
        """Out of memory, as a GPU says it, with more than 40 examples."""

        def loss(self, views: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            if len(views[0]) > 40:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            return super().loss(views)

    torch.manual_seed(0)
    with pytest.raises(OutOfMemory, match=r"batch_size 128 does not fit .*: 32 would\."):
        fit(Large(), Vectors(), Training(steps=3, batch_size=128, monitor_every=-1), progress=False)


def test_other_errors_of_a_step_are_left_alone() -> None:
    class Broken(Toy):
        def loss(self, views: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        fit(Broken(), Vectors(), Training(steps=3, monitor_every=-1), progress=False)


def test_memory_does_not_grow_with_steps() -> None:
    """Many times the steps leave as many tensors and, but for a little noise, as much memory as before."""
    import lightning as L

    counts: dict[int, tuple[int, int]] = {}

    class Count(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
            if trainer.global_step in (60, 400):
                gc.collect()
                tensors = sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())
                counts[trainer.global_step] = tensors, memory.process_memory()

    settings = Training(steps=400, batch_size=32, monitor_every=50)
    fit(build(), Vectors(), settings, progress=False, callbacks=[Count()])
    assert counts[400][0] <= counts[60][0] + 5
    assert counts[400][1] < counts[60][1] + 20 * MIB
