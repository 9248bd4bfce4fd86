"""Causal language models by name, and their small tokenizers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nearfar.encoders.causal import (
    CausalLM,
    byte_tokenizer,
    causal_model,
    left_padded,
    positions_of,
    token_rows,
    word_tokenizer,
)


def test_bytes_are_given_back_exactly_and_words_one_by_one() -> None:
    bytes_, words = byte_tokenizer(), word_tokenizer(["red", "ring"])
    for text in ("a b", "Zürich\n 東京 🙂", "  two  spaces "):
        ids = bytes_(text)["input_ids"]
        assert len(ids) == len(text.encode())
        assert bytes_.decode(ids) == text
    assert words("red ring blue")["input_ids"] == [3, 4, 2]
    assert words.decode([3, 4]) == "red ring"


def test_a_saved_model_is_read_back_with_its_words(tmp_path: Path) -> None:
    torch.manual_seed(0)
    lm = causal_model("tiny-llama", tokenizer=word_tokenizer("abc"))
    lm.model.save_pretrained(tmp_path)
    lm.tokenizer.save_pretrained(tmp_path)
    again = causal_model(tmp_path)
    ids, mask = left_padded(token_rows(again, ["a b", "c"]), again.tokenizer.pad_token_id)
    assert ids.tolist() == [[3, 4], [0, 5]]
    assert positions_of(mask).tolist() == [[0, 1], [0, 0]]
    with torch.no_grad():
        a = lm.model(ids, attention_mask=mask).logits
        torch.testing.assert_close(again.model(ids, attention_mask=mask).logits, a)
    assert not again.model.training


def test_a_configuration_gives_a_model_of_its_shape_from_the_seed() -> None:
    shape = {"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 16}
    torch.manual_seed(1)
    one = causal_model(shape)
    torch.manual_seed(1)
    two = causal_model(shape)
    assert one.model.config.vocab_size == 259
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True))
    with pytest.raises(ValueError, match="prompt 0 has 20 tokens, and the model reads up to 16; shorten it"):
        token_rows(one, ["x" * 20])
    with pytest.raises(ValueError, match="question 0 has 10 tokens with the 8 that are to follow"):
        token_rows(one, ["x" * 10], what="question", new=8)
    with pytest.raises(ValueError, match="prompt 1 is empty"):
        token_rows(one, ["x", ""])
    with pytest.raises(TypeError, match="prompt 0 must be a string, got int"):
        token_rows(one, [3])  # type: ignore[list-item]


def test_wrong_names_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown language model 'tiny-lama'; did you mean tiny-llama"):
        causal_model("tiny-lama")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        causal_model(str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="needs its tokenizer"):
        causal_model(torch.nn.Linear(1, 1))
    with pytest.raises(ValueError, match="needs model_type"):
        causal_model({"n_embd": 3})
    lm = causal_model("tiny-llama")
    assert causal_model(lm) is lm
    assert isinstance(causal_model(lm.model, tokenizer=lm.tokenizer), CausalLM)


def test_a_folder_cannot_bring_code_or_pickles(tmp_path: Path) -> None:
    lm = causal_model("tiny-llama")
    lm.tokenizer.save_pretrained(tmp_path)
    lm.model.config.save_pretrained(tmp_path)
    torch.save(lm.model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        causal_model(tmp_path)
