"""Losses of inputs nobody would choose: the value of the float64 formula, or a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nearfar import losses
from tests.losses import reference

TEMPERATURES = st.sampled_from([0.01, 0.05, 0.1, 0.5, 1.0, 7.0])
DTYPES = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16])
SCALES = st.sampled_from([1e-3, 1.0, 30.0])


@dataclass
class Loss:
    """A loss of ``inputs`` matrices and one option, beside its slow version."""

    call: Callable[..., Any]
    slow: Callable[..., Any]
    inputs: int
    least_rows: int = 1

    def labels(self, rows: int, seed: int) -> Tensor:
        return torch.randint(0, 3, (rows,), generator=torch.Generator().manual_seed(seed))


def paired(name: str, inputs: int = 2, least_rows: int = 1, tempered: bool = True, **options: Any) -> Loss:
    def arguments(temperature: Any) -> dict[str, Any]:
        return {**({"temperature": temperature} if tempered else {}), **options}

    fast, slow = getattr(losses, name), getattr(reference, name)
    return Loss(lambda x, t, _: fast(*x, **arguments(t)), lambda x, t, _: slow(*x, **arguments(t)), inputs, least_rows)


TABLE = {
    "info_nce": paired("info_nce"),
    "info_nce symmetric": paired("info_nce", symmetric=True),
    "info_nce queue": Loss(
        lambda x, t, _: losses.info_nce(x[0], x[1], negatives=x[2], in_batch=False, temperature=t),
        lambda x, t, _: reference.info_nce(x[0], x[1], negatives=x[2], in_batch=False, temperature=t),
        3,
    ),
    "info_nce hard": Loss(
        lambda x, t, _: losses.info_nce(x[0], x[1], hard_negatives=x[2], hard_negative_bias=0.7, temperature=t),
        lambda x, t, _: reference.info_nce(x[0], x[1], hard_negatives=x[2], hard_negative_bias=0.7, temperature=t),
        3,
    ),
    "nt_xent": paired("nt_xent"),
    "grace": paired("grace"),
    "supcon": Loss(
        lambda x, t, labels: losses.supcon(x[0], labels, temperature=t),
        lambda x, t, labels: reference.supcon(x[0], labels, temperature=t),
        1,
    ),
    "sigmoid_pair_loss": paired("sigmoid_pair_loss", bias=-2.0),
    **{f"relic {mode}": paired("relic", 4, alpha=0.7, kl_mode=mode) for mode in ("full", "sg_entropy", "sg_target")},
    "negative_cosine": paired("negative_cosine", tempered=False),
    "byol_regression": paired("byol_regression", 4, tempered=False),
    "barlow_twins": paired("barlow_twins", least_rows=2, tempered=False, lambd=0.01),
    "vicreg": paired("vicreg", least_rows=2, tempered=False),
}
TEMPERED = [name for name, loss in TABLE.items() if name.split()[0] not in ("negative_cosine", "byol_regression")]
TEMPERED = [name for name in TEMPERED if name not in ("barlow_twins", "vicreg")]


def total(value: Any) -> Tensor:
    parts = list(value.values()) if isinstance(value, dict) else [value]
    return torch.stack([torch.as_tensor(part, dtype=torch.float64).mean() for part in parts]).sum()


@st.composite
def matrices(
    draw: st.DrawFn, count: int, least_rows: int = 1, dtypes: st.SearchStrategy[torch.dtype] = DTYPES
) -> list[Tensor]:
    """``count`` matrices of one shape, some with rows that are zero or equal, in any floating dtypes."""
    rows, width = draw(st.integers(least_rows, 7)), draw(st.integers(1, 6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    found = []
    same = draw(st.booleans())
    dtype = draw(dtypes)
    for _ in range(count):
        x = torch.randn(rows, width, generator=generator, dtype=torch.float64) * draw(SCALES)
        edge = draw(st.sampled_from(["none", "none", "zero row", "all zero", "equal rows"]))
        if edge == "zero row":
            x[0] = 0
        elif edge == "all zero":
            x[:] = 0
        elif edge == "equal rows":
            x[:] = x[0].clone()
        found.append(x.to(dtype if same else draw(dtypes)))
    return found


@given(st.data())
def test_the_value_is_that_of_the_formula(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(TABLE)))
    loss = TABLE[name]
    x = data.draw(matrices(loss.inputs, loss.least_rows))
    temperature = data.draw(TEMPERATURES)
    labels = loss.labels(len(x[0]), data.draw(st.integers(0, 99)))
    expected = total(loss.slow([t.double() for t in x], temperature, labels))
    value = loss.call(x, temperature, labels)
    for part in value.values() if isinstance(value, dict) else [value]:
        assert part.isfinite().all()
        assert part.dtype == (torch.float64 if all(t.dtype == torch.float64 for t in x) else part.dtype)
        assert part.dtype in (torch.float32, torch.float64)
    # Cosines in float32 are exact to about 1e-6, which the temperature divides.
    exact = any(t.dtype == torch.float64 for t in x)
    close = 1e-8 if exact else 3e-4
    slack = 1e-8 if exact else 3e-6 / temperature + 1e-4 * (name == "vicreg" or name == "barlow_twins") * 100
    torch.testing.assert_close(total(value), expected, rtol=close, atol=slack)


@given(st.data())
def test_gradients_are_finite(data: st.DataObject) -> None:
    """But for float16, in which the slope at a row of almost no length is larger than its largest number."""
    loss = TABLE[data.draw(st.sampled_from(sorted(TABLE)))]
    dtypes = st.sampled_from([torch.float64, torch.float32, torch.bfloat16])
    x = [t.requires_grad_() for t in data.draw(matrices(loss.inputs, loss.least_rows, dtypes))]
    value = loss.call(x, data.draw(TEMPERATURES), loss.labels(len(x[0]), 0))
    total(value).backward()
    assert all(t.grad is None or t.grad.isfinite().all() for t in x)


BAD_TEMPERATURES = st.one_of(
    st.floats(max_value=0.0),
    st.sampled_from([float("nan"), float("inf"), True, None, "warm", torch.tensor([0.1]), torch.tensor(-1.0)]),
)


@given(st.data())
def test_temperatures_that_are_none_are_refused(data: st.DataObject) -> None:
    loss = TABLE[data.draw(st.sampled_from(TEMPERED))]
    x = data.draw(matrices(loss.inputs, loss.least_rows))
    with pytest.raises((ValueError, TypeError), match="temperature"):
        loss.call(x, data.draw(BAD_TEMPERATURES), loss.labels(len(x[0]), 0))


@given(st.data())
def test_one_wrong_input_is_refused_or_seen_in_the_value(data: st.DataObject) -> None:
    """Shapes, dtypes and kinds that do not belong raise; NaN and infinity are never hidden."""
    name = data.draw(st.sampled_from(sorted(TABLE)))
    loss = TABLE[name]
    x: list[Any] = list(data.draw(matrices(loss.inputs, loss.least_rows)))
    place = data.draw(st.integers(0, loss.inputs - 1))
    wrong = data.draw(st.sampled_from(["nan", "inf", "empty", "flat", "cube", "integers", "list", "none", "wide"]))
    labels = loss.labels(len(x[0]), 0)
    given_one = x[place]
    x[place] = {
        "nan": given_one.clone(),
        "inf": given_one.clone(),
        "empty": given_one[:0],
        "flat": given_one[:, 0],
        "cube": given_one[None],
        "integers": given_one.long(),
        "list": given_one.tolist(),
        "none": None,
        "wide": torch.cat((given_one, given_one), 1),
    }[wrong]
    if wrong in ("nan", "inf"):
        x[place][0, 0] = float(wrong)
        temperature = 0.5
        if name == "supcon":
            labels[:] = 0
        if len(given_one) == 1 and name != "sigmoid_pair_loss":
            return  # one row has nothing to be told apart from
        assert not total(loss.call(x, temperature, labels)).isfinite()
        return
    if wrong == "wide" and loss.inputs == 1:
        return  # a matrix like any other
    if wrong == "none" and name in ("info_nce hard",) and place == 2:
        return  # optional
    with pytest.raises((ValueError, TypeError)):
        loss.call(x, 0.5, labels)
