"""Sharing strips among threads changes neither the numbers nor the process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import torch

from nearfar import losses
from nearfar.losses.engine import threads
from tests.losses.cases import SOFTMAX, Case, value_and_gradients


@pytest.fixture(autouse=True)
def restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("temperature", [0.005, 0.1])
@pytest.mark.parametrize("case", SOFTMAX, ids=str)
@pytest.mark.usefixtures("tiny_tiles")
def test_any_number_of_threads_gives_the_same(case: Case, temperature: float) -> None:
    loss = partial(case.loss, temperature=temperature)
    torch.set_num_threads(1)
    alone = value_and_gradients(loss, case.data(torch.float64))
    for count in (2, 3):
        torch.set_num_threads(count)
        shared = value_and_gradients(loss, case.data(torch.float64))
        torch.testing.assert_close(shared, alone, rtol=1e-12, atol=1e-13)
        again = value_and_gradients(loss, case.data(torch.float64))
        assert torch.equal(again[0], shared[0])
        assert all(map(torch.equal, again[1], shared[1]))
        assert torch.get_num_threads() == count


@pytest.mark.usefixtures("tiny_tiles")
def test_inside_inference_mode() -> None:
    torch.set_num_threads(2)
    a, b, c, d = torch.randn(4, 13, 6, dtype=torch.float64)
    expected = losses.nt_xent(a, b, temperature=0.1), losses.relic_kl(a, b, c, d, temperature=0.1)
    with torch.inference_mode():
        found = losses.nt_xent(a, b, temperature=0.1), losses.relic_kl(a, b, c, d, temperature=0.1)
    assert found == expected


def test_every_strip_is_worked_on_once_and_in_order() -> None:
    torch.set_num_threads(3)
    parts = threads.share(list(range(10)), list, 3)
    assert parts == [[0, 5, 6], [1, 4, 7], [2, 3, 8, 9]]
    assert threads.share(list(range(10)), list, 1) == [list(range(10))]


def test_a_failure_in_a_thread_reaches_the_caller() -> None:
    torch.set_num_threads(2)

    def work(part: list[int]) -> None:
        if 1 in part:
            raise RuntimeError("strip 1 is broken")

    with pytest.raises(RuntimeError, match="strip 1 is broken"):
        threads.share([0, 1, 2, 3], work, 2)
    assert torch.get_num_threads() == 2


def test_accumulators_limit_the_threads() -> None:
    torch.set_num_threads(4)
    like = torch.zeros(1)
    most = threads.ACCUMULATOR_BYTES // 4
    assert threads.worker_count(like, 100, 10) == 4
    assert threads.worker_count(like, 3, 10) == 3
    assert threads.worker_count(like, 100, most // 2) == 2
    assert threads.worker_count(like, 100, most * 10) == 1
    assert threads.worker_count(torch.zeros(1, device="meta"), 100, 10) == 1
