"""Folders of sentence-transformers, and ONNX of texts, opened again: sentences in, vectors out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nearfar.encoders.text import text_encoder
from nearfar.encoders.tokens import HashTokenizer, PretrainedTokenizer
from nearfar.exporting.graphs import PREPROCESSING
from nearfar.exporting.opening import OnnxSession, Opened, said_in
from nearfar.text.export import POOLINGS

__all__ = ["opened"]


def opened(folder: Path, config: Mapping[str, Any]) -> Opened | None:
    """What sentence-transformers wrote, or ``nearfar export --to onnx`` of a text system; ``None`` for other folders.

    Args:
        config: what the folder's ``config.json`` says, which these are not told by.

    Raises:
        ValueError: it is damaged, or has modules that are not known here.
    """
    if (folder / "modules.json").is_file():
        return _sentence_transformers(folder)
    if (folder / "model.onnx").is_file() and not (folder / PREPROCESSING).is_file():
        session = OnnxSession(folder / "model.onnx")
        if session.inputs[:2] == ("input_ids", "attention_mask"):
            return Opened(_Sentences(session, _words(folder)), said_in(folder, "words.json"), ("sentences",))
    return None


class _Sentences(nn.Module):
    """Sentences through words and a graph of tokens."""

    def __init__(self, session: OnnxSession, words: Any) -> None:
        super().__init__()
        self.session, self.words = session, words

    def forward(self, sentences: Sequence[str]) -> Tensor:
        return self.session(*self.words([*sentences]))


def _words(folder: Path) -> HashTokenizer | PretrainedTokenizer:
    said = said_in(folder, "words.json")
    if said:
        return HashTokenizer(int(said["words"]), int(said["max_length"]))
    most = said_in(folder, "tokenizer_config.json").get("model_max_length", 512)
    return PretrainedTokenizer(str(folder), min(int(most), 512))


def _sentence_transformers(folder: Path) -> Opened:
    limit = said_in(folder, "sentence_bert_config.json").get("max_seq_length") or 512
    modes = said_in(folder, "1_Pooling/config.json")
    chosen = [ours for ours, theirs in POOLINGS.items() if modes.get(f"pooling_mode_{theirs}")]
    if len(chosen) != 1:
        raise ValueError(f"{folder} pools in a way that is not known here; SentenceTransformer(folder) opens it")
    parts: list[nn.Module] = [text_encoder(f"hf:{folder}", pooling=chosen[0], max_length=int(limit))]  # type: ignore[arg-type]
    if (folder / "2_Dense").is_dir():
        shape = said_in(folder, "2_Dense/config.json")
        if not str(shape.get("activation_function", "")).endswith("Tanh"):
            raise ValueError(f"the layer 2_Dense of {folder} has no Tanh; SentenceTransformer(folder) opens it")
        linear = nn.Linear(int(shape["in_features"]), int(shape["out_features"]), bias=bool(shape.get("bias", True)))
        path = folder / "2_Dense" / "model.safetensors"
        try:
            weights = {name.removeprefix("linear."): value for name, value in load_file(str(path)).items()}
            linear.load_state_dict(weights)
        except (FileNotFoundError, SafetensorError, RuntimeError) as error:
            raise ValueError(f"{path} does not hold the weights of its layer: {error}") from error
        parts += [linear, nn.Tanh()]
    return Opened(nn.Sequential(*parts).eval(), modes, ("sentences",))
