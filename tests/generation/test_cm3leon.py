"""CM3Leon, its documents, its memory and its decoding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar.generation.data import load
from nearfar.generation.documents import Alphabet, Masking, Memory, Retrieval, looks_of, span
from nearfar.generation.methods.cm3leon import CM3Leon
from nearfar.generation.token_decoding import Decoding
from nearfar.generation.token_net import TokenNet
from nearfar.generation.tokens import PatchTokens, open_tokens
from nearfar.reproductions.arms import train
from nearfar.testing import check_method
from nearfar.training import Optimization

SMALL: dict[str, Any] = {
    "side": 8,
    "tokens": "patches:2",
    "words": 512,
    "retrieval": Retrieval(documents=1, size=60),
    "net": TokenNet(16, 1, 2),
    "optimization": Optimization(lr=2e-2),
}


@pytest.fixture(scope="module")
def digits() -> Any:
    return load("digits").splits()["test"]


@pytest.fixture(scope="module")
def learned(digits: Any) -> CM3Leon:
    torch.manual_seed(0)
    method = train("cm3leon", CM3Leon(**SMALL), digits, 0, steps=60, batch_size=32).eval()
    assert isinstance(method, CM3Leon)
    return method


def test_patches_are_tokens_and_come_back(digits: Any) -> None:
    images = digits.batch(np.arange(3)).images
    tokens = open_tokens("patches:3", 8)
    assert isinstance(tokens, PatchTokens)
    found = tokens.encode(images)
    assert found.shape == (3, 16)
    assert 0 <= int(found.min()) < int(found.max()) < tokens.count == 81
    rounded = open_tokens("grey:3", 8)
    torch.testing.assert_close(tokens.decode(found), rounded.decode(rounded.encode(images)))
    with pytest.raises(ValueError, match="between 2 and 8 levels of grey and an even side to cut, got 3 and 7"):
        open_tokens("patches:3", 7)


def test_spans_move_to_the_end_and_never_cross_the_break() -> None:
    alphabet = Alphabet(4, 64)
    document = alphabet.document([20, 21], [0, 1, 2, 3])
    assert document == [alphabet.begin, 20, 21, alphabet.rest, 0, 1, 2, 3]
    assert alphabet.infilled(document, 5, 7) == [*document[:5], alphabet.mask, 3, alphabet.infill, 1, 2]
    assert span(2, 4, Masking(share=0.0), [0.0] * 5) is None
    assert span(2, 4, Masking(), [0.0] * 5) == (1, 3)
    found = set()
    for u in torch.rand(400, 5, generator=torch.Generator().manual_seed(0)).tolist():
        first, last = span(2, 4, Masking(share=1.0), u) or (0, 0)
        assert 1 <= first < last <= 3 or 4 <= first < last <= 8
        found.add((first, last))
    assert len(found) == 3 + 10
    assert span(0, 4, Masking(share=1.0), [0.0] * 5) == (2, 3)  # no caption, so in the picture


def test_the_memory_finds_what_is_near_and_neither_known_nor_twice(digits: Any) -> None:
    batch = digits.batch(np.arange(30))
    alphabet, tokens = Alphabet(16, 512), open_tokens("patches:2", 8)
    captions = [alphabet.caption(text) for text in batch.captions]
    pictures, looks = tokens.encode(batch.images), looks_of(batch.images)
    memory = Memory(40, 16)
    assert memory.search(captions, 2) == [[]] * 30
    memory.fill(captions, pictures, looks)
    assert memory.document(3, alphabet) == alphabet.document(captions[3], pictures[3].tolist())
    found = memory.search(captions, 2, chance=torch.rand(30, 40))
    assert all(captions[row] == captions[n] for n, rows in enumerate(found) for row in rows[:1])
    bags = F.normalize(torch.stack([torch.bincount(torch.tensor(c) % 256, minlength=256) for c in captions]).float())
    likeness = (bags @ bags.T + looks @ looks.T) / 2
    for n, rows in enumerate(memory.search(captions, 2, looks=looks, pictures=pictures, cap=0.9)):
        allowed = [m for m in likeness[n].argsort(descending=True).tolist() if likeness[n, m] <= 0.9]
        assert rows[0] == allowed[0]
        assert n not in rows
        assert rows[1] == next(m for m in allowed[1:] if likeness[rows[0], m] <= 0.9)


@torch.no_grad()
def test_the_loss_is_that_of_every_next_token(digits: Any) -> None:
    method = CM3Leon(**{**SMALL, "retrieval": Retrieval(documents=2, size=60, weight=0.5)})
    method.begin(digits)
    method.seed_step(0, 0)
    views = method.views(digits.batch(np.arange(12)))
    a = method.alphabet
    assert {1, 2} <= set(views.kind.unique().tolist())
    totals: dict[int, list[float]] = {1: [], 2: []}
    for ids, kind in zip(views.ids, views.kind, strict=True):
        row = ids[ids != a.padding]  # alone, without padding
        assert int(kind[: len(row)][-1]) == 1
        logs = method.encoder(row[None])[0].log_softmax(-1)
        for t in range(1, len(row)):
            assert (int(kind[t]) == 0) == (int(row[t]) in (a.begin, a.mask, a.infill))
            if int(kind[t]):
                totals[int(kind[t])].append(-float(logs[t - 1, row[t]]))
    terms = method.loss(views)
    assert float(terms["document"]) == pytest.approx(np.mean(totals[1]), rel=1e-5)
    assert float(terms["retrieved"]) == pytest.approx(0.5 * np.mean(totals[2]), rel=1e-5)
    spans = (views.ids == a.infill).sum(1)
    assert set(spans.tolist()) == {0, 1}


def test_decoding_is_its_formula() -> None:
    g = torch.Generator().manual_seed(0)
    told, untold = (torch.randn(3, 9, generator=g, dtype=torch.float64) * 2 for _ in range(2))
    p, q = told.softmax(1), untold.softmax(1)
    torch.testing.assert_close(Decoding("sample").chances(told), p)
    torch.testing.assert_close(Decoding("guided", guidance=1.0).chances(told, untold), p)
    torch.testing.assert_close(Decoding("guided").chances(told, untold), (untold + 3 * (told - untold)).softmax(1))
    for rank in (1, 3):
        kth = p.sort(1, descending=True).values[:, rank - 1, None]
        ratio = torch.where(p >= 0.4 * kth, (p / q) ** 2, 0.0)
        found = Decoding("contrast", alpha=0.4, rank=rank, temperature=0.5).chances(told, untold)
        torch.testing.assert_close(found, ratio / ratio.sum(1, keepdim=True))
    assert (Decoding("sample", top_p=1e-6).chances(told) > 1e-6).sum() == 3


def test_it_keeps_the_promises_of_the_house(digits: Any) -> None:
    check_method(CM3Leon, digits, SMALL)


def test_tokens_with_a_cache_are_those_of_whole_rows(digits: Any, learned: CM3Leon) -> None:
    """Greedy, of beginnings of unlike length: each again without cache, padding or company."""
    learned.decoding = Decoding("guided", temperature=1e-4)
    a = learned.alphabet
    rows = [a.document(a.caption("the digit one")), learned._retrieved([0]) + a.document(a.caption("two"))]
    empty = a.document([a.mask])

    class First:
        def choose(self, chances: torch.Tensor) -> torch.Tensor:
            return chances.argmax(1)

    with torch.no_grad():
        found = learned.encoder.continued([*rows, empty, empty], learned.decoding, First())  # type: ignore[arg-type]
        for row, tokens in zip(rows, found.tolist(), strict=True):
            for n, token in enumerate(tokens):
                told, not_told = (learned.encoder(torch.tensor([[*r, *tokens[:n]]]))[0, -1, :16] for r in (row, empty))
                scores = not_told + 3 * (told - not_told)
                assert float(scores[token]) == pytest.approx(float(scores.max()), abs=1e-4)


def test_a_short_training_makes_pictures_that_are_nearer_to_real_ones(digits: Any, learned: CM3Leon) -> None:
    torch.manual_seed(0)
    plain = {**SMALL, "decoding": Decoding("sample")}
    learned.decoding = plain["decoding"]
    before, after = CM3Leon(**plain).eval().evaluate(digits), learned.evaluate(digits)
    name = "frechet random convolutions"
    assert after[name] < 0.5 * before[name]
    assert after.better == {name: "lower", "agreement": "higher"}
    learned.decoding = Decoding("contrast", rank=2)
    few = digits.subset(np.arange(12))
    one, again = ([*learned.generate(few, seed=1, batch_size=size)] for size in (12, 5))
    assert len({each.thing.picture().tobytes() for each in one}) > 6
    assert all(np.array_equal(a.thing.picture(), b.thing.picture()) for a, b in zip(one, again, strict=True))
    other = CM3Leon(**SMALL).eval()
    other.kept().load_state_dict(learned.kept().state_dict())
    other.decoding = learned.decoding
    same = [*other.generate(few, seed=1, batch_size=12)]
    assert all(np.array_equal(a.thing.picture(), b.thing.picture()) for a, b in zip(one, same, strict=True))


def test_bad_settings_are_named() -> None:
    def refused(match: str, **changes: Any) -> None:
        with pytest.raises(ValueError, match=match):
            CM3Leon(**{**SMALL, **changes})

    refused("CM3Leon needs the side of its pictures", side=None)
    refused("net.dropout must be 0, got 0.5", net=TokenNet(16, 1, 2, 0.5))
    refused("there are no tokens 'ink'; accepted are grey:<levels>, patches:<levels>", tokens="ink")
    with pytest.raises(ValueError, match="mode must be sample, guided or contrast, got 'greedy'"):
        Decoding("greedy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rank at least 1"):
        Decoding(rank=0)
    with pytest.raises(ValueError, match=r"share, caption and whole must be in \[0, 1\], got 2"):
        Masking(share=2)
    with pytest.raises(ValueError, match="documents and weight must be at least 0"):
        Retrieval(documents=-1)
