"""Ctrl-C while the main thread is in an operation that Python cannot interrupt."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from nearfar.training.signals import StopSignals

LIBC = ctypes.CDLL(None)


def stuck(while_stuck: Callable[[], None]) -> None:
    """Hold the main thread in a call of C that no signal ends, until ``while_stuck`` has returned in another."""
    mutex = ctypes.create_string_buffer(128)  # zeros are an unlocked mutex
    locked = threading.Event()

    def other() -> None:
        LIBC.pthread_mutex_lock(mutex)
        locked.set()
        time.sleep(0.05)
        try:
            while_stuck()
        finally:
            LIBC.pthread_mutex_unlock(mutex)

    thread = threading.Thread(target=other)
    thread.start()
    locked.wait()
    LIBC.pthread_mutex_lock(mutex)
    thread.join()


def test_ctrl_c_in_a_long_operation_is_answered_before_it_ends(capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    def press() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(200):
            said.append(capfd.readouterr().err)
            if "Ctrl-C again to stop at once" in "".join(said):
                return
            time.sleep(0.01)

    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as signals:
        stuck(press)
        assert "".join(said).count("finishing this step and saving; press Ctrl-C again to stop at once") == 1
        assert signals.code == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert "Ctrl-C" not in capfd.readouterr().err


def test_a_listener_of_somebody_else_is_left_alone() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGINT)
            assert signals.code == 130
        assert os.read(read, 1) == bytes([signal.SIGINT])
    finally:
        assert signal.set_wakeup_fd(before) == write
        os.close(read)
        os.close(write)


THRICE = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from nearfar.training import signals
from tests.training.test_signals import stuck
signals._SAME_PRESS, signals._GRACE = 0.05, 0.05
def press():
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
    os.write(1, b"still here")
with signals.StopSignals():
    stuck(press)
"""


@pytest.mark.long
def test_the_third_ctrl_c_ends_a_process_that_nothing_else_ends() -> None:
    root = os.fspath(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    done = subprocess.run([sys.executable, "-c", THRICE.format(root=root)], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert "still here" not in done.stdout
    assert "press Ctrl-C again to end the process" in done.stderr
