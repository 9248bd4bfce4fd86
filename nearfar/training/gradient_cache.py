"""Large batches in small memory: the encoder runs in chunks, and runs again where a chunk's gradient is due.

A contrastive loss needs all embeddings of a batch at once, but an encoder that treats every example by itself does
not need all its activations at once. The forward pass keeps each chunk's embeddings and forgets its activations; the
backward pass, which holds the gradient of the loss with respect to every embedding, computes a chunk's activations
again, with the random state it had, and takes its gradient before the next chunk begins. This is the gradient cache
of Gao, Zhang, Han and Callan, 2021 (arXiv 2101.06983), written as checkpointing by examples instead of by layers, so
that no method and no loss has to know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class GradientCacheError(ValueError):
    """An encoder cannot run in chunks without changing what it computes; the message says why and what to do."""


@contextmanager
def in_chunks(method: nn.Module, chunk: int) -> Iterator[None]:
    """Within this block the encoders of ``method`` see at most ``chunk`` examples at a time.

    Gradients are those of one pass over the batch, up to the rounding of a sum in another order. Dropout draws its
    masks chunk by chunk: the run is then another one than without chunks, as with another seed, and its gradient is
    exact for the masks that were drawn.

    What is run in chunks: every module that names its functions of examples in ``by_example`` (nearfar's encoders
    do); if there is none, ``method.encoder``. Copies of it that a momentum encoder holds are included. Heads see the
    whole batch, so batch norm in a head stays exact.

    Args:
        method: its ``encoder``, or modules in it that name their functions of examples.
        chunk: examples per pass, at least 1; 0 leaves everything as it is.

    Raises:
        GradientCacheError: the encoder normalises with the statistics of its batch.
    """
    if chunk < 0:
        raise ValueError(f"chunk must be at least 0, got {chunk}")
    found = encoders(method) if chunk else []
    if chunk and not found:
        raise GradientCacheError(f"chunk divides the encoder's examples, and {type(method).__name__} has no encoder")
    for name, module, _ in found:
        refuse_batch_statistics(name, module)
    with overridden([(module, functions) for _, module, functions in found], lambda f: chunked(f, chunk)):
        yield


Change = Callable[[Callable[..., Any]], Callable[..., Any]]


@contextmanager
def overridden(modules: Sequence[tuple[nn.Module, tuple[str, ...]]], change: Change) -> Iterator[None]:
    """Within this block the named functions of the modules are what ``change`` makes of them.

    Each module gets a subclass of its class, and not a function of its own: a copy that is made of it meanwhile must
    run its own weights.
    """
    classes = [type(module) for module, _ in modules]
    try:
        for (module, functions), cls in zip(modules, classes, strict=True):
            own = {"__module__": cls.__module__, "__doc__": cls.__doc__}
            changed = {function: change(getattr(cls, function)) for function in functions}
            module.__class__ = type(cls.__name__, (cls,), {**own, **changed})
        yield
    finally:
        for (module, _), cls in zip(modules, classes, strict=True):
            module.__class__ = cls


def encoders(method: nn.Module) -> list[tuple[str, nn.Module, tuple[str, ...]]]:
    """Name, module and functions of everything in ``method`` that maps examples to representations one by one."""
    declared = [(n, m, tuple(m.by_example)) for n, m in method.named_modules() if hasattr(m, "by_example")]
    if declared:
        return declared
    encoder = getattr(method, "encoder", None)
    if not isinstance(encoder, nn.Module):
        return []
    form = _form(encoder)
    return [(n, m, ("forward",)) for n, m in method.named_modules() if type(m) is type(encoder) and _form(m) == form]


def _form(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


def refuse_batch_statistics(name: str, module: nn.Module) -> None:
    """Raise where a layer of ``module`` in training mode lets the examples of a batch see each other."""
    for inner, layer in module.named_modules():
        if isinstance(layer, _BatchNorm) and layer.training:
            raise GradientCacheError(
                f"chunk needs an encoder that treats every example by itself, and {name}.{inner} is a "
                f"{type(layer).__name__} in training mode: its statistics would be those of a chunk and not of the "
                "batch, so the gradient would be another one. Use an encoder with group or layer norm (small-conv-gn, "
                "resnet18-gn, resnet50-gn, a transformer), freeze it (.eval() keeps its statistics), or train without "
                "chunk and with a smaller batch, as MoCo is made for."
            )


def chunked(function: Callable[..., Any], chunk: int) -> Callable[..., Any]:
    """A module's ``function`` of N examples as calls with at most ``chunk`` of them, whose activations are not kept.

    Arguments are tensors whose first dimension counts the examples, lists with one entry per example, tuples and
    mappings of those, and anything without examples (numbers, strings, ``None``), which every call gets. Results are
    tensors with a row per example, or lists, tuples and mappings of them.
    """

    def step(anchor: Tensor | None, module: nn.Module, args: Any, named: Any) -> Any:
        return function(module, *args, **named)

    @wraps(function)
    def run(module: nn.Module, *args: Any, **named: Any) -> Any:
        counts = {*_counts(args), *_counts(named)}
        if len(counts) != 1:
            raise GradientCacheError(
                "chunk needs a batch of examples that can be told apart: all tensors and lists given to the encoder "
                f"must have one entry per example, got {sorted(counts) or 'none of them'}"
            )
        count = counts.pop()
        if count <= chunk:
            return function(module, *args, **named)
        # The generator to restore is that of the tensors given, and sentences have no device: a parameter tells it.
        anchor = next(module.parameters(), None)
        outputs = []
        for start in range(0, count, chunk):
            part = slice(start, start + chunk)
            inputs = (anchor, module, _take(args, part), _take(named, part))
            outputs.append(checkpoint(step, *inputs, use_reentrant=False) if torch.is_grad_enabled() else step(*inputs))
        return _join(outputs)

    return run


def _counts(value: Any) -> Iterator[int]:
    if isinstance(value, Tensor | list):
        if isinstance(value, list) or value.ndim:
            yield len(value)
    elif isinstance(value, Mapping | tuple):
        for field in value.values() if isinstance(value, Mapping) else value:
            yield from _counts(field)
    elif not (value is None or isinstance(value, bool | int | float | str)):
        raise GradientCacheError(
            f"chunk cannot divide a {type(value).__name__} into examples: encoders of graphs and of other structures "
            "whose parts depend on each other are trained on the whole batch"
        )


def _take(value: Any, part: slice) -> Any:
    if isinstance(value, Tensor):
        return value[part] if value.ndim else value
    if isinstance(value, list):
        return value[part]
    if isinstance(value, Mapping):
        return {name: _take(field, part) for name, field in value.items()}
    if isinstance(value, tuple):
        fields = [_take(field, part) for field in value]
        return type(value)(*fields) if hasattr(value, "_fields") else tuple(fields)
    return value


def _join(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts))
    if isinstance(first, Mapping):
        return type(first)(**{name: _join([part[name] for part in parts]) for name in first})
    if isinstance(first, list | tuple):
        fields = [_join(of_field) for of_field in zip(*parts, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else type(first)(fields)
    raise GradientCacheError(f"chunk joins tensors, and the encoder gave a {type(first).__name__}")
