"""A language model as a policy: how likely it finds replies, what it replies, with or without an adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nearfar.encoders.causal import CausalLM, left_padded, longest, without_bars
from nearfar.losses import token_logps
from nearfar.parts.lora import Lora, adapted
from nearfar.preference.data.batches import Text

WASTE = 0.15
"""Share of padding that a group of sequences may have."""
REMEMBERED = 20_000
"""Texts whose ids are remembered from one epoch to the next."""
MOST = 16384
"""Tokens of a group, padding included."""


class Said(NamedTuple):
    """A prompt and a reply as ids; the reply's are those that count, or of them those that ``own`` marks: in a
    conversation the others were said by somebody else."""

    prompt: list[int]
    reply: list[int]
    own: list[bool] | None = None

    def counted(self) -> list[int]:
        """Positions in the reply of the tokens that count."""
        return [i for i in range(len(self.reply)) if self.own is None or self.own[i]]


class Policy(nn.Module):
    """A causal language model that rates and writes replies. Dropout is off, in training too.

    Args:
        lm: the model, which is changed in training, and its tokenizer.
        lora: adapters, or none.
    """

    by_example = ("logps",)

    def __init__(self, lm: CausalLM, lora: Lora = Lora()) -> None:
        super().__init__()
        self.tokenizer = lm.tokenizer
        self.model = adapted(lm.model, lora) if lora.rank else lm.model
        self.adapted = bool(lora.rank)
        self.model.eval()
        self.plain = _has_plain_head(self.inner)
        self._read: dict[str, list[int]] = {}

    def train(self, mode: bool = True) -> Policy:
        super().train(mode)
        self.model.eval()
        return self

    @property
    def inner(self) -> Any:
        """The model without what peft puts around it."""
        return self.model.get_base_model() if self.adapted else self.model

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @contextmanager
    def without_adapter(self) -> Iterator[None]:
        """Within this block it is the model that the adapter was put on."""
        with self.model.disable_adapter() if self.adapted else nullcontext():
            yield

    # Texts ------------------------------------------------------------------------------------------------

    def sequences(self, prompt: Text, replies: Sequence[Text], *, most: int = 0) -> list[Said]:
        """A prompt with each of its replies as ids, an end of text after every reply that has none.

        Where the tokens of prompt and reply merge at the seam, the reply begins with the first token that is not the
        prompt's alone, for all replies at the same place (trl's rule). Of replies that are conversations only what the
        assistant says counts.

        Args:
            most: longer sequences lose the end of their reply; 0 for what the model reads, and then nothing is cut.

        Raises:
            ValueError: a prompt that leaves no room for a reply, or no chat template for messages.
        """
        head = self._ids(prompt, asks=True)
        wholes = [self._ids(_joined(prompt, reply), ends=True) for reply in replies]
        start = min(_common(head, whole) for whole in wholes)
        limit = most or longest(self.inner)
        if start >= limit:
            raise ValueError(
                f"a prompt has {start} tokens and {limit} are read, so no reply has room: {_shown(prompt)}"
            )
        for whole in wholes:
            if not most and len(whole) > limit:
                raise ValueError(
                    f"a prompt and its reply have {len(whole)} tokens, and the model reads up to {limit}; shorten them "
                    f"or set max_length: {_shown(prompt)}"
                )
            if start == 0:
                raise ValueError(f"a prompt has no tokens that its replies share: {_shown(prompt)}")
        marks = [self._own(prompt, reply, whole) for reply, whole in zip(replies, wholes, strict=True)]
        if any(own is not None and not any(own[start:limit]) for own in marks):
            raise ValueError(f"no turn of the assistant has room in {limit} tokens: {_shown(prompt)}")
        return [
            Said(whole[:start], whole[start:limit], own and own[start:limit])
            for whole, own in zip(wholes, marks, strict=True)
        ]

    def _own(self, prompt: Text, reply: Text, whole: list[int]) -> list[bool] | None:
        """Which tokens of a conversation are the assistant's, where others speak in the reply too."""
        if isinstance(reply, str) or all(turn.get("role") == "assistant" for turn in reply):
            return None
        own = [False] * len(whole)
        for place, turn in enumerate(reply):
            if turn.get("role") == "assistant":
                before = _common(self._ids(_joined(prompt, reply[:place]), asks=True), whole)
                after = _common(self._ids(_joined(prompt, reply[: place + 1])), whole)
                own[before:after] = [True] * (after - before)
        return own

    def _ids(self, text: Text, *, asks: bool = False, ends: bool = False) -> list[int]:
        if isinstance(text, str):
            ids = self._read.get(text)
            if ids is None:
                ids = [*self.tokenizer(text)["input_ids"]]
                if len(self._read) < REMEMBERED:
                    self._read[text] = ids
            end = self.tokenizer.eos_token_id
            return [*ids, end] if ends and end is not None and ids[-1:] != [end] else [*ids]
        if self.tokenizer.chat_template is None:
            raise ValueError("messages need a tokenizer with a chat template, and the model's has none; give texts")
        words = self.tokenizer.apply_chat_template(text, tokenize=False, add_generation_prompt=asks)
        return [*self.tokenizer(words, add_special_tokens=False)["input_ids"]]

    # Rating -----------------------------------------------------------------------------------------------

    def logps(self, sequences: Sequence[Said]) -> Tensor:
        """(N,) float32: the log-probability of each reply after its prompt, summed over its tokens.

        Sequences of similar length pass together, padded at the end, where a causal model does not look; the head is
        computed at the reply's tokens only, a chunk at a time.
        """
        owner, found = [], []
        for group in _groups([len(s.prompt) + len(s.reply) for s in sequences]):
            states, tokens, rows = self._states([sequences[i] for i in group])
            owner.append(torch.tensor(group, device=self.device)[rows])
            found.append(self._token_logps(states, tokens))
        total = torch.zeros(len(sequences), device=self.device, dtype=found[0].dtype)
        return total.index_add(0, torch.cat(owner), torch.cat(found))

    def _states(self, group: list[Said]) -> tuple[Tensor, Tensor, Tensor]:
        """What the model knows before each token of the replies (M, D) or (M, V), the tokens (M,), their rows (M,)."""
        width = max(len(s.prompt) + len(s.reply) for s in group) - 1
        pad = self.tokenizer.pad_token_id or 0
        shown = [[*s.prompt, *s.reply][:-1] for s in group]
        ids = torch.tensor([each + [pad] * (width - len(each)) for each in shown], device=self.device)
        counted = [(row, s, i) for row, s in enumerate(group) for i in s.counted()]
        rows = torch.tensor([row for row, _, _ in counted], device=self.device)
        places = [len(s.prompt) - 1 + i for _, s, i in counted]
        tokens = torch.tensor([s.reply[i] for _, s, i in counted], device=self.device)
        if self.plain:
            states = self.body(input_ids=ids, use_cache=False).last_hidden_state
        else:
            states = self.inner(input_ids=ids, use_cache=False).logits
        return states[rows, torch.tensor(places, device=self.device)], tokens, rows

    def last(self, sequences: Sequence[Said]) -> Tensor:
        """(N, D): the last layer's states at the ends of the replies."""
        order, found = [], []
        pad = self.tokenizer.pad_token_id or 0
        for group in _groups([len(s.prompt) + len(s.reply) for s in sequences]):
            rows = [[*sequences[i].prompt, *sequences[i].reply] for i in group]
            width = max(map(len, rows))
            ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=self.device)
            ends = torch.tensor([len(row) - 1 for row in rows], device=self.device)
            states = self.body(input_ids=ids, use_cache=False).last_hidden_state
            order += group
            found.append(states[torch.arange(len(rows), device=self.device), ends])
        back = torch.tensor(order, device=self.device).argsort()
        return torch.cat(found)[back].float()

    @property
    def body(self) -> Any:
        """The model without its head."""
        return getattr(self.inner, self.inner.base_model_prefix)

    def _token_logps(self, states: Tensor, tokens: Tensor) -> Tensor:
        if not self.plain:
            return states.float().log_softmax(-1).gather(1, tokens[:, None]).squeeze(1)
        if torch.is_autocast_enabled(states.device.type):
            states = states.to(torch.get_autocast_dtype(states.device.type))
        return token_logps(states, self.inner.get_output_embeddings().weight, tokens)

    # Writing ----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, prompts: Sequence[Text], k: int = 1, *, new: int = 32, best: bool = False) -> list[list[Said]]:
        """``k`` replies to each prompt, drawn from the policy itself by torch's global generator: temperature 1, every
        word allowed.

        Args:
            new: tokens at most, and no more than the model has room for; a reply that is cut has no end of text.
            best: the likeliest word at each place instead of drawn ones.
        """
        rows = [self._ids(prompt, asks=True) for prompt in prompts for _ in range(k)]
        most, limit = max(map(len, rows)), longest(self.inner)
        if most >= limit:
            raise ValueError(f"a prompt has {most} tokens and the model reads {limit}, so no reply has room")
        new = min(new, limit - most)
        end, pad = self.tokenizer.eos_token_id, self.tokenizer.pad_token_id
        ids, mask = left_padded(rows, pad, device=self.device)
        drawing = {"do_sample": False} if best else {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}
        written = self.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=new, eos_token_id=end, pad_token_id=pad, **drawing
        )
        replies = [_until(each, end) for each in written[:, ids.shape[1] :].tolist()]
        made = [Said(row, reply) for row, reply in zip(rows, replies, strict=True)]
        return [made[i : i + k] for i in range(0, len(made), k)]

    def text(self, sequence: Said) -> str:
        """A reply in words."""
        return self.tokenizer.decode(sequence.reply, skip_special_tokens=True)

    def export(self, folder: Path, *, adapter: bool = False) -> None:
        """A folder that ``AutoModelForCausalLM.from_pretrained`` loads, adapters merged in; with ``adapter`` those
        alone, as peft loads them.

        Raises:
            ValueError: ``adapter`` of a model that has none.
        """
        if adapter and not self.adapted:
            raise ValueError("this run trained every weight and has no adapter; export it without --adapter")
        from copy import deepcopy

        model = self.model if adapter or not self.adapted else deepcopy(self.model).merge_and_unload()
        with without_bars():
            model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


@torch.no_grad()
def _has_plain_head(model: Any) -> bool:
    """Whether the logits are a matrix times the last states, and nothing else (some models scale or bend them)."""
    head, prefix = model.get_output_embeddings(), getattr(model, "base_model_prefix", "")
    if getattr(head, "bias", None) is not None or getattr(head, "weight", None) is None or not hasattr(model, prefix):
        return False
    ids = torch.arange(1, 3, device=head.weight.device)[None]
    found = getattr(getattr(model, prefix)(input_ids=ids, use_cache=False), "last_hidden_state", None)
    if found is None or found.shape[-1] != head.weight.shape[1]:
        return False
    return torch.allclose(found @ head.weight.T, model(input_ids=ids, use_cache=False).logits, rtol=1e-2, atol=1e-2)


def _groups(lengths: Sequence[int]) -> list[list[int]]:
    """Positions of sequences that pass together, longest first, none with more than :data:`WASTE` padding."""
    groups: list[list[int]] = []
    width = held = 0
    for row in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        wide = width * (len(groups[-1]) + 1) if groups else 0
        if not groups or wide > (1 + WASTE) * (held + lengths[row]) or wide > MOST:
            groups.append([])
            width, held = lengths[row], 0
        groups[-1].append(row)
        held += lengths[row]
    return groups


def _joined(prompt: Text, reply: Text) -> Text:
    if isinstance(prompt, str) != isinstance(reply, str):
        raise ValueError("a prompt and its replies must all be texts, or all be lists of messages")
    return prompt + reply  # type: ignore[operator]


def _common(first: list[int], second: list[int]) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(first), len(second)))


def _shown(text: Text) -> str:
    words = str(text)
    return repr(words if len(words) <= 60 else f"{words[:57]}...")


def _until(tokens: list[int], end: int | None) -> list[int]:
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens
