"""A language model that rewrites a sentence again and again, steered away from what it said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nearfar.encoders.causal import CausalLM, left_padded, positions_of, token_rows
from nearfar.encoders.language_models import LocalModel
from nearfar.text.data.chains import stuck

__all__ = ["Rewriting", "guided", "written_chains"]


@dataclass(frozen=True)
class Rewriting:
    """How a list is written.

    Args:
        count: rewrites of each sentence.
        scale: how much farther than the model's own answer the next one is from the one before; 1 is the model's own.
        most: tokens of a rewrite at most.
        prompt: what is asked, with ``{sentence}`` in it. The paper asks for an entailed sentence in words of its own.
    """

    count: int = 32
    scale: float = 1.5
    most: int = 100
    prompt: str = (
        "Say this sentence in other words and with another structure, so that what it says follows from the original. "
        "Answer with the new sentence alone. Sentence: {sentence}\nNew sentence:"
    )

    def __post_init__(self) -> None:
        if self.count < 1 or self.most < 1 or self.scale < 0:
            raise ValueError(
                "rewriting.count and rewriting.most must be at least 1 and rewriting.scale at least 0; got "
                f"{self.count}, {self.most} and {self.scale}"
            )
        if self.prompt.count("{sentence}") != 1:
            raise ValueError(f"rewriting.prompt must hold {{sentence}} once, got {self.prompt!r}")


def guided(now: Tensor, before: Tensor, scale: float) -> Tensor:
    """``log p_before + scale * (log p_now - log p_before)``, of scores (..., V) under two prompts.

    Above 1 it prefers words that the sentence of now asks for more than the one before it did.
    """
    now, before = now.log_softmax(-1), before.log_softmax(-1)
    return before + scale * (now - before)


def written_chains(model: LocalModel, sentences: Sequence[str], how: Rewriting = Rewriting()) -> list[list[str]]:
    """Lists of each sentence and its rewrites (arXiv 2502.13656).

    Every rewrite is decoded word by word without chance, by the prompt for the sentence before it, guided away from
    the prompt for the one before that. Lists that went round in a circle, and those with an answer that is empty or
    of several lines, are left out. It needs the probabilities of words, which servers do not give.

    Args:
        model: an instructed language model on this machine.
        sentences: N strings.
        how: length and guidance.

    Returns:
        At most N lists of ``how.count + 1`` sentences.
    """
    chains: list[list[str]] = []
    for start in range(0, len(sentences), model.batch_size):
        part = [[sentence] for sentence in sentences[start : start + model.batch_size]]
        for _ in range(how.count):
            now, before = (
                [model.asked(how.prompt.replace("{sentence}", chain[-back:][0].strip())) for chain in part]
                for back in (1, 2)
            )
            for chain, answer in zip(part, _answers(model.lm, now, before, how), strict=True):
                chain.append(answer.strip("`").strip())
        chains += [chain for chain in part if all(s and "\n" not in s for s in chain) and not stuck(chain)]
    return chains


@torch.no_grad()
def _answers(lm: CausalLM, now: Sequence[str], before: Sequence[str], how: Rewriting) -> list[str]:
    """An answer to each prompt of now, guided away from the prompts of before."""
    model, tokenizer = lm
    rows = token_rows(lm, [*now, *before], new=how.most, special=tokenizer.chat_template is None)
    ids, mask = left_padded(rows, tokenizer.pad_token_id, device=model.device)
    ended = torch.zeros(len(now), dtype=torch.bool, device=model.device)
    ends = model.generation_config.eos_token_id
    stops = torch.tensor([*(ends if isinstance(ends, list) else [ends])], device=model.device)
    words, positions, past = [], positions_of(mask), None
    for _ in range(how.most):
        output = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=past, use_cache=True)
        wanted, left = output.logits[:, -1].float().chunk(2)
        word = guided(wanted, left, how.scale).argmax(-1)
        word = word.masked_fill(ended, tokenizer.pad_token_id)
        words.append(word)
        ended = ended | torch.isin(word, stops)
        if bool(ended.all()):
            break
        past, ids, positions = output.past_key_values, word.repeat(2).unsqueeze(1), positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
    return tokenizer.batch_decode(torch.stack(words, 1), skip_special_tokens=True)
