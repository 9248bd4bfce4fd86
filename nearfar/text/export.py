"""Trained text methods for other programs: a folder for sentence-transformers, and ONNX.

Both are compared with the method before they are kept: what a folder gives for some sentences is what the method gives.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nearfar.common.extras import needed
from nearfar.encoders.causal import without_bars
from nearfar.encoders.text import TextEncoder
from nearfar.encoders.tokens import PretrainedTokenizer, Tokens
from nearfar.exporting.kept import kept, write_json
from nearfar.text.method import TextMethod

__all__ = ["to_onnx", "to_sentence_transformers"]

POOLINGS = {"cls": "cls_token", "avg": "mean_tokens", "last_token": "lasttoken"}
EVERY_POOLING = (
    *("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken"),
)
EXAMPLES = ["a short one", "", "a somewhat longer sentence, with more words than the others have in all of them"]


def to_sentence_transformers(method: TextMethod, folder: Path) -> None:
    """A folder that ``SentenceTransformer(folder)`` opens, of any version since 2.

    Raises:
        ValueError: a method that such a folder cannot hold: its encoder hashes words, reads prompts or domains, or
            pools as sentence-transformers does not, or is more than a transformers model that is saved and loaded.
        FileExistsError: the folder is there and not empty.
    """
    encoder, head = _parts(method)
    words: Any = encoder.tokenizer

    def write(place: Path) -> None:
        modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling")]
        with without_bars():
            encoder.model.save_pretrained(place)  # type: ignore[operator, union-attr]
        words.tokenizer.save_pretrained(place)
        write_json(place / "sentence_bert_config.json", {"max_seq_length": words.max_length, "do_lower_case": False})
        chosen = POOLINGS[encoder.pooling]
        modes = {f"pooling_mode_{name}": name == chosen for name in EVERY_POOLING}
        write_json(place / "1_Pooling" / "config.json", {"word_embedding_dimension": encoder.out_features, **modes})
        if head is not None:
            modules.append(("2", "2_Dense", "Dense"))
            shape = {"in_features": head.in_features, "out_features": head.out_features, "bias": head.bias is not None}
            write_json(
                place / "2_Dense" / "config.json", {**shape, "activation_function": "torch.nn.modules.activation.Tanh"}
            )
            weights = {f"linear.{name}": value.detach().contiguous() for name, value in head.state_dict().items()}
            save_file(weights, place / "2_Dense" / "model.safetensors")
        rows = [
            {"idx": int(name), "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
            for name, path, kind in modules
        ]
        write_json(place / "modules.json", rows)

    def read(place: Path) -> np.ndarray:
        from transformers import AutoModel

        with without_bars():
            model = AutoModel.from_pretrained(place, trust_remote_code=False)
        again = TextEncoder(model, PretrainedTokenizer(str(place), words.max_length), encoder.pooling).eval()
        vectors = again(EXAMPLES)
        return (vectors if head is None else torch.tanh(head(vectors))).numpy()

    _kept(method, folder, write, read)


def to_onnx(method: TextMethod, folder: Path) -> None:
    """A folder with ``model.onnx``, from ``input_ids`` and ``attention_mask`` (N, T) int64 to ``embedding`` (N, D), of
    any N and T.

    A pretrained tokenizer is saved beside it; of words that are hashed ``words.json`` says how
    (:class:`nearfar.encoders.tokens.HashTokenizer`). Prompts around sentences are not part of it.

    Raises:
        ValueError: a method that needs more than the tokens of a text. FileExistsError: the folder is there and not
            empty. ImportError: onnx is not installed.
    """
    needed("onnx", "onnx", "writing ONNX")
    runtime = needed("onnxruntime", "onnx", "checking what was written")
    tokens = _tokens(method, EXAMPLES)

    def write(place: Path) -> None:
        axes = {name: {0: "texts", 1: "tokens"} for name in Tokens._fields}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _OfTokens(method).eval(),
                tuple(tokens),
                str(place / "model.onnx"),
                input_names=[*axes],
                output_names=["embedding"],
                dynamic_axes={**axes, "embedding": {0: "texts"}},
                dynamo=False,
            )
        words: Any = method.encoder.tokenizer
        inner = getattr(words, "tokenizer", words)
        if hasattr(inner, "save_pretrained"):
            inner.save_pretrained(place)
            method.encoder.model.config.save_pretrained(place)  # type: ignore[union-attr, operator]
        else:
            write_json(place / "words.json", {"words": inner.buckets, "max_length": inner.max_length})

    def read(place: Path) -> np.ndarray:
        session = runtime.InferenceSession(str(place / "model.onnx"), providers=["CPUExecutionProvider"])
        rows = [_tokens(method, [text]) for text in EXAMPLES]  # other shapes than those that were traced
        given = [{name: part.numpy() for name, part in row._asdict().items()} for row in rows]
        return np.concatenate([session.run(None, each)[0] for each in given])

    _kept(method, folder, write, read)


class _OfTokens(nn.Module):
    """A method's ``encode`` of tokens."""

    def __init__(self, method: TextMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.method.encode(Tokens(input_ids, attention_mask))


def _parts(method: TextMethod) -> tuple[TextEncoder, nn.Linear | None]:
    """The encoder of a method, and the linear layer before a Tanh that it keeps."""
    encoder, kept = method.encoder, method.kept()
    if type(encoder) is not TextEncoder or not isinstance(encoder.tokenizer, PretrainedTokenizer):
        raise ValueError(
            "sentence-transformers reads words by a pretrained tokenizer and without prompts or domains; train with "
            "--encoder hf:<model>, or write ONNX"
        )
    if encoder.pooling not in POOLINGS:
        raise ValueError(f"sentence-transformers has no pooling {encoder.pooling}; write ONNX")
    if kept is encoder:
        return encoder, None
    head = dict(kept.named_children()).get("head")
    if isinstance(head, nn.Sequential) and [type(part) for part in head] == [nn.Linear, nn.Tanh]:
        return encoder, head[0]  # type: ignore[return-value]
    raise ValueError(f"a {type(method).__name__} keeps more than an encoder and a Linear with Tanh; write ONNX")


def _tokens(method: TextMethod, texts: list[str]) -> Tokens:
    if not isinstance(method, TextMethod):
        raise ValueError(f"a {type(method).__name__} embeds no single sentences")
    return method.encoder.tokenize(texts)  # type: ignore[operator]


def _kept(method: TextMethod, folder: Path, write: Callable[[Path], None], read: Callable[[Path], np.ndarray]) -> None:
    """Write into a new folder, read it back, and give it its name when it says what the method says."""
    with method.frozen():
        try:
            kept(folder, lambda: method.encode(_tokens(method, EXAMPLES)).numpy(), write, read)
        except (RuntimeError, AttributeError, TypeError, KeyError, ValueError) as error:
            raise ValueError(f"a {type(method).__name__} cannot be written so: {error}") from error
