"""What every loss does to its arguments first: check, lift half precision, normalise, read the
temperature."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

NORM_FLOOR = 1e-12
# Below, logits pass the start of the running maxima of the tiles, and soon the range of float32.
LEAST_TEMPERATURE = 1e-18
# Above, what is multiplied by a temperature passes it too.
MOST_TEMPERATURE = 1e18

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(loss: Callable[P, R]) -> Callable[P, R]:
    """Run ``loss`` with autocast off: float32 arithmetic stays float32 inside a mixed-precision step."""

    @functools.wraps(loss)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        first = next(iter([*args, *kwargs.values()]), None)
        if isinstance(first, Sequence) and len(first) > 0:
            first = first[0]
        device_type = first.device.type if isinstance(first, Tensor) else "cpu"
        with torch.autocast(device_type, enabled=False):
            return loss(*args, **kwargs)

    return wrapped


def _lift(tensors: Sequence[Tensor]) -> list[Tensor]:
    """All in one dtype: the widest of theirs, and float32 for half precision."""
    dtype = functools.reduce(torch.promote_types, (t.dtype for t in tensors))
    if dtype in (torch.float16, torch.bfloat16):
        dtype = torch.float32
    return [t.to(dtype) for t in tensors]


def floating(**named: Tensor) -> list[Tensor]:
    """Floating-point tensors on one device, half precision lifted to float32."""
    first_name, first = next(iter(named.items()))
    for name, tensor in named.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}")
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must have a floating-point dtype, got {tensor.dtype}; call .float() on it")
        if tensor.device != first.device:
            raise ValueError(
                f"{name} is on {tensor.device} and {first_name} on {first.device}; all embeddings must be on one device"
            )
    return _lift(list(named.values()))


def embeddings(**named: Tensor) -> list[Tensor]:
    """Non-empty (N, D) floating-point matrices of one width D on one device, half precision lifted."""
    lifted = floating(**named)
    first_name, first = next(iter(named.items()))
    for name, tensor in named.items():
        if tensor.ndim != 2:
            raise ValueError(f"{name} must be a matrix (N, D), got shape {tuple(tensor.shape)}")
        if tensor.numel() == 0:
            raise ValueError(f"{name} is empty, got shape {tuple(tensor.shape)}; at least one row is needed")
        if tensor.shape[1] != first.shape[1]:
            raise ValueError(
                f"{name} has width {tensor.shape[1]} and {first_name} has width {first.shape[1]}; "
                "embeddings that are compared must have the same width"
            )
    return lifted


def paired(**named: Tensor) -> list[Tensor]:
    """Like :func:`embeddings`, and row i of each belongs together, so all have the same shape."""
    lifted = embeddings(**named)
    first_name, first = next(iter(named.items()))
    for name, tensor in named.items():
        if tensor.shape != first.shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)} and {first_name} has shape {tuple(first.shape)}; "
                "row i of one is paired with row i of the other, so the shapes must be equal"
            )
    return lifted


def tracks(**named: Tensor) -> list[Tensor]:
    """Non-empty (B, T, D) floating-point tensors of one shape on one device, half precision lifted."""
    lifted = floating(**named)
    first_name, first = next(iter(named.items()))
    for name, tensor in named.items():
        if tensor.ndim != 3:
            raise ValueError(f"{name} must have shape (B, T, D), got shape {tuple(tensor.shape)}")
        if tensor.numel() == 0:
            raise ValueError(f"{name} is empty, got shape {tuple(tensor.shape)}; at least one time step is needed")
        if tensor.shape != first.shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)} and {first_name} has shape {tuple(first.shape)}; "
                "step t of row i of one belongs to that of the other, so the shapes must be equal"
            )
    return lifted


def whole_numbers(name: str, values: Tensor, shape: tuple[int, ...], *, at_least: int | None = None) -> Tensor:
    """An integer tensor of a shape, as int64."""
    if not isinstance(values, Tensor) or values.is_floating_point() or values.is_complex():
        got = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(f"{name} must be a tensor of whole numbers, got {got}")
    if tuple(values.shape) != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(values.shape)}")
    if at_least is not None and values.numel() and int(values.min()) < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {int(values.min())}")
    return values.long()


def boolean(name: str, mask: Tensor, shape: tuple[int, ...], like: Tensor, of: str, hint: str = "") -> Tensor:
    """A boolean mask of a shape, on the device of what it is for, as numbers of its dtype.

    Args:
        of: what ``like`` is, in the plural.
        hint: ends the sentence for whoever gives something else than a boolean tensor.
    """
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise TypeError(f"{name} must be a boolean tensor, got {got}{hint}")
    if mask.shape != shape or mask.device != like.device:
        raise ValueError(
            f"{name} must have shape {tuple(shape)} on {like.device} like the {of}, "
            f"got {tuple(mask.shape)} on {mask.device}"
        )
    return mask.to(like.dtype)


def inverse_temperature(temperature: float | Tensor, like: Tensor) -> float | Tensor:
    """1 / temperature, differentiable when the temperature is a tensor.

    A temperature that lies on an accelerator is not compared with zero: reading it would make the host wait.
    """
    if isinstance(temperature, Tensor):
        if temperature.ndim != 0 or not temperature.is_floating_point():
            raise ValueError(
                "temperature must be a positive float or a 0-d floating-point tensor, "
                f"got a tensor of shape {tuple(temperature.shape)} and dtype {temperature.dtype}"
            )
        if temperature.device.type == "cpu":
            _temperature(temperature.detach().item())
        return temperature.to(device=like.device, dtype=like.dtype).reciprocal()
    return 1.0 / _temperature(temperature)


def _temperature(value: float) -> float:
    number("temperature", value, above=0.0)
    return number("temperature", value, at_least=LEAST_TEMPERATURE, at_most=MOST_TEMPERATURE)


def number(
    name: str,
    value: float,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> float:
    """A finite Python number, with the bounds that the argument has."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}")
    if above is not None and not value > above:
        raise ValueError(f"{name} must be greater than {above:g}, got {value}")
    if at_least is not None and not value >= at_least:
        raise ValueError(f"{name} must be at least {at_least:g}, got {value}")
    if at_most is not None and not value <= at_most:
        raise ValueError(f"{name} must be at most {at_most:g}, got {value}")
    return value


def choice(name: str, value: str, accepted: Sequence[str]) -> str:
    """One of the accepted words."""
    if value not in accepted:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, accepted))}, got {value!r}")
    return value


def reduce_rows(rows: Tensor, reduction: str) -> Tensor:
    """The mean of the per-row losses, or the rows themselves."""
    return rows.mean() if choice("reduction", reduction, ("mean", "none")) == "mean" else rows


def mean_where(values: Tensor, weight: Tensor) -> Tensor:
    """The mean of ``values`` where ``weight`` (0 or 1, of their shape) is 1; zero where it never is."""
    return (values * weight).sum() / weight.sum().clamp_min(1)


def unit_rows(x: Tensor, gain: float | Tensor = 1.0) -> Tensor:
    """Rows of length ``gain``; a row shorter than 1e-12 is divided by 1e-12, so a zero row stays zero.

    The gain is folded into the factor of each row, so the result is the only (N, D) tensor that is made.
    """
    return x * (gain / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(NORM_FLOOR))


def squared_lengths(unit: Tensor) -> Tensor:
    """Squared lengths of the rows of :func:`unit_rows`: exactly 1, without a gradient, where a row has a direction.

    Computed, they are 1 up to rounding, and so is a gradient that should be 0; zero rows have length 0.
    """
    computed = unit.square().sum(-1)
    return torch.where(computed.detach() > 0.99, torch.ones_like(computed), computed)


def tensors(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose arguments that are annotated as tensors are refused in one sentence when they are none."""
    asked = {name for name, kind in function.__annotations__.items() if kind in ("Tensor", Tensor)} - {"return"}
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: P.args, **named: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **named).arguments
        except TypeError:
            return function(*args, **named)  # which says what is missing
        for name in asked & set(given):
            if not isinstance(given[name], Tensor):
                raise TypeError(f"{name} must be a tensor, got {type(given[name]).__name__}")
        return function(*args, **named)

    return checked
