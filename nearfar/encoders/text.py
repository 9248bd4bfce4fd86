"""The door every sentence takes: strings in, one vector per sentence out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.share import agreed_most
from nearfar.encoders.packed import Layout, known, layout
from nearfar.encoders.packed import states as packed_states
from nearfar.encoders.places import there
from nearfar.encoders.tokens import PADDING, HashTokenizer, PairTokens, PretrainedTokenizer, Tokens
from nearfar.spelling import one_of

Pooling = Literal["cls", "avg", "avg_first_last", "avg_top2", "last_token"]
MIXED = ("avg_first_last", "avg_top2")
"""Poolings that average two layers, before they average tokens."""
TOGETHER = 2048
"""Tokens that pass a network together where nothing is learned: 0.84 of the time of 12,688 together (MiniLM-L6)."""


class TextEncoder(nn.Module):
    """A transformer with its tokenizer and pooling.

    Args:
        model: a transformers model that returns ``last_hidden_state`` (N, T, D).
        tokenizer: maps a list of strings to :class:`Tokens`.
        pooling: ``cls`` takes the first token, ``avg`` the mean over tokens, ``avg_first_last`` the mean of the
            first and last layer, ``avg_top2`` that of the last two, ``last_token`` the last token (for causal models).

    Shape: N strings, or Tokens of (N, T), to (N, D).
    """

    by_example: tuple[str, ...] = ("forward", "hidden", "attended", "entered")

    def __init__(
        self, model: nn.Module, tokenizer: Callable[[Sequence[str]], Tokens], pooling: Pooling = "avg"
    ) -> None:
        super().__init__()
        if pooling not in get_args(Pooling):
            raise ValueError(f"pooling must be one of {', '.join(get_args(Pooling))}; got {pooling!r}")
        self.model = model
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.out_features = int(model.config.hidden_size)  # type: ignore[union-attr, arg-type]

    def tokenize(self, sentences: Sequence[str]) -> Tokens:
        """Tokens of sentences, on the model's device."""
        return Tokens(*self._everywhere(*self.tokenizer(sentences)))

    def tokenize_pairs(self, firsts: Sequence[str], seconds: Sequence[str]) -> PairTokens:
        """Tokens of pairs of texts, each pair one sequence, on the model's device."""
        pairs: Any = getattr(self.tokenizer, "pairs", None)
        if pairs is None:
            raise TypeError(f"{type(self.tokenizer).__name__} has no pairs(firsts, seconds), which reading pairs needs")
        return PairTokens(*self._everywhere(*pairs(firsts, seconds)))

    def _everywhere(self, ids: Tensor, *masks: Tensor) -> list[Tensor]:
        """As long as the longest of the global batch: dropout draws for every place, padding included."""
        device = next(self.parameters()).device
        more = agreed_most(ids.shape[1], device) - ids.shape[1]
        if more:
            padding = getattr(getattr(self.tokenizer, "tokenizer", None), "pad_token_id", None) or PADDING
            ids, masks = F.pad(ids, (0, more), value=padding), tuple(F.pad(mask, (0, more)) for mask in masks)
        return [t.to(device) for t in (ids, *masks)]

    def states(self, text: Tokens | Sequence[str]) -> tuple[Tensor, Tensor]:
        """Hidden states (N, T, D) of the last layer (or of two, averaged) and the mask (N, T)."""
        tokens = text if isinstance(text, Tokens) else self.tokenize(text)
        return self.hidden(tokens), tokens.attention_mask

    def hidden(self, tokens: Tokens) -> Tensor:
        """The states of :meth:`states`, alone."""
        packed = self._packed(tokens)
        if packed is not None:
            return packed[0].padded(packed[1])
        both = self.pooling in MIXED
        output = self.model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, output_hidden_states=both)
        return self._mixed(output)

    def _mixed(self, output: Any) -> Tensor:
        """The states that are pooled, of a network's output."""
        states: Tensor = output.last_hidden_state
        if self.pooling not in MIXED:
            return states
        return (output.hidden_states[1 if self.pooling == "avg_first_last" else -2] + states) / 2

    def attended(self, tokens: Tokens, first: int, last: int) -> tuple[Tensor, Tensor]:
        """The sentences' vectors (N, D), and attention (N, L, H, T, T) of the layers from ``first`` to before ``last``.

        For networks whose attention is ``eager``: the others keep no maps. They are those after dropout.
        """
        both = self.pooling in MIXED
        output = self.model(**tokens._asdict(), output_hidden_states=both, output_attentions=True)
        return self.pooled(self._mixed(output), tokens.attention_mask), torch.stack(output.attentions[first:last], 1)

    def entered(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """The sentences' vectors (N, D), and what entered the first layer for them: embedded tokens (N, T, D), after
        their norm and dropout."""
        output = self.model(**tokens._asdict(), output_hidden_states=True)
        return self.pooled(self._mixed(output), tokens.attention_mask), output.hidden_states[0]

    def forward(self, text: Tokens | Sequence[str]) -> Tensor:
        tokens = text if isinstance(text, Tokens) else self.tokenize(text)
        if type(self).pooled is not TextEncoder.pooled or not known(self.model):
            return self.pooled(*self.states(tokens))
        learns = torch.is_grad_enabled() or self.model.training
        if learns or tokens.attention_mask.sum() <= TOGETHER:
            return self._pooled(tokens)
        # Many sentences pass in parts that the processor's caches hold, the short ones first.
        lengths = tokens.attention_mask.sum(1)
        order = lengths.argsort(stable=True)
        counts = ((lengths[order].cumsum(0) - 1) // TOGETHER).unique_consecutive(return_counts=True)[1]
        parts = [Tokens(*(column[rows] for column in tokens)) for rows in order.split(counts.tolist())]
        return torch.cat([self._pooled(part) for part in parts])[order.argsort()]

    def _pooled(self, tokens: Tokens) -> Tensor:
        packed = self._packed(tokens)
        return self.pooled(*self.states(tokens)) if packed is None else packed[0].pooled(packed[1], self.pooling)

    def _packed(self, tokens: Tokens) -> tuple[Layout, Tensor] | None:
        """The sentences without their padding and their states, where the model is known; see
        :mod:`nearfar.encoders.packed`."""
        model: Any = self.model
        found = layout(tokens.attention_mask, model.config.num_attention_heads) if known(model) else None
        if found is None:
            return None
        of_layers = packed_states(model, tokens.input_ids, found)
        first = before = last = next(of_layers)
        for each in of_layers:
            before, last = last, each
        other = {"avg_first_last": first, "avg_top2": before}.get(self.pooling, last)
        return found, (other + last) / 2 if self.pooling in MIXED else last

    def pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        """One vector (N, D) of token states (N, T, D) with their mask (N, T)."""
        if self.pooling == "cls":
            return states[:, 0]
        if self.pooling == "last_token":
            last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
            return states[torch.arange(states.shape[0], device=states.device), last]
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1).clamp_min(1)


def hashed_bert(
    layers: int, width: int, *, heads: int = 4, words: int = 16384, max_length: int = 32, pooling: Pooling = "avg"
) -> TextEncoder:
    """A BERT with random weights that hashes words.

    Args:
        layers, width, heads: of the transformer, whose feed-forward layers are four times as wide.
        words: number of ids that words are hashed to, and of rows of the table of embeddings.
        max_length: tokens kept per sentence.
        pooling: how token states become one vector.
    """
    from transformers import BertConfig, BertModel

    tokenizer = HashTokenizer(words, max_length)
    config = BertConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=max_length,
        pad_token_id=0,
    )
    return TextEncoder(BertModel(config, add_pooling_layer=False), tokenizer, pooling)


TEXT_ENCODERS: dict[str, tuple[int, int]] = {"tiny-bert": (2, 128), "small-bert": (4, 256)}


def text_encoder(
    encoder: str | nn.Module, *, pooling: Pooling = "avg", max_length: int = 32, dropout: float | None = None
) -> TextEncoder:
    """A sentence encoder by name.

    ``tiny-bert`` (2 layers of width 128) and ``small-bert`` (4 of width 256) start from random weights and hash
    words; ``hf:<model>`` is a pretrained transformers model with its tokenizer, ``hf-config:<model>`` the same with
    random weights.

    Args:
        dropout: probability of every dropout in the model; its own (0.1 for BERT) when ``None``.
    """
    if isinstance(encoder, TextEncoder):
        return encoder
    if isinstance(encoder, nn.Module):
        raise TypeError("wrap a module of your own as TextEncoder(module, tokenizer, pooling)")
    kind, _, name = encoder.partition(":")
    if kind in ("hf", "hf-config"):
        from transformers import AutoConfig, AutoModel

        if kind == "hf":
            model = AutoModel.from_pretrained(there(name), trust_remote_code=False)
        else:
            model = AutoModel.from_config(AutoConfig.from_pretrained(there(name), trust_remote_code=False))
        found = TextEncoder(model, PretrainedTokenizer(name, max_length), pooling)
    elif encoder in TEXT_ENCODERS:
        found = hashed_bert(*TEXT_ENCODERS[encoder], max_length=max_length, pooling=pooling)
    else:
        known = one_of(encoder, TEXT_ENCODERS, are="accepted are")
        raise ValueError(f"unknown encoder {encoder!r}{known}, hf:<model>, or a TextEncoder")
    if dropout is not None:
        set_dropout(found.model, dropout)
    return found


def set_dropout(model: nn.Module, probability: float) -> None:
    """Give every dropout of a model this probability, in [0, 1)."""
    if not 0 <= probability < 1:
        raise ValueError(f"dropout must be in [0, 1), got {probability}")
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
