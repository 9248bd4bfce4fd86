"""Ranks that share a matrix get the same loss and, summed, the same gradients, each for its part of the work."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nearfar import losses
from nearfar.losses.engine import sharing as engine
from nearfar.losses.engine.sharing import Ranks, fingerprint, note_gathered, sharing
from tests.losses.cases import PLAIN, ROWS, SOFTMAX, Case, close, total, value_and_gradients

Result = TypeVar("Result")
GLOBAL = 96


@pytest.fixture(autouse=True)
def one_thread_and_no_threshold(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(engine, "LEAST_ENTRIES", {"cpu": 0})
    yield
    torch.set_num_threads(before)


class Room:
    """Ranks as threads: a reduction waits for all of them, and every message is written down."""

    def __init__(self, world: int) -> None:
        self.world = world
        self.messages: list[list[tuple[str, int]]] = [[] for _ in range(world)]
        self._barrier = threading.Barrier(world, timeout=60)
        self._sent: list[Tensor] = [torch.empty(0)] * world

    def _reduce(self, rank: int, tensor: Tensor, how: str) -> None:
        self.messages[rank].append((how, tensor.numel() * tensor.element_size()))
        self._sent[rank] = tensor.clone()
        self._barrier.wait()
        everything = torch.stack(self._sent)
        result = everything.sum(0) if how == "sum" else everything.amax(0)
        self._barrier.wait()
        tensor.copy_(result)

    def run(self, step: Callable[[int], Result], gathered: int = ROWS) -> list[Result]:
        """``step(rank)`` on every rank, after a batch of ``gathered`` rows was gathered."""
        results: dict[int, Result] = {}
        failures: list[BaseException] = []

        def work(rank: int) -> None:
            try:
                with sharing(Ranks(rank, self.world, partial(self._reduce, rank))):
                    note_gathered(gathered)
                    results[rank] = step(rank)
            except BaseException as failure:
                failures.append(failure)
                self._barrier.abort()

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(self.world)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        return [results[rank] for rank in range(self.world)]


class Products(TorchDispatchMode):
    """Counts the multiplications of matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().split(".")[0]
        if name in ("aten::mm", "aten::addmm", "aten::addmm_"):
            left, right = [x for x in args if isinstance(x, Tensor) and x.ndim == 2][-2:]
            self.count += left.shape[0] * left.shape[1] * right.shape[1]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("temperature", [0.005, 0.1])
@pytest.mark.parametrize("case", SOFTMAX, ids=str)
@pytest.mark.usefixtures("tiny_tiles")
def test_gradients_add_up_to_those_of_one(case: Case, temperature: float, world: int) -> None:
    loss = partial(case.loss, temperature=temperature)
    value, gradients = value_and_gradients(loss, case.data(torch.float64))
    room = Room(world)
    found = room.run(lambda rank: value_and_gradients(loss, case.data(torch.float64)))
    assert any(how == "sum" for how, _ in room.messages[0])
    for shared_value, _ in found:
        close(shared_value, value)
        assert torch.equal(shared_value, found[0][0])
    for number, gradient in enumerate(gradients):
        # Every rank's upstream gradient is 1, and they are summed, hence the average.
        close(torch.stack([parts[number] for _, parts in found]).sum(0) / world, gradient)


@pytest.mark.parametrize("rows", [5, ROWS])
@pytest.mark.parametrize("case", [case for case in PLAIN if case.name in ("barlow_twins", "vicreg")], ids=str)
def test_energies_of_wide_and_narrow_statistics(case: Case, rows: int) -> None:
    def step(rank: int) -> tuple[Tensor, list[Tensor]]:
        return value_and_gradients(case.loss, [x.detach()[:rows].requires_grad_() for x in case.data(torch.float64)])

    value, gradients = step(0)
    room = Room(3)
    found = room.run(step, gathered=rows)
    assert ("sum", 8) in room.messages[0]
    for number, gradient in enumerate(gradients):
        close(found[0][0], value)
        close(torch.stack([parts[number] for _, parts in found]).sum(0) / 3, gradient)


@pytest.mark.usefixtures("tiny_tiles")
def test_a_rank_may_use_only_its_own_rows_of_the_loss() -> None:
    def own_rows(rank: int) -> tuple[Tensor, list[Tensor]]:
        mine = slice(0, 5) if rank == 0 else slice(5, ROWS)
        a, b = (
            x.requires_grad_() for x in torch.randn(2, ROWS, 4, generator=torch.Generator().manual_seed(0)).double()
        )
        rows = losses.info_nce(a, b, temperature=0.2, reduction="none")
        return value_and_gradients(lambda *_: rows[mine].sum(), [a, b])

    alone = [own_rows(rank) for rank in range(2)]
    together = Room(2).run(own_rows)
    for rank in range(2):
        close(together[rank][0], alone[rank][0])
    for number in range(2):
        close(together[0][1][number] + together[1][1][number], alone[0][1][number] + alone[1][1][number])


SHARES: dict[str, tuple[Callable[..., Any], int]] = {
    "nt_xent": (losses.nt_xent, 2),
    "info_nce": (losses.info_nce, 2),
    "symmetric_info_nce": (losses.symmetric_info_nce, 2),
    "supcon": (lambda z, **options: losses.supcon(z, torch.arange(len(z)) // 3, **options), 1),
    "sigmoid_pair_loss": (partial(losses.sigmoid_pair_loss, bias=-3.0), 2),
    "relic": (partial(losses.relic, alpha=1.0), 4),
    "barlow_twins": (lambda a, b, **_: losses.barlow_twins(a, b, lambd=0.1), 2),
}


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("name", SHARES)
@pytest.mark.usefixtures("tiny_tiles")
def test_every_rank_does_its_part_of_the_work(name: str, world: int) -> None:
    loss, count = SHARES[name]

    def work(rank: int) -> int:
        inputs = [torch.randn(GLOBAL, 6, generator=torch.Generator().manual_seed(i)) for i in range(count)]
        with Products() as products:
            total(loss(*(x.requires_grad_() for x in inputs), temperature=0.1)).backward()
        return products.count

    alone = work(0)
    shares = [found / alone for found in Room(world).run(work, gathered=GLOBAL)]
    assert sum(shares) == pytest.approx(1.0, abs=0.06)
    assert max(shares) < 1.1 / world


ROW = 4 * GLOBAL
CHECK = ("max", 16)
# Bytes of every message of one step in float32: what docs/performance.md states.
MESSAGES = {
    ("nt_xent", 0.1): [CHECK, ("sum", 2 * ROW), ("sum", 2 * ROW)],
    ("nt_xent", 0.005): [CHECK, ("max", 2 * ROW), ("sum", 2 * ROW), ("sum", 2 * ROW)],
    ("info_nce", 0.1): [CHECK, ("sum", ROW), ("sum", ROW)],
    ("symmetric_info_nce", 0.1): [CHECK, ("sum", 2 * ROW), ("sum", 2 * ROW)],
    ("symmetric_info_nce", 0.005): [CHECK, ("max", 2 * ROW), ("sum", 2 * ROW), ("sum", 2 * ROW)],
    ("supcon", 0.1): [CHECK, ("sum", ROW), ("sum", ROW)],
    ("sigmoid_pair_loss", 0.1): [CHECK, ("sum", ROW), ("sum", ROW)],
    ("relic", 0.1): [CHECK, ("sum", 4 * ROW), ("sum", 4 * ROW)],
    ("barlow_twins", 0.1): [CHECK, ("sum", 4), ("sum", 4)],
}


def one_step(name: str, temperature: float, rows: int = GLOBAL, differ: bool = False) -> Callable[[int], Any]:
    """A step of one loss; with ``differ`` the last rank's last number is another one."""
    loss, count = SHARES[name]

    def step(rank: int) -> tuple[Tensor, list[Tensor]]:
        inputs = [torch.randn(rows, 4, generator=torch.Generator().manual_seed(i)) for i in range(count)]
        if differ and rank == 1:
            inputs[-1][-1, -1] *= 1.5
        return value_and_gradients(partial(loss, temperature=temperature), [x.requires_grad_() for x in inputs])

    return step


@pytest.mark.parametrize(("name", "temperature"), MESSAGES, ids=lambda x: str(x))
def test_messages_of_a_step(name: str, temperature: float) -> None:
    room = Room(2)
    room.run(one_step(name, temperature), gathered=GLOBAL)
    assert room.messages == [MESSAGES[name, temperature]] * 2


@pytest.mark.parametrize("name", SHARES)
def test_ranks_with_different_inputs_share_nothing(name: str) -> None:
    step = one_step(name, 0.1, differ=True)
    room = Room(2)
    found = room.run(step, gathered=GLOBAL)
    assert room.messages == [[CHECK], [CHECK]]
    for rank in range(2):
        value, gradients = step(rank)
        assert torch.equal(found[rank][0], value)
        assert all(map(torch.equal, found[rank][1], gradients))


def test_ranks_with_different_settings_share_nothing() -> None:
    room = Room(2)
    room.run(lambda rank: one_step("nt_xent", (0.1, 0.2)[rank])(rank), gathered=GLOBAL)
    assert Counter(room.messages[0]) == {CHECK: 1}


def test_local_rows_and_small_matrices_send_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(2)
    room.run(one_step("info_nce", 0.1, rows=GLOBAL // 2), gathered=GLOBAL)
    monkeypatch.setattr(engine, "LEAST_ENTRIES", {"cpu": GLOBAL * GLOBAL + 1})
    room.run(one_step("info_nce", 0.1), gathered=GLOBAL)
    assert room.messages == [[], []]


def test_fingerprint_sees_every_bit_and_its_place() -> None:
    z = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    different = [z, -z, z.flip(0), z.flip(1), z.t().contiguous(), torch.cat((z, z)), z.double(), -z.double()]
    for place in ((0, 0), (6, 4)):
        changed = z.clone()
        changed[place] = torch.nextafter(changed[place], torch.tensor(10.0))
        different.append(changed)
        negated = z.double()
        negated[place] *= -1
        different.append(negated)
    two_negated = z.double()
    two_negated[0, :2] *= -1
    codes = [int(fingerprint([x])) for x in [*different, two_negated]]
    assert len(set(codes)) == len(codes)
    assert fingerprint([z.t()]) == fingerprint([z.t().contiguous()])
    assert fingerprint([z, -z]) != fingerprint([-z, z])


def test_fingerprint_does_not_depend_on_how_it_is_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    z = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    whole = fingerprint([z, torch.tensor(2.0)])
    monkeypatch.setattr(engine, "CHUNK", 30)
    assert fingerprint([z, torch.tensor(2.0)]) == whole
