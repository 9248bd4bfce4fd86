"""A branch: what a model is shown of each prompt. Branches of one model are stacked into one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nearfar.encoders.causal import CausalLM, left_padded, longest, positions_of, takes, token_rows


class Look(NamedTuple):
    """What a branch says of the next word: logits (B, V), or (B, T, V) of T words at once, and those of its earlier
    layers (K, ...) where they were asked for."""

    logits: Tensor
    early: Tensor | None = None


class Place(NamedTuple):
    """Where a touched branch is in a forward pass: its model, its rows, and the column of the prompts' last token, or
    ``None`` where the pass does not hold it."""

    model: Any
    rows: slice
    last: int | None


Touch = Callable[[Place], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Branch:
    """What a model is shown, in B rows that are padded on the left.

    Args:
        model: a transformers model with a language modelling head.
        ids: (B, T) int64.
        mask: (B, T), 1 where there is a token.
        extras: further inputs of the prompt's pass, such as ``pixel_values``; their first dimension follows the rows.
        embeds: (B, T, D), shown instead of ``ids`` in the prompt's pass, for prompts that are no words.
        touch: a context manager for each pass, which may change what happens inside of this branch's rows.
    """

    model: Any
    ids: Tensor
    mask: Tensor
    extras: Mapping[str, Tensor] = field(default_factory=dict)
    embeds: Tensor | None = None
    touch: Touch | None = None

    def rows(self, index: Tensor) -> Branch:
        """The rows at ``index``, in that order. Extras must have one entry for each row."""
        return replace(
            self,
            ids=self.ids[index],
            mask=self.mask[index],
            extras={name: value[index] for name, value in self.extras.items()},
            embeds=None if self.embeds is None else self.embeds[index],
        )


def shown(lm: CausalLM, texts: Sequence[str], *, new: int = 0, what: str = "prompt", **rest: Any) -> Branch:
    """A branch that shows one text a row.

    Raises:
        ValueError: a text is empty, or longer than the model has room for with ``new`` tokens after it.
    """
    rows = token_rows(lm, texts, what=what, new=new)
    ids, mask = left_padded(rows, lm.tokenizer.pad_token_id, device=lm.model.device)
    return Branch(lm.model, ids, mask, **rest)


def by_model(branches: Sequence[Branch]) -> list[list[int]]:
    """Positions of branches that share a model, so that they can share its passes."""
    groups: dict[int, list[int]] = {}
    for position, branch in enumerate(branches):
        groups.setdefault(id(branch.model), []).append(position)
    return [*groups.values()]


def stacked(branches: Sequence[Branch]) -> Branch:
    """Branches of one model, below each other, padded on the left to the longest."""
    width = max(branch.ids.shape[1] for branch in branches)

    def wide(x: Tensor) -> Tensor:
        pad = x.new_zeros(len(x), width - x.shape[1], *x.shape[2:])
        return torch.cat([pad, x], 1)

    names = dict.fromkeys(name for branch in branches for name in branch.extras)
    embeds = None
    if any(branch.embeds is not None for branch in branches):
        table = branches[0].model.get_input_embeddings()
        embeds = torch.cat([wide(table(b.ids) if b.embeds is None else b.embeds) for b in branches])
    return Branch(
        branches[0].model,
        torch.cat([wide(b.ids) for b in branches]),
        torch.cat([wide(b.mask) for b in branches]),
        {name: torch.cat([b.extras[name] for b in branches if name in b.extras]) for name in names},
        embeds,
    )


def touched(branches: Sequence[Branch], last: int | None) -> AbstractContextManager[Any]:
    """The touches of stacked branches, for one pass."""
    stack, first = ExitStack(), 0
    for branch in branches:
        rows = slice(first, first + len(branch.ids))
        if branch.touch is not None:
            stack.enter_context(branch.touch(Place(branch.model, rows, last)))
        first = rows.stop
    return stack


def passed(
    model: Any, stack: Branch, keep: int, early: Sequence[int], norm: Any = None, **more: Any
) -> tuple[Tensor, Tensor | None, Any]:
    """One pass over a stack: logits (R, keep, V) of the last positions, those of early layers, and the whole output."""
    arguments: dict[str, Any] = {"attention_mask": stack.mask, **stack.extras, **more}
    if stack.embeds is None:
        arguments["input_ids"] = stack.ids
    else:
        arguments["inputs_embeds"] = stack.embeds
    if takes(model, "position_ids") and not hasattr(getattr(model, "model", None), "get_rope_index"):
        arguments.setdefault("position_ids", positions_of(stack.mask)[:, -stack.ids.shape[1] :])
    if takes(model, "logits_to_keep"):
        arguments["logits_to_keep"] = keep
    output = model(**arguments, output_hidden_states=bool(early), return_dict=True)
    logits = output.logits[:, -keep:].float()
    if not early:
        return logits, None, output
    head = model.get_output_embeddings()
    states = torch.stack([output.hidden_states[layer][:, -keep:] for layer in early])
    states = states if norm is None else norm(states)
    return logits, head(states.to(head.weight.dtype)).float(), output


def parted(logits: Tensor, early: Tensor | None, branches: Sequence[Branch]) -> list[Look]:
    """The rows of a stack as one look a branch."""
    sizes = [len(branch.ids) for branch in branches]
    layers: Sequence[Tensor | None] = [None] * len(branches) if early is None else early.split(sizes, 1)
    return [Look(*pair) for pair in zip(logits.split(sizes), layers, strict=True)]


def forced_looks(
    branches: Sequence[Branch], words: Tensor, mask: Tensor, *, early: Sequence[int] = (), norm: Any = None
) -> list[Look]:
    """All looks at the words of a given continuation, (B, C, V): position by position what advancing would give.

    One pass a model instead of C.

    Args:
        branches: what is shown before the continuation, of B rows each.
        words: (B, C) int64, the continuation, padded on the right.
        mask: (B, C), 1 where there is a word.
        early: hidden states, by their index in transformers' ``hidden_states``, whose own words are asked for.
        norm: applied to those states before the head.

    Raises:
        ValueError: a model has no room for the continuation.
    """
    looks: list[Look | None] = [None] * len(branches)
    steps = words.shape[1]
    for group in by_model(branches):
        mine = [branches[i] for i in group]
        model, stack = mine[0].model, stacked(mine)
        count = len(mine)
        again, known = words[:, :-1].repeat(count, 1), mask[:, :-1].repeat(count, 1)
        most = longest(model)
        if int(stack.mask.sum(1).max()) + steps - 1 > most:
            raise ValueError(f"a prompt and its answer are longer than the {most} tokens that the model reads")
        embeds = stack.embeds
        if embeds is not None:
            embeds = torch.cat([embeds, model.get_input_embeddings()(again)], 1)
        whole = replace(
            stack, ids=torch.cat([stack.ids, again], 1), mask=torch.cat([stack.mask, known], 1), embeds=embeds
        )
        with touched(mine, stack.ids.shape[1] - 1):
            logits, layers, _ = passed(model, whole, steps, early, norm, use_cache=False)
        for position, look in zip(group, parted(logits, layers, mine), strict=True):
            looks[position] = look
    return looks  # type: ignore[return-value]
