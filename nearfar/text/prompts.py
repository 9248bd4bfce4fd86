"""A sentence inside a prompt whose last word a causal language model is about to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from nearfar.encoders.causal import CAUSAL_MODELS, causal_model
from nearfar.encoders.text import TextEncoder, text_encoder
from nearfar.encoders.tokens import Tokens, padded_tokens
from nearfar.evaluation import sts
from nearfar.text.mining import vectors


@dataclass(frozen=True)
class Prompt:
    """The words around a sentence.

    Args:
        template: what is read, with ``{sentence}`` in it. It ends before the word that the model is to find.
        example: a sentence that is shown first, answered with ``word``; none when empty.
        word: the one word of the example.
        tidy: end every sentence with a full stop and take double quotation marks out of it, as the paper evaluates.
    """

    template: str = 'This sentence : "{sentence}" means in one word:"'
    example: str = ""
    word: str = ""
    tidy: bool = True

    def __post_init__(self) -> None:
        if self.template.count("{sentence}") != 1:
            raise ValueError(f"prompt.template must hold {{sentence}} once, got {self.template!r}")
        if bool(self.example) != bool(self.word):
            raise ValueError("prompt.example and prompt.word are given together or not at all")

    def around(self, sentence: str) -> str:
        """The whole text that is read."""
        shown = f'{self._in(self.example)}{self.word}". ' if self.example else ""
        return shown + self._in(sentence)

    def _in(self, sentence: str) -> str:
        if self.tidy:
            ended = sentence if sentence.endswith((".", "?", '"', "'")) else f"{sentence}."
            ended = ended.replace('"', "'")
            sentence = f"{ended[:-1]}." if ended.endswith("?") else ended
        return self.template.replace("{sentence}", sentence)


class PromptTokenizer:
    """Sentences to the tokens of their prompts, padded at the end, where a causal model does not look.

    The paper pads before the prompt; a state that looks back only is the same either way, and with padding at the end
    the positions are right in every model.

    Args:
        tokenizer: of transformers.
        prompt: the words around each sentence.
        max_length: tokens kept of a sentence, before the prompt is put around it.
    """

    def __init__(self, tokenizer: Any, prompt: Prompt, max_length: int) -> None:
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        self.tokenizer, self.prompt, self.max_length = tokenizer, prompt, max_length

    def __call__(self, sentences: Sequence[str]) -> Tokens:
        texts = [self.prompt.around(self._cut(sentence)) for sentence in sentences]
        return padded_tokens([self.tokenizer(text)["input_ids"] for text in texts], self.tokenizer.pad_token_id)

    def _cut(self, sentence: str) -> str:
        return cut(sentence, self.tokenizer, self.max_length)


def cut(sentence: str, tokenizer: Any, length: int) -> str:
    """The first ``length`` tokens of a sentence as text; ``tokenizer`` is one of transformers."""
    if not isinstance(sentence, str):
        raise TypeError(f"expected sentences as strings, got a {type(sentence).__name__}")
    ids = tokenizer(sentence, add_special_tokens=False)["input_ids"]
    return sentence if len(ids) <= length else tokenizer.decode(ids[:length])


def prompted_encoder(encoder: str | nn.Module, prompt: Prompt, max_length: int, dropout: float | None) -> TextEncoder:
    """A causal language model without its head that reads sentences in a prompt: the state of the prompt's last token.

    Args:
        encoder: ``hf:<model>``, a name of :data:`nearfar.encoders.CAUSAL_MODELS` for random weights, or a
            ``TextEncoder`` whose tokenizer is one of transformers, which then reads prompts.
    """
    if isinstance(encoder, str) and encoder in CAUSAL_MODELS:
        lm = causal_model(encoder)
        body, words = getattr(lm.model, lm.model.base_model_prefix), lm.tokenizer
    else:
        found = text_encoder(encoder, pooling="last_token", max_length=max_length, dropout=dropout)
        body, words = found.model, getattr(found.tokenizer, "tokenizer", None)
        if words is None:
            raise ValueError(f"a prompt needs a language model with its tokenizer, hf:<model>; got {encoder!r}")
    return TextEncoder(body, PromptTokenizer(words, prompt, max_length), "last_token")


def best_example(
    encoder: TextEncoder, examples: Sequence[tuple[str, str]], pairs: tuple[Sequence[str], Sequence[str], Any]
) -> tuple[Prompt, list[float]]:
    """The prompt with the example under which cosines agree best with judged pairs, and the agreement under each.

    Args:
        encoder: of :func:`prompted_encoder`; it keeps the best.
        examples: sentences with their one word.
        pairs: ``(a, b, gold)`` to choose by; not those that the result is reported on.
    """
    reader = encoder.tokenizer
    if not isinstance(reader, PromptTokenizer) or not examples:
        raise ValueError("an example is chosen of at least one, for an encoder that reads prompts")
    plain, found = reader.prompt, []
    encoder.eval()
    for example, word in examples:
        reader.prompt = Prompt(plain.template, example, word, plain.tidy)
        left, right = (vectors(encoder, side).numpy() for side in pairs[:2])
        found.append(sts(left, right, pairs[2]))
    example, word = examples[max(range(len(found)), key=found.__getitem__)]
    reader.prompt = Prompt(plain.template, example, word, plain.tidy)
    return reader.prompt, found
