"""What decoders share: a model, how texts are written, and the three ways to use a contrast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.common.randomness import derive_seed
from nearfar.decoding.data.prompts import PromptBatch, Prompts
from nearfar.decoding.data.worlds import PREFIX, made
from nearfar.decoding.engine import Branch, BranchProcessor, Look, branched_generate, forced_looks, shown
from nearfar.decoding.pictures import pixels, seen
from nearfar.encoders.causal import CausalLM, causal_model, token_rows
from nearfar.losses import choice_logp
from nearfar.system import Procedure

Model = str | nn.Module | CausalLM


@dataclass(frozen=True)
class Writing:
    """How a text is continued.

    Args:
        max_new_tokens: tokens at most, above 0; the model's end of text ends it before.
        sample: draw words instead of taking the best.
        temperature: divides the combined scores when drawing, above 0.
        top_k: draw from so many best words only; 0 for all.
        top_p: draw from the best words that hold this share of the probability, in (0, 1].
        beams: beam search with so many beams, for decoders that contrast whole branches; 1 for none.
        repetition_penalty: above 1 makes words that were used before less likely.
        batch_size: prompts that are written together.
    """

    max_new_tokens: int = 32
    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    beams: int = 1
    repetition_penalty: float = 1.0
    batch_size: int = 32

    def __post_init__(self) -> None:
        bounds = {
            "max_new_tokens": (self.max_new_tokens >= 1, "at least 1"),
            "temperature": (self.temperature > 0, "above 0"),
            "top_k": (self.top_k >= 0, "at least 0"),
            "top_p": (0 < self.top_p <= 1, "in (0, 1]"),
            "beams": (self.beams >= 1, "at least 1"),
            "repetition_penalty": (self.repetition_penalty > 0, "above 0"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
        }
        for name, (fine, accepted) in bounds.items():
            if not fine:
                raise ValueError(f"writing.{name} must be {accepted}, got {getattr(self, name)}")
        if self.sample and self.beams > 1:
            raise ValueError("beam search takes the best words; give beams or sample, not both")

    def settings(self) -> dict[str, Any]:
        """Arguments of transformers' ``generate``, which leave nothing to a model's own generation settings."""
        drawing = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p} if self.sample else {}
        return {
            "max_new_tokens": self.max_new_tokens,
            "do_sample": self.sample,
            "num_beams": self.beams,
            "repetition_penalty": self.repetition_penalty,
            **drawing,
        }


def opened(model: Model | None, what: str = "model") -> CausalLM:
    """A language model by name, folder or as an object, or a made one (``made:facts``).

    Raises:
        ValueError: none is given.
    """
    if model is None:
        raise ValueError(f"name a language model: --{what} FOLDER (or hf:<model>), as these prompts bring none along")
    return made(model) if isinstance(model, str) and model.startswith(PREFIX) else causal_model(model)


def joined(prompts: Sequence[str], contexts: Sequence[str]) -> list[str]:
    """Each prompt after its context, on a line of its own."""
    return [f"{context}\n{prompt}" if context else prompt for prompt, context in zip(prompts, contexts, strict=True)]


class Decodes:
    """What a decoder does, of any kind: it shows each prompt in :meth:`branches` and joins what they say in
    :meth:`combine`.

    Attributes:
        lm: the model that writes, with its tokenizer.
        writing: how texts are continued.
        early: hidden states whose own words :meth:`combine` asks for, after ``norm`` where there is one.
        beams: whether it can be used under beam search.
        needs: columns of prompts that it cannot do without, and why, in words that end a sentence.
    """

    lm: CausalLM
    writing: Writing
    early: Sequence[int] = ()
    norm: nn.Module | None = None
    beams = True
    needs: ClassVar[Mapping[str, str]] = {}

    # What a decoder writes ----------------------------------------------------------------------------------

    def branches(self, batch: PromptBatch) -> list[Branch]:
        """What is shown of each prompt, the branch to follow first. By default the prompt after its context."""
        return [self.whole(batch)]

    def combine(self, looks: list[Look]) -> Tensor:
        """The scores of the next word from all looks. By default those of the first."""
        return looks[0].logits

    def check(self, prompts: Any) -> None:
        """Refuse prompts that lack what this decoder contrasts with.

        Raises:
            ValueError: in one sentence.
        """
        for column, why in self.needs.items():
            if getattr(prompts, column, None) is None:
                raise ValueError(f"{type(self).__name__} {why}, and these prompts have no {column}")

    def prepare(self, data: Any) -> None:
        """Look at the data that is to be decoded, held-out and other part, once before anything is written."""

    @property
    def least(self) -> int:
        """How many words a plausibility constraint leaves at least: two under beam search."""
        return 2 if self.writing.beams > 1 else 1

    # What it then can do ------------------------------------------------------------------------------------

    def show(self, texts: Sequence[str], **rest: Any) -> Branch:
        """A branch of the model that writes, with room for what is to be written."""
        return shown(self.lm, texts, new=self.writing.max_new_tokens, **rest)

    def whole(self, batch: PromptBatch, values: Tensor | None = None) -> Branch:
        """Everything that a prompt comes with: its context before it, its picture (or other pixels instead)."""
        texts = joined(batch.prompts, batch.contexts)
        if batch.images is None:
            return self.show(texts)
        values = pixels(self.lm.model, batch.images) if values is None else values
        return seen(self.lm, texts, values, new=self.writing.max_new_tokens)

    def inputs(
        self,
        prompts: Sequence[str] | Prompts | PromptBatch,
        contexts: Sequence[str] | None = None,
        *,
        processor: bool = False,
        generator: torch.Generator | None = None,
    ) -> dict[str, Any]:
        """Arguments for ``model.generate(**inputs, ...)`` of transformers, whatever else is given to it.

        Args:
            prompts: N texts.
            contexts: what is told before each.
            processor: bring the contrast as a logits processor, which beam search takes as well, instead of as a custom
                loop, which passes all branches of a model together.
            generator: of drawn words, in the custom loop.

        Raises:
            ValueError: a processor of a decoder that needs more than words.
        """
        if not isinstance(prompts, Prompts | PromptBatch):
            prompts = Prompts(_listed(prompts), contexts=contexts)
        if isinstance(prompts, Prompts):
            self.check(prompts)
            prompts = prompts.batch(np.arange(len(prompts)))
        branches = self.branches(prompts)
        first = branches[0]
        found = {"input_ids": first.ids, "attention_mask": first.mask, **first.extras}
        if not processor:
            hook = branched_generate(self.combine, branches, early=self.early, norm=self.norm, generator=generator)
            return {**found, "custom_generate": hook}
        if self.early or first.touch is not None or first.embeds is not None:
            raise ValueError(
                f"{type(self).__name__} looks into the model that writes, which a logits processor cannot: use its "
                "custom loop, without beam search"
            )
        if len(branches) == 1:
            return found
        return {**found, "logits_processor": [BranchProcessor(self.combine, branches[1:])]}

    @torch.no_grad()
    def write(self, batch: PromptBatch, *, generator: torch.Generator | None = None) -> list[list[int]]:
        """The new tokens of each prompt, without the end of text."""
        model, tokenizer = self.lm
        if self.writing.beams > 1 and not self.beams:
            raise ValueError(f"{type(self).__name__} writes without beam search; set writing.beams to 1")
        given = self.inputs(batch, processor=self.writing.beams > 1, generator=generator)
        end = tokenizer.eos_token_id
        ids = model.generate(**given, **self.writing.settings(), eos_token_id=end, pad_token_id=tokenizer.pad_token_id)
        return [_until(row, end) for row in ids[:, given["input_ids"].shape[1] :].tolist()]

    def generate(self, data: Any, *, seed: int = 0) -> Iterator[dict[str, Any]]:
        """One mapping a prompt: ``id``, ``prompt``, ``context`` where there is one, ``text``, ``tokens`` (a number).

        Args:
            data: prompts; of a set with a held-out part, that part.
            seed: of drawn words.
        """
        self.prepare(data)
        prompts = data.held_out() if isinstance(data, Prompts) else data
        self.check(prompts)
        size = self.writing.batch_size
        for first in range(0, len(prompts), size):
            rows = np.arange(first, min(first + size, len(prompts)))
            batch = prompts.batch(rows)
            generator = torch.Generator(self.lm.model.device).manual_seed(derive_seed(seed, "write", first))
            for row, tokens in enumerate(self.write(batch, generator=generator)):
                told = {"context": batch.contexts[row]} if batch.contexts[row] else {}
                text = self.lm.tokenizer.decode(tokens, skip_special_tokens=True)
                yield {
                    "id": prompts.ids[rows[row]].item(),
                    "prompt": batch.prompts[row],
                    **told,
                    "text": text,
                    "tokens": len(tokens),
                }

    def forced_looks(self, batch: PromptBatch, answers: Sequence[str]) -> tuple[list[Look], Tensor]:
        """All looks (N, T, V) at each word of given answers, and the words (N, T), -100 after an answer's end."""
        words, mask = self.answer_words(answers)
        looks = forced_looks(self.branches(batch), words, mask, early=self.early, norm=self.norm)
        return looks, words.masked_fill(mask == 0, -100)

    def answer_words(self, answers: Sequence[str], *, end: bool = False) -> tuple[Tensor, Tensor]:
        """Words of answers (N, T), padded on the right with 0, and their mask; with ``end`` the end of text too."""
        rows = token_rows(self.lm, answers, what="answer", special=False)
        rows = [[*row, self.lm.tokenizer.eos_token_id] for row in rows] if end else rows
        width = max(map(len, rows))
        device = self.lm.model.device
        words = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        return words, mask

    @torch.no_grad()
    def logp(self, batch: PromptBatch, answers: Sequence[str]) -> Tensor:
        """(N,): the log-probability that this decoder gives each answer; -1000 for every word that it forbids."""
        looks, words = self.forced_looks(batch, answers)
        return choice_logp(self.combine(looks), words)

    def score(self, batch: PromptBatch) -> dict[str, Any]:
        """Columns: ``score``, the log-probability of the right answer or, of prompts with choices, of the best one, and
        then ``choice``, its position among them.

        Raises:
            ValueError: a prompt has neither choices nor an answer.
        """
        options = [each or [answer] for each, answer in zip(batch.choices, batch.answers, strict=True)]
        for row, each in enumerate(options):
            if not each[0]:
                raise ValueError(f"prompt {int(batch.rows[row])} has neither choices nor an answer to be rated")
        index = torch.tensor([row for row, each in enumerate(options) for _ in each])
        found = self.logp(picked(batch, index), [text for each in options for text in each])
        best = [part.max(0) for part in found.split([len(each) for each in options])]
        return {"score": [float(b.values) for b in best], "choice": [int(b.indices) for b in best]}


class Decoder(Decodes, Procedure):
    """A decoder that is configured and never trained; by itself, the model's own words.

    Args:
        model: the language model: a folder, ``hf:<model>``, a made one, or a :class:`nearfar.encoders.CausalLM`; the
            prompts' own when not given.
        writing: how texts are continued.
    """

    verbs = ("generates", "scores")
    takes = PromptBatch

    def __init__(self, model: Model | None = None, *, writing: Writing = Writing()) -> None:
        self.lm = opened(model)
        self.writing = writing


def _listed(prompts: Sequence[str]) -> list[str]:
    if isinstance(prompts, str):
        raise TypeError("give prompts as a list of strings, also when there is one")
    return [*prompts]


def picked(batch: PromptBatch, index: Tensor) -> PromptBatch:
    """The rows of a batch at ``index``."""
    rows = index.tolist()
    found: Mapping[str, Any] = {
        name: value[index] if isinstance(value, Tensor) else None if value is None else [value[r] for r in rows]
        for name, value in batch._asdict().items()
    }
    return PromptBatch(**found)


def final_norm(model: Any) -> nn.Module:
    """The norm between a model's last layer and its head.

    Raises:
        ValueError: none is found.
    """
    body = model.base_model
    body = getattr(body, "language_model", body)
    for name in ("norm", "ln_f", "final_layer_norm", "final_layernorm"):
        if isinstance(getattr(body, name, None), nn.Module):
            return getattr(body, name)
    raise ValueError(f"no final norm was found in a {type(model).__name__}; leave apply_final_norm off")


def _until(tokens: list[int], end: int | None) -> list[int]:
    return tokens[: tokens.index(end)] if end in tokens else tokens
