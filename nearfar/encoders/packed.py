"""Sentences through a transformer of BERT's family without their padding.

A batch of sentences is padded to its longest, and with mixed lengths half of what a model then computes is thrown away.
Here the tokens of all sentences stand in one matrix (tokens, width), sentences of equal length beside each other, and
everything but attention is computed on that matrix; attention is computed a group of equal lengths at a time. Vectors
and gradients are those of the padded form up to rounding. Dropout is :mod:`nearfar.encoders.dropping`'s: its masks
depend on an example's place in the global batch, so that any number of processes drops the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.joint_dropout import positions

FAMILIES = ("bert", "roberta", "xlm_roberta", "camembert")
"""Packages of transformers whose models are computed here. MiniLM, BGE, E5 and GTE models are BERTs."""
MODULES = frozenset(f"transformers.models.{name}.modeling_{name}" for name in FAMILIES)
MODELS = ("BertModel", "RobertaModel", "XLMRobertaModel", "CamembertModel")
PLAIN = (nn.Linear, nn.LayerNorm, nn.Dropout, nn.Embedding, nn.ModuleList, nn.GELU, nn.ReLU, nn.Tanh, nn.Identity)
ENTRIES = 1 << 20
"""Of the attention of a group at most (one sentence is computed whole)."""


class Layout(NamedTuple):
    """How the tokens of N sentences stand in a matrix of M rows.

    Attributes:
        places: (M,) position of each row's token among the N x T of the padded form.
        lengths: (N,) tokens of each sentence.
        order: (N,) sentences as they stand, the shortest first.
        groups: first row, number of sentences and length, group by group; a length may have several.
        shape: (N, T).
    """

    places: Tensor
    lengths: Tensor
    order: Tensor
    groups: list[tuple[int, int, int]]
    shape: tuple[int, int]

    def pooled(self, states: Tensor, pooling: str) -> Tensor:
        """One vector (N, D) of each sentence, of states (M, D): ``cls``, ``last_token``, or the mean."""
        found = []
        for block in self.blocks(states):
            if pooling == "cls":
                found.append(block[:, 0])
            else:
                found.append(block[:, -1] if pooling == "last_token" else block.mean(1))
        return torch.cat(found)[self.order.argsort()]

    def padded(self, states: Tensor) -> Tensor:
        """States (N, T, D), nothing where there is no token, of states (M, D)."""
        rows, width = self.shape
        whole = states.new_zeros(rows * width, states.shape[1])
        return whole.index_copy(0, self.places, states).view(rows, width, -1)

    def blocks(self, states: Tensor) -> Iterator[Tensor]:
        """States (n, L, D) of each group, of states (M, D)."""
        parts = states.split([count * length for _, count, length in self.groups])
        for part, (_, count, length) in zip(parts, self.groups, strict=True):
            yield part.view(count, length, -1)


def layout(mask: Tensor, heads: int) -> Layout | None:
    """How sentences stand whose mask is (N, T); ``None`` where one of them has no token or does not begin its row.

    Args:
        heads: of attention, which say how many sentences make a group.
    """
    lengths = mask.sum(1)
    if not len(mask) or not bool(mask[:, 0].all()):
        return None
    order = lengths.argsort(stable=True)
    rows, columns = mask[order].nonzero(as_tuple=True)
    places = order[rows] * mask.shape[1] + columns
    groups, start = [], 0
    for length, count in zip(*(found.tolist() for found in lengths.unique(return_counts=True)), strict=True):
        most = max(ENTRIES // (heads * length * length), 1)
        while count:
            some = min(count, most)
            groups.append((start, some, length))
            start, count = start + some * length, count - some
    return Layout(places, lengths, order, groups, (mask.shape[0], mask.shape[1]))


def known(model: Any) -> bool:
    """Whether :func:`states` computes what ``model`` does: a BERT or RoBERTa as transformers makes it, on a processor.

    Not where something was put into it or around it (adapters, prefixes, experts, hooks, compilation), where it is a
    decoder, or where it computes its activations twice.
    """
    if not _of_family(type(model)) or type(model).__name__ not in MODELS or _recorded():
        return False
    config: Any = model.config
    if config.is_decoder or getattr(config, "position_embedding_type", "absolute") not in (None, "absolute"):
        return False
    if getattr(config, "_attn_implementation", "") not in ("eager", "sdpa"):
        return False
    weight = model.embeddings.word_embeddings.weight
    if weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.bfloat16):
        return False
    return all(_as_made(module) for module in model.modules())


def states(model: Any, ids: Tensor, found: Layout) -> Iterator[Tensor]:
    """What comes out of each layer (M, D), first to last, of a model that is :func:`known`.

    Args:
        ids: (N, T) as they are padded.
    """
    drop = _Dropping(found, model.training)
    x = drop(_embedded(model.embeddings, ids, found.places), model.embeddings.dropout, 0)
    for number, layer in enumerate(model.encoder.layer):
        site = 3 * number + 1
        inner, outer = layer.attention.self, layer.attention.output
        weight = torch.cat([inner.query.weight, inner.key.weight, inner.value.weight])
        bias = torch.cat([inner.query.bias, inner.key.bias, inner.value.bias])
        dropping = drop.of(inner, inner.dropout.p)
        seen = attention(F.linear(x, weight, bias), found, inner.num_attention_heads, dropping, site)
        x = outer.LayerNorm(drop(outer.dense(seen), outer.dropout, site + 1) + x)
        x = layer.output.LayerNorm(drop(layer.output.dense(layer.intermediate(x)), layer.output.dropout, site + 2) + x)
        yield x


def _embedded(tables: Any, ids: Tensor, places: Tensor) -> Tensor:
    """Embedded tokens (M, D), positions counted as the model counts them."""
    if hasattr(tables, "create_position_ids_from_input_ids"):
        positions = tables.create_position_ids_from_input_ids(ids, tables.padding_idx).view(-1)[places]
    else:
        positions = places % ids.shape[1]
    x = tables.word_embeddings(ids.reshape(-1)[places]) + tables.token_type_embeddings.weight[0]
    return tables.LayerNorm(x + tables.position_embeddings(positions))


class _Dropping:
    """What drops in one pass: nothing, or entries by the pass's key, drawn from torch's generator."""

    def __init__(self, found: Layout, training: bool) -> None:
        self.tokens: Any = None
        if not training:
            return
        from nearfar.encoders.dropping import keys_of

        key = int(torch.randint(1 << 32, ()))
        examples = positions(len(found.order))[found.order]
        self.sentences = keys_of(key, examples, torch.full_like(examples, -1))
        lengths = found.lengths[found.order]
        self.tokens = keys_of(key, examples.repeat_interleave(lengths), found.places % found.shape[1])

    def __call__(self, x: Tensor, layer: nn.Dropout, site: int) -> Tensor:
        if self.of(layer, layer.p) is None:
            return x
        from nearfar.encoders.dropping import dropped

        return dropped(x, self.tokens, site, layer.p)

    def of(self, module: nn.Module, p: float) -> tuple[Any, float] | None:
        """Keys of the sentences and the probability, where ``module`` drops."""
        return (self.sentences, p) if self.tokens is not None and module.training and p > 0 else None


def attention(qkv: Tensor, found: Layout, heads: int, dropping: tuple[Any, float] | None, site: int) -> Tensor:
    """Softmax attention (M, D) within each sentence, of queries, keys and values (M, 3 D), computed in float32.

    Args:
        dropping: keys of the sentences and the probability with which an entry of the attention is dropped.
        site: the layer's number for :mod:`nearfar.encoders.dropping`.
    """
    return _Attention.apply(qkv, found.groups, heads, dropping, site)  # type: ignore[no-untyped-call, no-any-return]


class _Attention(torch.autograd.Function):
    """The weights are computed again in the backward pass, group by group, and never kept."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, *how: Any) -> Tensor:
        ctx.how = how
        ctx.save_for_backward(qkv)
        out = qkv.new_empty(len(qkv), qkv.shape[1] // 3)
        with torch.autocast("cpu", enabled=False):
            for number, _, part, (_, _, v), weights in _weighed(qkv, *how):
                _write(out[part], torch.bmm(_thinned(weights, number, *how), v), how[1])
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (qkv,) = ctx.saved_tensors
        heads, how = ctx.how[1], ctx.how
        found = torch.empty_like(qkv)
        for number, count, part, (q, k, v), weights in _weighed(qkv, *how):
            (out,) = _read(grads[0][part], count, heads, 1)
            kept = _thinned(weights.clone(), number, *how) if how[2] else weights
            width = heads * q.shape[-1]
            _write(found[part, 2 * width :], torch.bmm(kept.transpose(1, 2), out), heads)
            moved = _thinned(torch.bmm(out, v.transpose(1, 2)), number, *how)
            scores = torch._softmax_backward_data(moved, weights, -1, weights.dtype).mul_(_scale(q))
            _write(found[part, :width], torch.bmm(scores, k), heads)
            _write(found[part, width : 2 * width], torch.bmm(scores.transpose(1, 2), q), heads)
        return found, None, None, None, None


def _weighed(qkv: Tensor, groups: list[tuple[int, int, int]], heads: int, *_: Any) -> Iterator[Any]:
    """For each group how many sentences came before it, how many it has, its rows, queries, keys and values
    (n x H, L, D / H), and the weights (n x H, L, L)."""
    before = 0
    for start, count, length in groups:
        part = slice(start, start + count * length)
        q, k, v = _read(qkv[part], count, heads, 3)
        scores = torch.baddbmm(q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=_scale(q))
        yield before, count, part, (q, k, v), scores.softmax(-1)
        before += count


def _scale(q: Tensor) -> float:
    return float(q.shape[-1] ** -0.5)


def _thinned(weights: Tensor, before: int, _: Any, heads: int, dropping: Any, site: int) -> Tensor:
    """Weights (n x H, L, L) with some dropped in place."""
    if dropping is None:
        return weights
    from nearfar.encoders.dropping import drop_

    keys, p = dropping
    count = len(weights) // heads
    drop_(weights.view(count, -1), keys[before : before + count], site, p)
    return weights


def _read(rows: Tensor, count: int, heads: int, parts: int) -> Tensor:
    """(parts, n x H, L, D / H) in float32, of n sentences' rows (n x L, parts x D)."""
    x = rows.view(count, -1, parts, heads, rows.shape[1] // (parts * heads)).permute(2, 0, 3, 1, 4)
    return torch.empty(x.shape, dtype=torch.float32).copy_(x).flatten(1, 2)


def _write(rows: Tensor, x: Tensor, heads: int) -> None:
    """Put (n x H, L, D / H) into n sentences' rows (n x L, D)."""
    x = x.view(-1, heads, *x.shape[1:]).permute(0, 2, 1, 3)
    rows.unflatten(0, x.shape[:2]).unflatten(2, x.shape[2:]).copy_(x)


def _as_made(module: nn.Module) -> bool:
    """Whether a part of a model is transformers' or torch's own, with nothing hooked to it but transformers' memory of
    outputs that nobody asks for here."""
    if getattr(module, "gradient_checkpointing", False) or "forward" in module.__dict__:
        return False
    for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks):
        if hooks and any(not getattr(h, "__module__", "").startswith("transformers.utils.") for h in hooks.values()):
            return False
    cls = type(module)
    return cls in PLAIN or cls.__module__ == "transformers.activations" or _of_family(cls)


def _of_family(cls: type) -> bool:
    """Whether a class is that of its name in transformers, and nothing that was derived from it."""
    return cls.__module__ in MODULES and getattr(sys.modules[cls.__module__], cls.__name__, None) is cls


def _recorded() -> bool:
    """Whether what runs is written down to be run on other sentences, whose lengths are others."""
    exporting = getattr(torch.compiler, "is_exporting", bool)()
    return exporting or torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.onnx.is_in_onnx_export()
