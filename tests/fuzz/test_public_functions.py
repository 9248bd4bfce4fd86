"""Every public function of losses, evaluation and parts, given what a tired person might give it."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from nearfar import evaluation, losses, parts

FUNCTIONS = {
    f"{room.__name__.rpartition('.')[2]}.{name}": getattr(room, name)
    for room in (losses, evaluation, parts)
    for name in room.__all__
    # Of the parts, what builds them: their calls are torch's own.
    if callable(getattr(room, name)) and (room is not parts or isinstance(getattr(room, name), type))
}
# What a call with arguments of the wrong kind may end in; anything else is a fault of ours.
DOCUMENTED = (ValueError, TypeError)
RNG = np.random.default_rng(0)


def arrays() -> list[Any]:
    """Matrices, vectors and oddities of both libraries."""
    x = RNG.normal(size=(6, 3))
    holes = x.copy()
    holes[2, 1] = np.nan
    plain = [x, x[:1], x[:0], x[:, :0], x[0], x[None], holes, np.zeros((6, 3)), x.astype(np.float32), x.astype(int)]
    labels = [np.arange(6) % 2, np.zeros(6, int), np.arange(6), np.arange(5), np.array(["a", "b"] * 3), np.full(6, -1)]
    scores = [np.full((6, 3), 1 / 3), x > 0, np.arange(6.0)]
    tensors = [torch.tensor(a) for a in [*plain, *labels[:4], *scores]]
    return [*plain, *labels, *scores, *tensors, torch.randn(2, 3, 4, 4), torch.tensor(0.5), x.tolist()]


NUMBERS = [0, 1, 2, 3, -1, 0.0, 0.1, 0.5, 1.0, -0.5, 1e30, float("nan"), float("inf"), True]
OTHERS = [None, "", "cosine", "l2", [], {}, (1, 5), "mean"]
ARRAYS = arrays()


def argument(parameter: inspect.Parameter) -> st.SearchStrategy[Any]:
    """Mostly something of the right kind, sometimes anything; but no tensor for a number, whose truth torch itself
    refuses with a RuntimeError."""
    hint = str(parameter.annotation)
    if "Tensor" in hint or "Array" in hint or "array" in hint:
        return st.one_of(st.sampled_from(ARRAYS), st.sampled_from([*NUMBERS, *OTHERS]))
    fitting = OTHERS if "str" in hint else NUMBERS
    return st.one_of(st.sampled_from(fitting), st.sampled_from([*NUMBERS, *OTHERS]))


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, list[Any], dict[str, Any]]:
    name = draw(st.sampled_from(sorted(FUNCTIONS)))
    positional, named = [], {}
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        required = parameter.default is inspect.Parameter.empty
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if not required and (parameter.name in COSTLY or draw(st.integers(0, 3))):
            continue
        value = draw(argument(parameter))
        if required and parameter.kind is not parameter.KEYWORD_ONLY:
            positional.append(value)
        else:
            named[parameter.name] = value
    return name, positional, named


# Arguments that only make a right call slow.
COSTLY = {"device", "workers", "resamples", "n_init", "epochs", "steps", "folds", "max_iter", "on_step"}


@given(calls())
def test_a_call_ends_in_a_result_or_in_a_documented_error(call: tuple[str, list[Any], dict[str, Any]]) -> None:
    name, positional, named = call
    sentence = "none was needed"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            FUNCTIONS[name](*positional, **named)
        except DOCUMENTED as error:
            sentence = str(error)
    assert sentence, f"{name} raised an error without a sentence"
