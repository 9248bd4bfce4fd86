"""CompA: the released losses, expressions of sounds, its stages, and learning what comes first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar.audio.captioned import Towers
from nearfar.audio.data import CaptionedSounds
from nearfar.audio.data.generated import compositions
from nearfar.audio.evaluation import composition, evaluate
from nearfar.audio.expressions import FORMS, Choices, mistakes, render, sentence, size, truths
from nearfar.audio.methods.compa import CompA
from nearfar.losses import composition_contrast
from nearfar.reproductions.arms import build, train
from nearfar.testing import check_method
from tests.parity import ParityCase, assert_parity, parity

SMALL: dict[str, Any] = {
    "encoder": "small-recurrent",
    "rate": 8000,
    "seconds": 0.2,
    "towers": Towers("tiny-bert", max_length=16, hidden=32, dim=16),
    "negatives": 2,
    "positives": 1,
}


@pytest.fixture(scope="module")
def data() -> CaptionedSounds:
    return compositions(48, held_out=12)


@pytest.mark.parametrize("case", parity("compa", "stage2", "stage3"))
def test_the_loss_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    sounds, text = arrays["in_audio"], arrays["in_text"]
    n = len(sounds)
    if case.function == "stage2":
        right, wrong = torch.zeros(n, dtype=torch.long), torch.full((n,), case.hyper["hard_negatives"])
    else:
        right, wrong = arrays["in_n_positive"], arrays["in_n_negative"]
    first = torch.cumsum(1 + right + wrong, 0) - (1 + right + wrong)

    def own(begin: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Padded rows of the text, and which of them are there."""
        place = torch.arange(int(count.max()))
        return text[(begin[:, None] + place).clamp(max=len(text) - 1)], place < count[:, None]

    positives, positive_mask = own(first + 1, right)
    negatives, negative_mask = own(first + 1 + right, wrong)
    value = composition_contrast(
        sounds,
        text[first],
        temperature=1 / arrays["in_scale"],
        positives=positives,
        negatives=negatives,
        positive_mask=positive_mask,
        negative_mask=negative_mask,
        normalize=False,
    )
    assert_parity(case, arrays, value, rtol=1e-6)


def test_what_is_anothers_does_not_enter() -> None:
    x, c, p, n = (torch.randn(3, 5, generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in range(4))
    mask = torch.tensor([[True], [False], [False]])
    found = composition_contrast(x, c, temperature=0.3, negatives=n[:, None], negative_mask=mask)
    other = torch.cat([n[:1], n[1:].roll(1, 0) * 3])
    again = composition_contrast(x, c, temperature=0.3, negatives=other[:, None], negative_mask=mask)
    torch.testing.assert_close(found, again)
    assert found > composition_contrast(x, c, temperature=0.3)
    with pytest.raises(ValueError, match=r"negatives must have shape \(N, P, D\) = \(3, P, 5\)"):
        composition_contrast(x, c, temperature=0.3, negatives=p)
    with pytest.raises(TypeError, match="positive_mask must be a boolean tensor"):
        composition_contrast(x, c, temperature=0.3, positives=p[:, None], positive_mask=torch.ones(3, 1))
    with pytest.raises(ValueError, match="negative_mask needs negatives"):
        composition_contrast(x, c, temperature=0.3, negative_mask=mask)


def test_expressions_say_what_is_right_and_wrong() -> None:
    names, first = ["a dog", "rain", "a bell"], lambda n: 0
    tree = ("+", 0, ("*", 1, 2))
    assert sentence(tree, names, first) == "a dog followed by rain and a bell at once"
    assert truths(("*", 1, 2)) == [("*", 2, 1), 1, 2]
    assert truths(tree) == [0, ("*", 1, 2), ("*", 2, 1), 1, 2]
    assert mistakes(("*", 0, 1)) == [("+", 0, 1), ("+", 1, 0)]
    assert mistakes(("+", 0, 1)) == [("*", 0, 1), ("+", 1, 0)]
    for form in FORMS:
        assert not {*truths(form), form} & {*mistakes(form)}
        assert size(form) in (2, 3)


def test_sounds_of_expressions_hold_their_parts_where_they_belong() -> None:
    waves = [torch.full((90,), value) for value in (0.1, -0.2, 0.3)]
    after = render(("+", 0, 1), waves, 60)
    assert after.shape == (60,)
    assert (after[:30] > 0).all()
    assert (after[30:] < 0).all()
    assert after.abs().max() - after.abs().min() < 1e-6  # equally loud
    expected = torch.tensor([0.01, 0.04, 0.09]).mean().sqrt()
    torch.testing.assert_close(render(("+", ("*", 0, 2), 1), waves, 60).square().mean().sqrt(), expected)
    thirds = render(("+", ("+", 0, 1), 2), waves, 60)
    assert thirds.sign().diff().abs().nonzero().flatten().tolist() == [19, 39]
    assert Choices([0.99, 0.0, 0.5]).some("abc", 5) == ["c", "a", "b"]


def test_the_stages_bring_their_sentences(data: CaptionedSounds, monkeypatch: pytest.MonkeyPatch) -> None:
    method = CompA(**SMALL, composed=1.0)
    batch = data.batch(np.arange(12, 24))
    for stage, positives, negatives in (("contrast", 0, 0), ("hard negatives", 0, 2), ("modular", 1, 2)):
        monkeypatch.setattr(CompA, "phase", stage)
        method.generator.manual_seed(0)
        views = method.views(batch)
        assert max(map(len, views.positives)) == positives
        assert max(map(len, views.negatives)) == negatives
        for row, wrong in enumerate(views.negatives):
            assert views.captions[row] not in wrong
            if stage == "hard negatives":
                assert set(wrong) <= set(batch.negatives[row])
        assert torch.isfinite(method.loss(views))
    greedy = CompA(**{**SMALL, "negatives": 90, "positives": 90}, composed=1.0)
    many = greedy.views(batch._replace(negatives=[[f"not {n}" for n in range(90)] for _ in batch.negatives]))
    assert max(map(len, many.negatives)) == 4
    kept = CompA(**SMALL, composed=0.0).views(batch)
    assert not any(kept.positives)
    assert all(caption in of for caption, of in zip(kept.captions, batch.captions, strict=True))
    assert [phase.name for phase in CompA(**SMALL, stages=(1.0, 0.0, 0.0)).phases] == ["contrast"]


def test_embedded_pairs_hold_the_same_events_in_either_order(data: CaptionedSounds) -> None:
    test = data.splits()["test"]
    assert isinstance(test, CaptionedSounds)
    assert test.pairs is not None
    seen = {frozenset(caption[0].split(" ", 1)[1].split(" followed by a ")) for caption in data.captions}
    for a, b in test.pairs:
        first, second = (test.captions[row][0].removeprefix("a ").split(" followed by a ") for row in (a, b))
        assert first == second[::-1]
        assert frozenset(first) not in seen
        assert test.captions[b][0] in test.negatives[a]


def test_it_learns_what_comes_first(data: CaptionedSounds) -> None:
    method = build("compa", data, 0, seconds=0.8, stages=(0.3, 0.5, 0.2))
    before = evaluate(method.eval(), data.splits()["single"])
    train("compa", method.train(), data, 0, steps=16, batch_size=24)
    after = evaluate(method, data.splits()["single"])
    assert after["mAP text to sound"] > 1.2 * before["mAP text to sound"]
    assert set(composition(method, data.splits()["test"])) == {"text", "audio", "group"}  # type: ignore[arg-type]
    assert after["effective_rank"] > 2


def test_the_promises_of_the_house(data: CaptionedSounds) -> None:
    check_method(CompA, data.subset(np.arange(8, 24)), SMALL)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"stages": (0.5, 0.2, 0.2)}, "stages are three shares of the run that sum to 1"),
        ({"negatives": 0}, "negatives must be at least 1"),
        ({"composed": 2.0}, r"composed is a share of the sounds, in \[0, 1\]; got 2"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        CompA(**{**SMALL, **wrong})
