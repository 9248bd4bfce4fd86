"""Models that read a text and write another, by name or folder, and candidates that differ from one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nearfar.encoders.causal import byte_tokenizer, without_bars, word_tokenizer
from nearfar.encoders.places import there
from nearfar.encoders.tokens import Tokens
from nearfar.spelling import one_of

__all__ = ["SEQ2SEQ_MODELS", "Seq2SeqLM", "diverse_candidates", "encoded", "seq2seq_model"]

SEQ2SEQ_MODELS: dict[str, tuple[int, int]] = {"tiny-t5": (2, 64), "small-t5": (4, 128)}
"""Layers of encoder and decoder each, and width, of the models that start from random weights."""


class Seq2SeqLM(NamedTuple):
    """A transformers encoder-decoder with a language modelling head, and its tokenizer."""

    model: Any
    tokenizer: Any


def seq2seq_model(
    model: str | Seq2SeqLM, *, words: Sequence[str] | None = None, dropout: float | None = None
) -> Seq2SeqLM:
    """An encoder-decoder by name.

    Args:
        model: ``tiny-t5`` (2 + 2 layers of width 64) or ``small-t5`` (4 + 4 of 128) with random weights, drawn from
            torch's global generator; ``hf:<model>``, from the hub or a folder, with its tokenizer; or a
            :class:`Seq2SeqLM`. Weights are read from safetensors only, and code that a model brings is never run.
        words: the words that a model with random weights knows; it reads and writes bytes without.
        dropout: of every dropout in the model; its own when not given.

    Raises:
        ValueError: another name. FileNotFoundError: no such folder.
    """
    if isinstance(model, Seq2SeqLM):
        found = model
    elif model in SEQ2SEQ_MODELS:
        found = _fresh(*SEQ2SEQ_MODELS[model], words)
    elif model.startswith("hf:"):
        import transformers as t

        name = there(model[3:])
        with without_bars():
            made = t.AutoModelForSeq2SeqLM.from_pretrained(name, trust_remote_code=False, use_safetensors=True)
        found = Seq2SeqLM(made, t.AutoTokenizer.from_pretrained(name, trust_remote_code=False))
    else:
        raise ValueError(f"unknown model {model!r}{one_of(model, SEQ2SEQ_MODELS, are='accepted are')}, hf:<model>")
    if dropout is not None:
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        for module in found.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
    return found


def encoded(lm: Seq2SeqLM, texts: Sequence[str], max_length: int) -> Tokens:
    """Tokens of texts, each with the end of text after it, cut to ``max_length``; padded on the right."""
    end, pad = lm.tokenizer.eos_token_id, lm.tokenizer.pad_token_id
    rows = []
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {row} is a {type(text).__name__}, not a string")
        ids = lm.tokenizer(text)["input_ids"]
        ids = ids[:-1] if ids and ids[-1] == end else ids
        rows.append([*ids[: max_length - 1], end])
    width = max(map(len, rows), default=1)
    device = lm.model.device
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows], dtype=torch.long, device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], dtype=torch.long, device=device)
    return Tokens(ids, mask)


@torch.no_grad()
def diverse_candidates(lm: Seq2SeqLM, source: Tokens, *, groups: int, penalty: float, max_length: int) -> Tensor:
    """Diverse beam search with one beam in every group (Vijayakumar et al. 2018, arXiv 1610.02424).

    All groups write at once. A group takes the token with the largest log-probability less ``penalty`` times the
    number of groups before it that took that token at this place, so that the first writes greedily and the others
    keep away from it.

    Args:
        source: tokens (B, T) of what is read.
        groups: candidates of each source.
        penalty: at least 0; with 0 all candidates are the greedy one.
        max_length: tokens that a candidate may have after its start.

    Returns:
        (B, groups, T') ids that begin with the model's start token and are padded after the end of text.
    """
    model, end, pad = lm.model, lm.tokenizer.eos_token_id, lm.tokenizer.pad_token_id
    rows = len(source.input_ids)
    states = model.get_encoder()(input_ids=source.input_ids, attention_mask=source.attention_mask)
    states.last_hidden_state = states.last_hidden_state.repeat_interleave(groups, 0)
    mask = source.attention_mask.repeat_interleave(groups, 0)
    last = torch.full((rows * groups, 1), model.config.decoder_start_token_id, device=mask.device)
    written, over, past = [last], torch.zeros(rows, groups, dtype=torch.bool, device=mask.device), None
    for _ in range(max_length):
        out = model(
            encoder_outputs=states, attention_mask=mask, decoder_input_ids=last, past_key_values=past, use_cache=True
        )
        past = out.past_key_values
        scores = out.logits[:, -1].float().log_softmax(-1).view(rows, groups, -1)
        taken, before = [], torch.zeros_like(scores[:, 0])
        for group in range(groups):
            token = (scores[:, group] - penalty * before).argmax(-1)
            before.scatter_add_(1, token.unsqueeze(1), (~over[:, group]).to(before).unsqueeze(1))
            taken.append(token)
        chosen = torch.stack(taken, 1).masked_fill(over, pad)
        over = over | (chosen == end)
        last = chosen.view(-1, 1)
        written.append(last)
        if bool(over.all()):
            break
    return torch.cat(written, 1).view(rows, groups, -1)


def _fresh(layers: int, width: int, words: Sequence[str] | None) -> Seq2SeqLM:
    from transformers import T5Config, T5ForConditionalGeneration

    tokenizer = byte_tokenizer() if words is None else word_tokenizer(words)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=width // 4,
        num_heads=4,
        num_layers=layers,
        d_ff=4 * width,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config.decoder_start_token_id = tokenizer.pad_token_id
    return Seq2SeqLM(T5ForConditionalGeneration(config), tokenizer)
