"""Sentences without their padding: vectors, gradients, dropout, and what is left to the ordinary path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nearfar.common.joint_dropout import JointDropout
from nearfar.common.share import Share
from nearfar.encoders import TextEncoder, hashed_bert, text
from nearfar.encoders.dropping import drop_, keys_of
from nearfar.encoders.experts import add_experts
from nearfar.encoders.packed import attention, known, layout
from nearfar.encoders.prefix import add_prefixes
from nearfar.encoders.tokens import HashTokenizer
from nearfar.training.gradient_cache import in_chunks, overridden

TEXTS = [" ".join(f"w{i * j % 97}" for j in range(length)) for i, length in enumerate([9, 1, 4, 4, 17, 30, 2, 9, 0, 4])]


def roberta() -> TextEncoder:
    from transformers import RobertaConfig, RobertaModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = RobertaConfig(vocab_size=500, max_position_embeddings=40, pad_token_id=0, **sizes)
    return TextEncoder(RobertaModel(config), HashTokenizer(500))


def bert() -> TextEncoder:
    return hashed_bert(2, 32, words=500)


def both_ways(encoder: TextEncoder, work: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    assert known(encoder.model)
    yield work()
    with monkeypatch.context() as patch:
        patch.setattr(text, "known", lambda model: False)
        yield work()


@pytest.mark.parametrize("pooling", ["cls", "avg", "avg_first_last", "last_token"])
@pytest.mark.parametrize("make", [bert, roberta])
def test_vectors_and_gradients_are_those_of_the_padded_form(
    make: Any, pooling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    encoder = make().train()
    encoder.pooling = pooling
    text.set_dropout(encoder.model, 0.0)
    weights = torch.randn(len(TEXTS), 32)

    def work() -> tuple[Tensor, Tensor]:
        encoder.zero_grad()
        vectors = encoder(TEXTS)
        (vectors * weights).sum().backward()
        return vectors.detach(), torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])

    (ours, moved), (plain, expected) = both_ways(encoder, work, monkeypatch)
    assert (ours - plain).abs().max() / plain.abs().max() < 6e-7
    assert len(moved) == len(expected)
    assert (moved - expected).norm() / expected.norm() < 6e-7


def test_states_stand_where_their_tokens_do(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = bert().eval()
    (ours, mask), (plain, _) = both_ways(encoder, lambda: encoder.states(TEXTS), monkeypatch)
    assert ours.shape == plain.shape
    torch.testing.assert_close(ours[mask.bool()], plain[mask.bool()], rtol=1e-5, atol=2e-6)
    assert not ours[~mask.bool()].any()


def test_what_was_put_into_a_model_takes_the_ordinary_path() -> None:
    assert known(bert().model)
    adapted, hooked, routed, wrapped, decoder, twice = (bert().model for _ in range(6))
    add_prefixes(adapted, 2, 0.1)
    add_experts(routed, 2)
    model: Any = hooked
    model.encoder.layer[0].register_forward_hook(lambda *_: None)
    model = wrapped
    model.encoder.layer[1].output.dense = nn.Sequential(model.encoder.layer[1].output.dense)
    decoder.config.is_decoder = True  # type: ignore[union-attr]
    twice.gradient_checkpointing_enable()  # type: ignore[operator]
    with overridden([(bare := bert().model, ("forward",))], lambda forward: forward):  # as compilation does
        assert not known(bare)
    assert not any(known(model) for model in (adapted, hooked, routed, wrapped, decoder, twice, nn.Linear(2, 2)))


def test_outputs_that_were_asked_for_once_do_not_end_the_fast_path() -> None:
    encoder = bert().eval()
    encoder.entered(encoder.tokenize(TEXTS))
    assert known(encoder.model)


def test_rows_that_begin_with_padding_take_the_ordinary_path() -> None:
    assert layout(torch.tensor([[1, 1, 0], [0, 1, 1]]), 4) is None
    found = layout(torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 1]]), 4)
    assert found is not None
    assert found.groups == [(0, 1, 1), (1, 2, 3)]
    assert found.places.tolist() == [3, 0, 1, 2, 6, 7, 8]


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [1, 7, 64])
def test_entries_are_dropped_with_their_probability_and_the_others_scaled(kind: torch.dtype, width: int) -> None:
    count = 40_000 // width
    keys = keys_of(5, torch.arange(count), torch.zeros(count, dtype=torch.long))
    found = drop_(torch.ones(count, width, dtype=kind), keys, 3, 0.25)
    assert set(found.unique().tolist()) == {0.0, float(torch.tensor(4 / 3, dtype=kind))}
    rate = (found == 0).float()
    assert abs(rate.mean() - 0.25) < 5 * (0.25 * 0.75 / rate.numel()) ** 0.5
    assert (rate.mean(0) - 0.25).abs().max() < 5 * (0.25 * 0.75 / count) ** 0.5


def test_masks_of_places_layers_and_passes_do_not_go_together() -> None:
    def mask(key: int, place: int, site: int) -> np.ndarray:
        count = torch.arange(200)
        keys = keys_of(key, count, torch.full_like(count, place))
        return (drop_(torch.ones(200, 128), keys, site, 0.5) == 0).numpy().ravel()

    masks = [mask(1, 0, 0), mask(2, 0, 0), mask(1, 1, 0), mask(1, 0, 1), np.roll(mask(1, 0, 0), 128)]
    apart = np.corrcoef(masks) - np.eye(len(masks))
    assert np.abs(apart).max() < 5 / 160  # 25,600 entries


def test_attention_with_dropout_has_the_gradient_of_the_masks_that_were_drawn() -> None:
    torch.manual_seed(0)
    found = layout(torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]]), 2)
    assert found is not None
    qkv = torch.randn(11, 24, requires_grad=True)
    keys = keys_of(9, found.order, torch.zeros(3, dtype=torch.long))
    ours = attention(qkv, found, 2, (keys, 0.3), 4)
    parts, row = [], 0
    for sentence, length in enumerate([3, 4, 4]):
        q, k, v = qkv[row : row + length].view(length, 3, 2, 4).permute(1, 2, 0, 3)
        kept = drop_(torch.ones(1, 2 * length * length), keys[sentence : sentence + 1], 4, 0.3).view(2, length, length)
        parts.append((((q @ k.mT / 2).softmax(-1) * kept) @ v).transpose(0, 1).reshape(length, 8))
        row += length
    plain = torch.cat(parts)
    torch.testing.assert_close(ours, plain)
    weights = torch.randn(11, 8)
    for one, other in zip(*(torch.autograd.grad((x * weights).sum(), qkv) for x in (ours, plain)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def vectors(encoder: TextEncoder, texts: list[str]) -> Tensor:
    torch.manual_seed(3)
    return encoder(texts)


def test_an_example_drops_the_same_beside_any_others() -> None:
    torch.manual_seed(0)
    encoder = bert().train()
    whole = vectors(encoder, TEXTS * 2)
    assert not torch.allclose(whole[: len(TEXTS)], whole[len(TEXTS) :], atol=1e-3)
    assert torch.equal(whole, vectors(encoder, TEXTS * 2))
    torch.testing.assert_close(vectors(encoder, TEXTS[:4]), whole[:4])


def test_processes_drop_as_one_does() -> None:
    torch.manual_seed(0)
    encoder = bert().train()
    whole = vectors(encoder, TEXTS * 2).unflatten(0, (2, 10))
    for rank in range(2):
        mine = TEXTS[rank * 5 : rank * 5 + 5]
        with JointDropout(Share(rank, 2, 5)):
            found = vectors(encoder, mine * 2).unflatten(0, (2, 5))
        torch.testing.assert_close(found, whole[:, rank * 5 : rank * 5 + 5])


def test_chunks_are_computed_again_with_the_masks_that_they_had() -> None:
    torch.manual_seed(0)
    encoder = bert().train()
    holder = nn.Module()
    holder.encoder = encoder
    weights = torch.randn(len(TEXTS), 32)
    with in_chunks(holder, 4):
        torch.manual_seed(3)
        (encoder(TEXTS) * weights).sum().backward()
    got = [p.grad for p in encoder.parameters()]
    encoder.zero_grad()
    torch.manual_seed(3)
    kept = torch.cat([encoder(TEXTS[start : start + 4]) for start in (0, 4, 8)])
    (kept * weights).sum().backward()
    for one, parameter in zip(got, encoder.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-4, atol=1e-5)


def test_half_precision_stays_near() -> None:
    torch.manual_seed(0)
    encoder = bert().eval()
    plain = encoder(TEXTS)
    with torch.autocast("cpu", torch.bfloat16):
        half = encoder(TEXTS)
    assert torch.cosine_similarity(half.float(), plain).min() > 0.9995


def test_many_sentences_pass_in_parts_and_come_back_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = bert().eval()
    with torch.no_grad():
        whole = encoder(TEXTS)
        monkeypatch.setattr(text, "TOGETHER", 12)
        parts = encoder(TEXTS)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=2e-6)
