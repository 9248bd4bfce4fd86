"""Strips of a tiled matrix shared out among threads.

Tiles are small enough for the cache, so letting every single operation on one fan out over all cores costs a
barrier each time; on a machine whose cores are also wanted by others (data-loading workers, say) every
barrier waits for the slowest core. Here each thread takes whole strips instead and computes them alone: one
meeting per pass. Measured with NT-Xent over 8,192 rows of width 128 on two cores that other processes kept
busy as well: 0.4 s to 0.7 s, against 2 s to 9 s for operations that fan out and 2 s to 4 s for the plain full
matrix.

The strips of each thread are fixed by the number of threads, and results are added up in the order of the
threads: runs with equal thread counts agree to the bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from nearfar.losses.engine.sharing import deal

Strip = TypeVar("Strip")
Result = TypeVar("Result")

# Each thread may need accumulators of its own; together they take at most this many bytes.
ACCUMULATOR_BYTES = 1 << 28
# With OpenMP the number of threads that is set inside a thread limits that thread alone, as it must here.
OWN_COUNT_IN_EACH_THREAD = "ATen parallel backend: OpenMP" in torch.__config__.parallel_info()


def worker_count(like: Tensor, strips: int, accumulator_entries: int) -> int:
    """How many threads share the strips, when each needs an accumulator of so many entries like ``like``."""
    if like.device.type != "cpu" or not OWN_COUNT_IN_EACH_THREAD:
        return 1
    affordable = ACCUMULATOR_BYTES // max(accumulator_entries * like.element_size(), 1)
    return max(1, min(torch.get_num_threads(), strips, affordable))


def share(strips: list[Strip], work: Callable[[list[Strip]], Result], workers: int) -> list[Result]:
    """``work`` on one part of the strips for each worker; results in the order of the workers."""
    if workers == 1:
        return [work(strips)]
    parts = deal(strips, workers)
    threads_before = torch.get_num_threads()
    inference = torch.is_inference_mode_enabled()
    results: dict[int, Result] = {}
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            torch.set_num_threads(max(1, threads_before // workers))
            with torch.inference_mode() if inference else torch.no_grad():
                results[number] = work(parts[number])
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(workers)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        # The workers' setting also became the default of threads yet to be made.
        torch.set_num_threads(threads_before)
    if failures:
        raise failures[0]
    return [results[number] for number in range(workers)]


def total(parts: list[Tensor]) -> Tensor:
    """The sum of the workers' accumulators, in their order, in the first of them."""
    for part in parts[1:]:
        parts[0].add_(part)
    return parts[0]
