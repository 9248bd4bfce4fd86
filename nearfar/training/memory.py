"""How much memory a step needs and how much there is: the batch size that fits, and a sentence when one does not."""

from __future__ import annotations

import gc
import os
import resource
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from nearfar.common import distributed
from nearfar.sources.data import Data
from nearfar.training.method import Method

SMALLEST, LARGEST = 8, 4096
# An epoch in fewer steps than this learns badly, however much memory there is.
STEPS_PER_EPOCH = 8
# Beside what backward keeps there are the views, gradients of activations and an operator's own scratch space.
OVERHEAD = 1.5
SHARE = 0.7
_LOOK_EVERY = 64 * 2**20
_RESERVE = 256 * 2**20


class OutOfMemory(MemoryError):
    """A step needs more memory than there is; the message says which batch size fits."""


def available_memory() -> int | None:
    """Bytes that this process may still take of the machine, its container and its own limits; ``None`` if unknown."""
    found = [*_of_the_machine(), *_of_the_container(), *_of_the_process()]
    return max(min(found), 0) if found else None


def _of_the_machine() -> Iterator[int]:
    table = _table(Path("/proc/meminfo"))
    if "MemAvailable" in table:
        yield table["MemAvailable"] + table.get("SwapFree", 0)


def _of_the_container() -> Iterator[int]:
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            yield int(Path(limit).read_text()) - int(Path(used).read_text())
        except (OSError, ValueError):  # no such group, or "max"
            continue


def _of_the_process() -> Iterator[int]:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    table = _table(Path("/proc/self/status"))
    if limit != resource.RLIM_INFINITY and "VmSize" in table:
        yield limit - table["VmSize"]


def _table(path: Path) -> dict[str, int]:
    """``Name:   12 kB`` per line, as bytes."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3 and words[2] == "kB"}


class MemoryWatch(L.Callback):
    """Stops a run in its first step when that step is about to use up the machine's memory.

    On a processor nothing raises an error when memory runs out: the system kills the process, and nobody learns
    why. While the first step keeps activations for its backward pass, this looks at what is left.

    Raises:
        OutOfMemory: less than a quarter of a GiB was left.
    """

    def __init__(self) -> None:
        self._hooks: saved_tensors_hooks | None = None
        self._kept = self._next_look = 0

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        if self._hooks is None and self._kept == 0 and module.device.type == "cpu":
            self._next_look = _LOOK_EVERY
            self._hooks = saved_tensors_hooks(self._keep, lambda x: x)
            self._hooks.__enter__()

    def on_train_batch_end(self, *_: Any) -> None:
        self._leave()

    def on_exception(self, *_: Any) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._hooks is not None:
            self._hooks.__exit__(None, None, None)
            self._hooks = None
            self._kept = max(self._kept, 1)

    def _keep(self, x: Tensor) -> Tensor:
        self._kept += x.nbytes
        if self._kept >= self._next_look:
            self._next_look = self._kept + _LOOK_EVERY
            left = available_memory()
            if left is not None and left < _RESERVE:
                raise OutOfMemory(f"{left / 2**20:,.0f} MiB are left")
        return x


@contextmanager
def explained(method: Method, data: Any, batch_size: int) -> Iterator[None]:
    """Turns running out of memory, on any device, into :class:`OutOfMemory` with the batch size that fits."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_shortage(error):
            raise
        _forget(error)
        where = "the accelerator" if method.device.type == "cuda" else "this machine"
        if distributed.world_size() > 1 or not isinstance(data, Data):
            advice = "try half of it"
        else:
            found = largest_batch(method, data, below=batch_size)
            advice = f"{found} would" if found else "nor would 8; take a smaller encoder or smaller inputs"
        raise OutOfMemory(
            f"a step with batch_size {batch_size} does not fit into the memory of {where}: {advice}. The setting "
            "`chunk` trains large batches in the memory of a small one"
        ) from None


def _forget(error: BaseException) -> None:
    """Let go of what the frames of an error, and of those that led to it, hold: the step's tensors."""
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__cause__ or seen.__context__
    gc.collect()


def _is_shortage(error: BaseException) -> bool:
    text = str(error)
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "can't allocate memory" in text
        or "not enough memory" in text
    )


def largest_batch(method: Method, data: Data, *, below: int | None = None, share: float = SHARE) -> int | None:
    """The largest power of two whose step fits, found by steps of doubling size; ``None`` when not even 8 examples fit.

    A step is views, loss and backward, without the optimiser, whose memory is counted. On a processor what backward
    keeps is measured, and the next size is tried only if it is going to fit; on a GPU every size is tried until one
    does not. Weights and buffers are left as they were. At most 4096, and an eighth of the collection, so that an
    epoch keeps 8 steps.

    Args:
        below: only sizes below this one, whatever the collection's size.
        share: of the memory that is free, what may be used.
    """
    examples = data.epoch_size
    limit = min(LARGEST, examples // STEPS_PER_EPOCH) if below is None else min(below - 1, examples)
    limit = max(limit, min(SMALLEST, examples))
    weights = sum(p.nbytes for p in method.parameters() if p.requires_grad)
    fixed = 3 * weights  # their gradients and the optimiser's two moments
    found: int | None = None
    kept: list[int] = []
    size = min(SMALLEST, limit)
    with _untouched(method):
        while size <= limit:
            free = _free(method)
            foreseen = fixed + OVERHEAD * _next(kept)
            if free is not None and method.device.type == "cpu" and foreseen > share * free:
                break
            try:
                used = _step(method, data, size)
            except (MemoryError, RuntimeError) as error:
                if not _is_shortage(error):
                    raise
                _forget(error)
                break
            if free is not None and fixed + OVERHEAD * used > share * free:
                break
            kept.append(used)
            found = size
            size *= 2
    return found


def _next(kept: list[int]) -> float:
    """What twice the last size keeps: growth doubles where it is linear in the batch, more where a loss compares all
    pairs, and as it did at the last doubling."""
    if len(kept) < 2:
        return 2.0 * sum(kept)
    last = kept[-1] - kept[-2]
    before = kept[-2] - kept[-3] if len(kept) > 2 else 0
    return kept[-1] + last * max(last / before if before > 0 else 2.0, 2.0)


def _free(method: Method) -> int | None:
    if method.device.type != "cuda":
        return available_memory()
    gc.collect()
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(method.device)[0]


def _step(method: Method, data: Data, size: int) -> int:
    """One step without an optimiser; the bytes that backward kept."""
    batch = move_data_to_device(data.training_batch(np.arange(size)), method.device)
    own = {t.untyped_storage().data_ptr() for t in [*method.parameters(), *method.buffers()]}
    kept: dict[int, int] = {}

    def keep(x: Tensor) -> Tensor:
        if x.layout == torch.strided:
            storage = x.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return x

    method.seed_step(0, 0)
    with saved_tensors_hooks(keep, lambda x: x):
        with torch.no_grad():
            views = method.views(batch)
        terms = method.loss(views)
        total = terms if isinstance(terms, Tensor) else torch.stack(list(terms.values())).sum()
    total.backward()
    method.zero_grad(set_to_none=True)
    return sum(bytes_ for pointer, bytes_ in kept.items() if pointer not in own)


@contextmanager
def _untouched(method: Method) -> Iterator[None]:
    """Buffers, mode and gradients as before; parameters are not moved by a step without an optimiser."""
    before = [(buffer, buffer.clone()) for buffer in method.buffers()]
    training = method.training
    method.train()
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)
        method.zero_grad(set_to_none=True)
        method.train(training)


def process_memory() -> int:
    """Bytes of memory that this process holds now (its resident set)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
