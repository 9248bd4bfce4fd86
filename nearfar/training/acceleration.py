"""What makes a step faster without changing what it means: precision and compilation."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from nearfar.training.gradient_cache import encoders, overridden

Precision = Literal["auto", "32", "bf16"]


def chosen_precision(wanted: Precision, method: nn.Module) -> Literal["32", "bf16"]:
    """``wanted``, and for ``auto`` bf16 where it is faster.

    That is on every GPU that has it and, on processors that gain by it (:func:`processor_has_bf16`), for convolutions
    and transformers: where it was measured, a step of a small convolutional net and of a ResNet-18 took half the time,
    one of a small BERT 0.6 of it. On others it takes longer. Convolutions stay in float32 where a processor has more
    than one thread for them: oneDNN's bf16 gradients of their weights wait for each other by spinning, and take a
    hundred times as long as soon as anything else wants the cores.
    """
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "32"
    spins = torch.get_num_threads() > 1 and any(map(_convolves, method.modules()))
    return "bf16" if processor_has_bf16() and _multiplies(method) and not spins else "32"


@contextmanager
def in_precision(method: nn.Module, wanted: Precision) -> Iterator[None]:
    """Within this block the encoders of ``method`` train in :func:`chosen_precision` and answer in float32.

    Encoders alone, where almost all of the time goes: heads, prototypes, queues and what a method computes besides are
    a hundredth of the work of a ResNet-50, and some of it (exponentials of scores over a small temperature) is not
    fit for a mantissa of 8 bits. Measuring and embedding stay in float32.
    """
    half = chosen_precision(wanted, method) == "bf16"
    found = [(module, functions) for _, module, functions in encoders(method)] if half else []
    convolutions = {layer: ("forward",) for module, _ in found for layer in module.modules() if _convolves(layer)}
    with overridden([*convolutions.items()], _whole_kernel), overridden(found, _in_bf16):
        yield


def _convolves(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)


def _whole_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A convolution that leaves bf16 where its kernel is larger than the map.

    Some weights then never meet the map, and what oneDNN (torch 2.13, AVX512-BF16) returns as their gradient in bf16
    is whatever was in memory: seen with kernel 3, stride 2 on maps of one pixel, and with kernel 5 on 1 x 2.
    """

    @wraps(function)
    def run(layer: Any, x: Tensor) -> Tensor:
        reach = [(kernel - 1) * step + 1 for kernel, step in zip(layer.kernel_size, layer.dilation, strict=True)]
        if x.device.type != "cpu" or all(side >= r for side, r in zip(x.shape[-len(reach) :], reach, strict=True)):
            return function(layer, x)
        with torch.autocast("cpu", enabled=False):
            return function(layer, x.float())

    return run


def _in_bf16(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def run(module: nn.Module, *args: Any, **named: Any) -> Any:
        if not (module.training or torch.is_grad_enabled()):
            return function(module, *args, **named)
        weight = next(module.parameters(), None)
        if weight is None or weight.dtype != torch.float32:
            return function(module, *args, **named)
        with torch.autocast(weight.device.type, torch.bfloat16):
            output = function(module, *args, **named)
        return tree_map_only(Tensor, lambda x: x.float() if x.dtype == torch.bfloat16 else x, output)

    return run


def processor_has_bf16() -> bool:
    """Whether the processor gains by multiplying bf16 matrices itself: with AMX, or with AVX512-BF16 and not Intel's.

    Intel's processors multiply bf16 in vectors at no more than the rate of float32, and converting comes on top.
    """
    if torch.cpu._is_amx_tile_supported():
        return True
    return bool(torch.cpu._is_avx512_bf16_supported()) and not _is_intel()


@lru_cache
def _is_intel(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether Intel made the processor; where nothing tells, it did not."""
    try:
        return "GenuineIntel" in cpuinfo.read_text()
    except OSError:
        return "intel" in platform.processor().lower()


def _multiplies(method: nn.Module) -> bool:
    """Whether the encoder's time goes into large products, as in convolutional nets and transformers."""
    layers = [layer for _, module, _ in encoders(method) for layer in module.modules()]
    words = any(isinstance(layer, nn.Embedding) for layer in layers)
    return (words and any(map(_normalises, layers))) or any(map(_convolves, layers))


def _normalises(layer: nn.Module) -> bool:
    """Layer norm, or one of the root-mean-square norms that every model library has a class of its own for."""
    return isinstance(layer, nn.LayerNorm) or type(layer).__name__.endswith("RMSNorm")


@contextmanager
def compiled(method: nn.Module, wanted: bool) -> Iterator[None]:
    """Within this block the networks inside the encoders of ``method`` train through ``torch.compile``.

    Measuring, embedding and everything else in evaluation mode runs as ever, so that batches of other sizes are not
    compiled too. Where nothing can be compiled a warning says so and the block runs as if ``wanted`` were false.
    """
    problem = compiler_problem(_device_type()) if wanted else None
    if problem:
        warnings.warn(f"compile is off, and training as exact but slower: {problem}", stacklevel=3)
    with overridden(_networks(method) if wanted and not problem else [], _compiled_in_training):
        yield


def _device_type() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _networks(method: nn.Module) -> list[tuple[nn.Module, tuple[str, ...]]]:
    found: list[tuple[nn.Module, tuple[str, ...]]] = []
    for _, module, functions in encoders(method):
        inside = [*module.children()] if hasattr(module, "by_example") else []
        found += [(network, ("forward",)) for network in inside] or [(module, functions)]
    return found


def _compiled_in_training(function: Callable[..., Any]) -> Callable[..., Any]:
    fast = torch.compile(function, dynamic=False)

    @wraps(function)
    def run(module: nn.Module, *args: Any, **named: Any) -> Any:
        return (fast if module.training else function)(module, *args, **named)

    return run


@lru_cache
def compiler_problem(device: str) -> str | None:
    """Why ``torch.compile`` does not work on this machine, in one sentence, or ``None``."""
    try:
        torch.compile(lambda x: x.sin() + 1, dynamic=False)(torch.ones(2, device=device))
    except Exception as error:  # the compiler, its headers, its folder of results: each fails in its own way
        first = str(error).strip().splitlines() or [type(error).__name__]
        return f"torch.compile needs a working compiler ({first[0]})"
    return None
