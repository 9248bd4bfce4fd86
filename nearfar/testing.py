"""The promises of the house, for methods of one's own.

``check_method(MyMethod, data)`` runs them all and raises an ``AssertionError`` that says which one is broken.
``promises()`` gives them one by one, for parametrised tests.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from nearfar.system import VERBS
from nearfar.training import Data, Method, Training, embed, fit

STEPS = 4


def check_method(
    cls: type[Method], data: Data, arguments: Mapping[str, Any] | None = None, batch_size: int = 8
) -> None:
    """Hold a method to everything that nearfar promises of its own.

    Args:
        cls: the method.
        data: a small collection that it learns from; at least twice ``batch_size`` examples.
        arguments: of its constructor, where the defaults do not fit or are too large for a test.
        batch_size: of the short trainings.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    for promise in promises():
        promise(cls, data, dict(arguments or {}), batch_size)


def promises() -> list[Callable[[type[Method], Data, dict[str, Any], int], None]]:
    """Every promise, as a function of (class, data, arguments, batch size)."""
    return [
        configuration_is_the_constructor,
        verbs_have_their_functions,
        views_have_no_gradients,
        random_numbers_are_the_steps,
        training_moves_what_is_kept,
        a_saved_method_opens_as_it_was,
        a_resumed_run_is_the_whole_one,
        global_random_numbers_stay,
    ]


def configuration_is_the_constructor(cls: type[Method], data: Data, arguments: dict[str, Any], batch_size: int) -> None:
    """The arguments are kept as given, plain enough for a file, and make the same method again."""
    from nearfar.runs.configure import construct
    from nearfar.runs.hub import plain

    method = _built(cls, arguments)
    again = construct(cls, plain(method.config))
    ours, theirs = method.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys(), f"{cls.__name__}(**config) has other weights than the method it came from"
    wrong = [name for name, value in ours.items() if value.shape != theirs[name].shape]
    assert not wrong, f"{cls.__name__}(**config) has weights of other shapes: {wrong[:3]}"


def verbs_have_their_functions(cls: type[Method], data: Data, arguments: dict[str, Any], batch_size: int) -> None:
    """What it says it can do, it can."""
    unknown = [verb for verb in cls.verbs if verb not in VERBS]
    assert not unknown, f"{cls.__name__}.verbs names {unknown}; there are {', '.join(VERBS)}"
    missing = [VERBS[verb] for verb in cls.verbs if not callable(getattr(cls, VERBS[verb], None))]
    assert not missing, f"{cls.__name__} has no {', '.join(missing)}, which its verbs ask for"
    if cls.takes is not None and data.gives is not None:
        assert issubclass(data.gives, cls.takes), (
            f"{cls.__name__} takes {cls.takes.__name__}, not {data.gives.__name__}"
        )


def views_have_no_gradients(cls: type[Method], data: Data, arguments: dict[str, Any], batch_size: int) -> None:
    """Views are data: no gradient flows through what made them."""
    method = _built(cls, arguments)
    method.seed_step(0, 0)
    with torch.no_grad():
        views = method.views(data.training_batch(np.arange(batch_size)))
    graphs = [leaf for leaf in tree_leaves(views) if isinstance(leaf, Tensor) and leaf.grad_fn is not None]
    assert not graphs, f"{cls.__name__}.views returns tensors that belong to a graph"


def random_numbers_are_the_steps(cls: type[Method], data: Data, arguments: dict[str, Any], batch_size: int) -> None:
    """A step's loss is a function of (seed, epoch, step): the same again, whatever was drawn before."""
    if cls.updates is not Method.updates:
        return  # a step of several updates has no single loss; the resumed run shows it
    method = _built(cls, arguments)
    batch = data.training_batch(np.arange(batch_size))
    found: list[float] = []
    for _ in range(2):
        torch.manual_seed(len(found) + 77)
        np.random.seed(len(found) + 77)  # noqa: NPY002  (what a careless method would draw from)
        state = {name: value.clone() for name, value in method.state_dict().items()}
        method.seed_step(0, 3)
        with torch.no_grad():
            terms = method.loss(method.views(batch))
        found.append(float(terms if isinstance(terms, Tensor) else torch.stack(list(terms.values())).sum()))
        method.load_state_dict(state)
    assert found[0] == found[1], (
        f"{cls.__name__} draws random numbers that are not the step's: {found[0]} and {found[1]}"
    )


def training_moves_what_is_kept(cls: type[Method], data: Data, arguments: dict[str, Any], batch_size: int) -> None:
    """A few steps change the weights that a run keeps, and all of them stay finite."""
    method = _built(cls, arguments)
    before = {name: value.clone() for name, value in method.kept().state_dict().items()}
    _trained(method, data, batch_size)
    after = method.kept().state_dict()
    assert any(not torch.equal(after[name], value) for name, value in before.items()), f"{cls.__name__} did not learn"
    broken = [n for n, v in after.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    assert not broken, f"{cls.__name__} has weights that are not finite: {broken[:3]}"


def a_saved_method_opens_as_it_was(cls: type[Method], data: Data, arguments: dict[str, Any], batch_size: int) -> None:
    """What ``kept()`` says is enough: other initial weights with it loaded do the same as the trained method."""
    method = _trained(_built(cls, arguments), data, batch_size)
    torch.manual_seed(1234)
    other = cls(**arguments).eval()
    other.kept().load_state_dict(method.kept().state_dict())
    if "embeds" in cls.verbs:
        same = np.array_equal(embed(other, data.sample(batch_size)).array, embed(method, data.sample(batch_size)).array)
        assert same, f"{cls.__name__}.kept() leaves out something that encode needs"


def a_resumed_run_is_the_whole_one(cls: type[Method], data: Data, arguments: dict[str, Any], batch_size: int) -> None:
    """Stopped in the middle and continued from its checkpoint, it ends with the weights of the uninterrupted run."""
    from nearfar.runs.run import Run

    settings = Training(
        steps=STEPS, batch_size=batch_size, checkpoint_every=STEPS // 2, monitor_every=-1, precision="32"
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", {"method": cls.__name__})
        whole = fit(_built(cls, arguments), data, settings, run=run, progress=False)
        halves = [p for p in run.checkpoints.glob("*.ckpt") if p.name.endswith(f"{STEPS // 2:09d}.ckpt")]
        again = fit(_built(cls, arguments), data, settings, checkpoint=halves[0], progress=False)
        run.unlock()
    theirs = again.state_dict()
    wrong = [name for name, value in whole.state_dict().items() if not torch.equal(value, theirs[name])]
    assert not wrong, f"{cls.__name__} ends elsewhere when it was interrupted: {wrong[:3]}"


def global_random_numbers_stay(cls: type[Method], data: Data, arguments: dict[str, Any], batch_size: int) -> None:
    """Training leaves numpy's global generator where it was."""
    method = _built(cls, arguments)
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr, index]  # noqa: NPY002
    _trained(method, data, batch_size)
    after = np.random.get_state()[1]  # type: ignore[index]  # noqa: NPY002
    assert np.array_equal(before, after), f"{cls.__name__} draws from numpy's global generator"


def _built(cls: type[Method], arguments: dict[str, Any]) -> Method:
    torch.manual_seed(0)
    return cls(**arguments)


def _trained(method: Method, data: Data, batch_size: int) -> Method:
    settings = Training(steps=STEPS, batch_size=batch_size, monitor_every=-1, precision="32")
    return fit(method, data, settings, progress=False)
