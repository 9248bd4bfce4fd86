"""Looking into a model while it reads, and changing what is there: heads, layers' states, projectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.decoding.engine.branch import Branch, Place, passed
from nearfar.losses import head_importance

Heads = Sequence[tuple[int, int]]


def layers_of(model: Any) -> list[nn.Module]:
    """The layers of the language model, in order.

    Raises:
        ValueError: none are found.
    """
    body = model.base_model
    body = getattr(body, "language_model", body)
    for name in ("layers", "h", "blocks"):
        found = getattr(body, name, None)
        if isinstance(found, nn.ModuleList):
            return [*found]
    raise ValueError(f"the layers of a {type(model).__name__} were not found")


def attention_of(model: Any, layer: int) -> Any:
    """The attention of a layer, with its own projections of queries and of the output.

    Raises:
        ValueError: the model projects queries, keys and values together, or elsewhere.
    """
    found = getattr(layers_of(model)[layer], "self_attn", None)
    if found is None or not hasattr(found, "q_proj") or not hasattr(found, "o_proj"):
        raise ValueError(
            f"heads are reached through q_proj and o_proj of a layer's self_attn; a {type(model).__name__} has none"
        )
    return found


@contextmanager
def hooked(pairs: Sequence[tuple[nn.Module, Callable[..., Any], bool]]) -> Iterator[None]:
    """Forward hooks for the length of a block: module, function, whether it sees the input instead of the output."""
    handles = [
        module.register_forward_pre_hook(function) if before else module.register_forward_hook(function)
        for module, function, before in pairs
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def dispersed(place: Place, heads: Heads, *, how: Literal["ave", "cut"] = "ave") -> Iterator[None]:
    """Heads that look everywhere alike (``ave``), or say nothing (``cut``), in some rows of a pass.

    ``ave`` zeroes the queries of these heads, after which every visible position has the same weight: exactly what
    multiplying their logits by zero before the mask does, with any attention kernel, and in a part of a batch. Not so
    under position biases that are added to the logits (ALiBi, T5).

    Args:
        place: model and rows.
        heads: (layer, head).
    """
    pairs: list[tuple[nn.Module, Callable[..., Any], bool]] = []
    for layer in sorted({layer for layer, _ in heads}):
        attention = attention_of(place.model, layer)
        mine = [head for each, head in heads if each == layer]
        silence = _silence(place.rows, mine, attention.head_dim)
        if how == "ave":
            pairs.append((attention.q_proj, lambda _, __, output, s=silence: s(output), False))
        else:
            pairs.append((attention.o_proj, lambda _, inputs, s=silence: (s(inputs[0]), *inputs[1:]), True))
    with hooked(pairs):
        yield


def _silence(rows: slice, heads: Sequence[int], width: int) -> Callable[[Tensor], Tensor]:
    def silence(x: Tensor) -> Tensor:
        x = x.clone()
        for head in heads:
            x[rows, :, head * width : (head + 1) * width] = 0
        return x

    return silence


@contextmanager
def edited(place: Place, layer: int, edit: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """The states that a layer gives at the prompt's last token, edited (B, D) to (B, D); nothing in later passes."""
    if place.last is None:
        yield
        return

    def change(_: Any, __: Any, output: Any) -> Any:
        states = (output[0] if isinstance(output, tuple) else output).clone()
        states[place.rows, place.last] = edit(states[place.rows, place.last].float()).to(states)
        return (states, *output[1:]) if isinstance(output, tuple) else states

    with hooked([(layers_of(place.model)[layer], change, False)]):
        yield


@contextmanager
def projected(place: Place, projector: nn.Module) -> Iterator[None]:
    """Pictures of some rows through another projector than the model's own; each row has one picture."""
    own = getattr(place.model.base_model, "multi_modal_projector", None)
    if own is None:
        raise ValueError(f"a {type(place.model).__name__} has no multi_modal_projector to stand in for")

    def change(_: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        output = output.clone()
        output[place.rows] = projector(inputs[0][place.rows].to(next(projector.parameters()).dtype)).to(output)
        return output

    with hooked([(own, change, False)]):
        yield


@torch.no_grad()
def last_states(branch: Branch, layer: int) -> Tensor:
    """(B, D) float32: the states after a layer at each prompt's last token."""
    held: list[Tensor] = []

    def keep(_: Any, __: Any, output: Any) -> None:
        held.append((output[0] if isinstance(output, tuple) else output)[:, -1].float())

    with hooked([(layers_of(branch.model)[layer], keep, False)]):
        passed(branch.model, branch, 1, (), use_cache=False)
    return held[0]


def importance(branch: Branch, words: Tensor, mask: Tensor) -> Tensor:
    """HICD's importance of each head (L, H) for answers; see :func:`nearfar.losses.head_importance`.

    Args:
        branch: the prompts.
        words: (B, T), the answers, padded on the right.
        mask: (B, T), 1 where there is a word.
    """
    model, width = branch.model, words.shape[1]
    held: dict[int, Tensor] = {}
    pairs = [
        (attention_of(model, layer).o_proj, _held_with_gradient(held, layer), True)
        for layer in range(len(layers_of(model)))
    ]
    whole = Branch(
        model, torch.cat([branch.ids, words], 1), torch.cat([branch.mask, mask.to(branch.mask)], 1), branch.extras
    )
    with torch.enable_grad(), hooked(pairs), ExitStack():
        logits, _, _ = passed(model, whole, width + 1, (), use_cache=False)
        labels = words.masked_fill(mask == 0, -100)
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten())
        outputs = [held[layer] for layer in sorted(held)]
        gradients = torch.autograd.grad(loss, outputs)
    shape = (*outputs[0].shape[:2], -1, attention_of(model, 0).head_dim)
    answers = mask.sum(1)
    return head_importance(
        torch.stack([x.detach().view(shape) for x in outputs]).float(),
        torch.stack([g.view(shape) for g in gradients]).float(),
        branch.mask.sum(1) + answers,
        answers,
    )


def _held_with_gradient(held: dict[int, Tensor], layer: int) -> Callable[..., Any]:
    def hold(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = inputs[0] if inputs[0].requires_grad else inputs[0].detach().requires_grad_()
        held[layer] = x
        return (x, *inputs[1:])

    return hold
