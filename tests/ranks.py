"""Functions on real processes that talk over gloo, for the tests of what ranks compute together."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def on_ranks(world: int, function: Callable[..., None], *arguments: Any, timeout: float = 180) -> None:
    """Call ``function(rank, *arguments)`` on ``world`` processes; whoever is left after ``timeout`` seconds is killed.

    Args:
        function: a module's function.

    Raises:
        TimeoutError: a process hangs; the message says which.
    """
    started = mp.spawn(_rank, (world, free_port(), function, arguments), nprocs=world, join=False)
    end = time.monotonic() + timeout
    try:
        while not started.join(timeout=1):
            if time.monotonic() > end:
                left = [rank for rank, process in enumerate(started.processes) if process.exitcode is None]
                raise TimeoutError(f"ranks {left} of {world} are still running {function.__name__} after {timeout} s")
    finally:
        for process in started.processes:
            process.kill()


def _rank(rank: int, world: int, port: int, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world, timeout=timedelta(seconds=60))
    # What the function builds must be gone before the group is: a DistributedDataParallel that outlives it ends the
    # group with Python's lock in hand, which gloo's thread may be waiting for, and both wait for ever.
    function(rank, *arguments)
    dist.barrier()  # the first rank keeps the meeting point of all, and must not leave before the others
    dist.destroy_process_group()
