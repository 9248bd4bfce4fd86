"""Exports: sentence-transformers and onnxruntime give what the run gives, and what cannot be written is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.cli import main
from nearfar.encoders import hashed_bert, text_encoder
from nearfar.encoders.tokens import HashTokenizer
from nearfar.text.export import to_onnx, to_sentence_transformers
from nearfar.text.methods.moe_embeddings import MoEEmbeddings
from nearfar.text.methods.promcse import PromCSE
from nearfar.text.methods.simcse import SimCSE

TEXTS = ["the dog ran", "a", "the cat sat on a mat by the dog and the cat ran and ran and ran"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"hf:{bert(tmp_path_factory.mktemp('bert'))}"


def bert(folder: Path) -> Path:
    """A folder as of the hub: a small BERT with word pieces."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "dog", "cat", "ran", "sat", "on", "a", "mat", "##s"]
    BertTokenizerFast(vocab={word: row for row, word in enumerate(words)}).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=16, **shape)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("pooling", "keep_head"), [("avg", False), ("cls", True), ("last_token", False)])
def test_sentence_transformers_opens_it_with_the_same_vectors(
    pooling: str, keep_head: bool, model: str, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    method = SimCSE(model, pooling=pooling, keep_head=keep_head, max_length=12).eval()  # type: ignore[arg-type]
    to_sentence_transformers(method, tmp_path / "out")
    opened = SentenceTransformer(str(tmp_path / "out"), device="cpu")
    with torch.no_grad():
        expected = method.encode(TEXTS).numpy()
    np.testing.assert_allclose(opened.encode(TEXTS), expected, rtol=1e-4, atol=1e-5)
    assert not [path for path in tmp_path.iterdir() if path.name != "out"]
    with pytest.raises(FileExistsError, match="exists and is not an empty folder"):
        to_sentence_transformers(method, tmp_path / "out")


def test_a_trained_run_is_exported_by_command_in_both_forms(model: str, tmp_path: Path) -> None:
    import onnxruntime
    from sentence_transformers import SentenceTransformer
    from transformers import AutoTokenizer

    (tmp_path / "texts.txt").write_text("".join(f"{text} {more}\n" for text in TEXTS for more in ("mat", "cat", "dog")))
    run = str(tmp_path / "run")
    words = ["train", "simcse", "--preset", "laptop", "--data", str(tmp_path / "texts.txt"), "--max_length", "12"]
    assert main([*words, "--encoder", model, "--steps", "2", "--batch_size", "4", "--out", run]) == 0
    _, method, _ = workflow.load_run(run)
    with torch.no_grad():
        expected = method.encode(TEXTS).numpy()  # type: ignore[union-attr]
    assert main(["export", run, "-o", str(tmp_path / "st")]) == 0
    found = SentenceTransformer(str(tmp_path / "st"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert main(["export", run, "-o", str(tmp_path / "onnx"), "--onnx"]) == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"), providers=["CPUExecutionProvider"])
    read = AutoTokenizer.from_pretrained(tmp_path / "onnx")
    tokens = read(TEXTS, padding=True, truncation=True, max_length=12, return_tensors="np")
    given = {name: tokens[name].astype(np.int64) for name in ("input_ids", "attention_mask")}
    np.testing.assert_allclose(session.run(None, given)[0], expected, rtol=1e-3, atol=1e-5)
    assert main(["export", run, "-o", str(tmp_path / "onnx"), "--onnx"]) == 2


def test_hashed_words_go_to_onnx_and_not_to_sentence_transformers(tmp_path: Path) -> None:
    import onnxruntime

    torch.manual_seed(0)
    method = SimCSE(hashed_bert(1, 16, heads=2, words=60, pooling="last_token"), keep_head=True).eval()
    with pytest.raises(ValueError, match="reads words by a pretrained tokenizer and without prompts or domains"):
        to_sentence_transformers(method, tmp_path / "no")
    to_onnx(method, tmp_path / "out")
    described = json.loads((tmp_path / "out" / "words.json").read_text())
    tokens = HashTokenizer(described["words"], described["max_length"])(TEXTS)
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"), providers=["CPUExecutionProvider"])
    found = session.run(None, {name: part.numpy() for name, part in tokens._asdict().items()})[0]
    with torch.no_grad():
        np.testing.assert_allclose(found, method.encode(TEXTS).numpy(), rtol=1e-3, atol=1e-5)


def test_what_would_be_another_model_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a PromCSE cannot be written so"):
        to_sentence_transformers(PromCSE(text_encoder(model, max_length=12), prefix=2).eval(), tmp_path / "out")
    with pytest.raises(ValueError, match="has no pooling avg_first_last; write ONNX"):
        to_sentence_transformers(SimCSE(model, pooling="avg_first_last").eval(), tmp_path / "out")
    routed = MoEEmbeddings(hashed_bert(1, 16, heads=2, words=60), domains=["x"]).eval()
    with pytest.raises(ValueError, match="a MoEEmbeddings cannot be written so"):
        to_onnx(routed, tmp_path / "out")
    assert not [*tmp_path.iterdir()]
