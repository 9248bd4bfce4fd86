"""Causal language models by name, folder or configuration, and tokenizers small enough for made worlds."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from nearfar.encoders.places import there
from nearfar.spelling import one_of

__all__ = [
    "CAUSAL_MODELS",
    "CausalLM",
    "byte_tokenizer",
    "causal_model",
    "left_padded",
    "longest",
    "positions_of",
    "takes",
    "token_rows",
    "without_bars",
    "word_tokenizer",
]

CAUSAL_MODELS: dict[str, tuple[int, int]] = {"tiny-llama": (2, 64), "small-llama": (4, 128)}
"""Layers and width of the models that start from random weights."""
PAD, END, UNKNOWN = "<pad>", "<eos>", "<unk>"


class CausalLM(NamedTuple):
    """A transformers model with a language modelling head, and its tokenizer."""

    model: Any
    tokenizer: Any


def causal_model(model: str | Path | Mapping[str, Any] | nn.Module | CausalLM, *, tokenizer: Any = None) -> CausalLM:
    """A causal language model, or a vision-language model that answers in words, in evaluation mode.

    Args:
        model: ``tiny-llama`` (2 layers of width 64) or ``small-llama`` (4 of width 128) with random weights, drawn from
            torch's global generator; a folder in transformers' format, or one with a single ``.gguf`` file;
            ``hf:<model>`` from the hub; a transformers configuration, or a mapping with ``model_type``, for random
            weights of another shape; a transformers model together with ``tokenizer``; a :class:`CausalLM`.
        tokenizer: instead of the model's own. Models with random weights read bytes unless one is given.

    Weights are read from safetensors or GGUF only, and code that a folder or repository brings along is never run.

    Raises:
        ValueError: a name that means nothing, or a module without a tokenizer. FileNotFoundError: no such folder.
    """
    if isinstance(model, CausalLM):
        return model
    if isinstance(model, nn.Module):
        if tokenizer is None:
            raise ValueError(f"a {type(model).__name__} needs its tokenizer: give both, as CausalLM(model, tokenizer)")
        return _ready(model, tokenizer)
    if isinstance(model, str) and model in CAUSAL_MODELS:
        layers, width = CAUSAL_MODELS[model]
        return _fresh(_llama(layers, width), tokenizer)
    if not isinstance(model, str | Path):
        return _fresh(_config(model), tokenizer)
    kind, _, name = str(model).partition(":")
    if kind != "hf" and not Path(model).is_dir():
        looks = any(sign in str(model) for sign in "/\\.~")
        if looks:
            raise FileNotFoundError(f"there is no folder {model} with a language model")
        known = one_of(str(model), CAUSAL_MODELS, are="accepted are")
        raise ValueError(f"unknown language model {str(model)!r}{known}, a folder, or hf:<model>")
    return _ready(*_pretrained(name if kind == "hf" else str(model), tokenizer))


def word_tokenizer(words: Iterable[str]) -> Any:
    """A tokenizer of whole words parted by spaces, with ``<pad>`` 0, ``<eos>`` 1 and ``<unk>`` 2 before them.

    It saves with the model and is read back by transformers. Words that it does not know become ``<unk>``.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    vocabulary = {word: row for row, word in enumerate(dict.fromkeys((PAD, END, UNKNOWN, *words)))}
    made = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    made.pre_tokenizer = WhitespaceSplit()
    return _wrapped(made)


def byte_tokenizer() -> Any:
    """A tokenizer of bytes: every text is read and given back exactly; 259 ids with the special ones."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    vocabulary = {token: row for row, token in enumerate((PAD, END, UNKNOWN))}
    for symbol in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary[symbol] = len(vocabulary)
    made = Tokenizer(BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return _wrapped(made)


def longest(model: Any) -> int:
    """How many tokens the model was made for; a large number where its configuration does not say."""
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    return int(getattr(config, "max_position_embeddings", None) or 1 << 30)


def token_rows(
    lm: CausalLM, texts: Sequence[str], *, what: str = "prompt", new: int = 0, special: bool = True
) -> list[list[int]]:
    """The ids of each text.

    Args:
        what: how a text is called in errors.
        new: how many tokens are to follow each.
        special: whether the tokenizer adds what it puts around a text; not for the continuation of another text.

    Raises:
        ValueError: a text without tokens, or one that the model has no room for. TypeError: no text.
    """
    most = longest(lm.model)
    rows = []
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{what} {row} must be a string, got {type(text).__name__}")
        ids = lm.tokenizer(text, add_special_tokens=special)["input_ids"]
        if not ids:
            raise ValueError(f"{what} {row} is empty: {text!r} has no tokens")
        if len(ids) + new > most:
            after = f" with the {new} that are to follow" if new else ""
            raise ValueError(f"{what} {row} has {len(ids)} tokens{after}, and the model reads up to {most}; shorten it")
        rows.append(ids)
    return rows


def left_padded(rows: Sequence[Sequence[int]], padding: int, *, device: Any = None) -> tuple[Tensor, Tensor]:
    """Ids (N, T) and mask (N, T), int64, with padding before each row, so that all of them end together."""
    width = max((len(row) for row in rows), default=0)
    ids = torch.tensor([[padding] * (width - len(row)) + [*row] for row in rows], dtype=torch.long, device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], dtype=torch.long, device=device)
    return ids.view(len(rows), width), mask.view(len(rows), width)


def positions_of(mask: Tensor) -> Tensor:
    """The position (N, T) of each token among its row's own, padding not counted (transformers' left padding)."""
    return (mask.cumsum(-1) - 1).clamp_min(0)


def takes(model: Any, argument: str) -> bool:
    """Whether the model's ``forward`` has an argument of this name."""
    return argument in inspect.signature(model.forward).parameters


def _wrapped(made: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, padding_side="left"
    )


def _llama(layers: int, width: int) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=3 * width,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )


def _config(found: Any) -> Any:
    if not isinstance(found, Mapping):
        return found
    from transformers import AutoConfig

    if "model_type" not in found:
        raise ValueError("a configuration of a language model needs model_type, such as llama")
    rest = {name: value for name, value in found.items() if name != "model_type"}
    return AutoConfig.for_model(found["model_type"], **rest)


def _fresh(config: Any, tokenizer: Any) -> CausalLM:
    from transformers import AutoModelForCausalLM

    tokenizer = tokenizer or byte_tokenizer()
    config.vocab_size = len(tokenizer)
    config.pad_token_id, config.eos_token_id, config.bos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id, None
    return _ready(AutoModelForCausalLM.from_config(config, trust_remote_code=False), tokenizer)


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep transformers from drawing progress bars for a while."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _pretrained(name: str, tokenizer: Any) -> tuple[Any, Any]:
    import transformers as t

    where: dict[str, Any] = {"trust_remote_code": False}
    packed = sorted(Path(name).glob("*.gguf")) if Path(name).is_dir() else []
    if packed and not (Path(name) / "config.json").is_file():
        where["gguf_file"] = packed[0].name
    else:
        there(name)
    tokenizer = tokenizer or t.AutoTokenizer.from_pretrained(name, **where)
    config = t.AutoConfig.from_pretrained(name, **where)
    words = type(config) in t.MODEL_FOR_CAUSAL_LM_MAPPING
    door = t.AutoModelForCausalLM if words else t.AutoModelForImageTextToText
    if "gguf_file" not in where:
        where["use_safetensors"] = True
    try:
        with without_bars():
            return door.from_pretrained(name, **where), tokenizer
    except SafetensorError as error:
        raise ValueError(f"the weights in {name} are damaged: {error}") from error


def _ready(model: Any, tokenizer: Any) -> CausalLM:
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = "left"
    return CausalLM(model.eval(), tokenizer)
