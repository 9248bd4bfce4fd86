"""Contrast as a custom loop for ``generate`` of transformers: all branches of a model in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nearfar.decoding.engine.branch import Branch
from nearfar.decoding.engine.processor import Combine
from nearfar.decoding.engine.streams import Streams


def branched_generate(
    combine: Combine,
    branches: Sequence[Branch],
    *,
    early: Sequence[int] = (),
    norm: Any = None,
    quick: bool = True,
    generator: torch.Generator | None = None,
) -> Callable[..., Any]:
    """What ``model.generate(..., custom_generate=...)`` takes: greedy decoding and sampling from combined scores.

    transformers' processors (penalties, temperature, top-k, top-p), stopping criteria, streamer and dictionary of
    outputs work as ever; they see the combined scores. The branches come with the loop, the followed one first: the
    ids given to ``generate`` are what is returned before the new tokens. Beam search needs
    :class:`BranchProcessor`.

    Args:
        combine: all looks to scores (B, V).
        branches: of as many rows as the ids.
        early: hidden states whose words the looks hold.
        norm: applied to those states before the head.
        quick: see :class:`Streams`.
        generator: of the words that are drawn; torch's global one otherwise.
    """

    def custom_generate(
        model: Any,
        input_ids: Tensor,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        synced_gpus: bool = False,
        streamer: Any = None,
        **model_kwargs: Any,
    ) -> Any:
        from transformers.generation import GenerateDecoderOnlyOutput

        if (generation_config.num_beams or 1) > 1:
            raise ValueError("a custom loop writes one text a prompt; for beam search use the decoder's processor")
        if len(input_ids) != len(branches[0].ids):
            raise ValueError(
                f"this decoder was prepared for {len(branches[0].ids)} prompts, and generate runs {len(input_ids)} rows"
            )
        wants = generation_config.return_dict_in_generate
        kept_scores: tuple[Tensor, ...] = ()
        pad = getattr(generation_config, "_pad_token_tensor", None)
        ends = any(hasattr(criterion, "eos_token_id") for criterion in stopping_criteria)
        going = torch.ones(len(input_ids), dtype=torch.long, device=input_ids.device)
        streams = Streams(branches, early=early, norm=norm, quick=quick)
        looks = streams.start()
        while True:
            scores = logits_processor(input_ids, combine(looks).to(input_ids.device))
            if wants and generation_config.output_scores:
                kept_scores += (scores,)
            if generation_config.do_sample:
                tokens = torch.multinomial(scores.softmax(-1), 1, generator=generator).squeeze(1)
            else:
                tokens = scores.argmax(-1)
            if ends and pad is not None:
                tokens = tokens * going + pad.to(tokens.device) * (1 - going)
            input_ids = torch.cat([input_ids, tokens[:, None]], 1)
            if streamer is not None:
                streamer.put(tokens.cpu())
            going = going & ~stopping_criteria(input_ids, kept_scores or None)
            if not bool(going.any()):
                break
            looks = streams.step(tokens)
        if streamer is not None:
            streamer.end()
        if not wants:
            return input_ids
        return GenerateDecoderOnlyOutput(
            sequences=input_ids,  # type: ignore[arg-type]
            scores=kept_scores if generation_config.output_scores else None,  # type: ignore[arg-type]
        )

    return custom_generate


def early_layers(model: Any, which: str | Sequence[int]) -> list[int]:
    """Candidate layers of DoLa, as indices of ``hidden_states`` (0 is the embedding).

    ``low`` and ``high`` are every other layer of the lower or upper half, of the outer 20 where there are more than 40
    layers; with tied embeddings the lower half begins at 2, because the embedding then says the word that was read.

    Raises:
        ValueError: an unknown word, a layer that the model does not have, none at all.
    """
    config = model.config.get_text_config()
    count = int(config.num_hidden_layers)
    if which in ("low", "high"):
        start = 2 if config.tie_word_embeddings else 0
        if count > 40:
            found = [*range(start, 20, 2)] if which == "low" else [*range(count - 20, count, 2)]
        elif which == "low":
            found = [*range(start, count // 2, 2)]
        else:
            found = [*range(count // 2, count, 2)]
        if not found:
            raise ValueError(f"a model of {count} layers has no {which} half to contrast with; give layers by number")
        return found
    if isinstance(which, str):
        raise ValueError(f"layers must be low, high or numbers, got {which!r}")
    wrong = [layer for layer in which if not 0 <= layer < count]
    if wrong or not which:
        raise ValueError(f"layers must be numbers from 0 to {count - 1}, got {[*which]}")
    return [*which]
