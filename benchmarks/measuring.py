"""What several benchmarks measure with: processor time, the kernel's account of memory, a port for ranks."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def cpu_seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median CPU time of ``work`` on this process's threads; its first call, which may compile, does not count."""
    found = []
    for turn in range(repeats + 1):
        start = time.process_time()
        work()
        if turn:
            found.append(time.process_time() - start)
    return statistics.median(found)


def status(key: str) -> int:
    """Kilobytes of one line of the kernel's account of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise RuntimeError(f"{key} is not reported: memory is measured on Linux only")


def peak_kilobytes(work: Callable[[], Any]) -> int:
    """What ``work`` needs at its peak beyond what this process holds already."""
    before = status("VmRSS")
    # Writing 5 here makes the kernel forget the peak that importing reached.
    Path("/proc/self/clear_refs").write_text("5")
    work()
    return status("VmHWM") - before


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
