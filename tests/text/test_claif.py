"""CLAIF and CLHAIF: what a model is asked, what is kept of its answers, the loss, and that it learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar.cli import main
from nearfar.encoders import hashed_bert, language_models
from nearfar.encoders.language_models import Answering, LanguageModel
from nearfar.reproductions.arms import build, train
from nearfar.text.data import Sentences, load
from nearfar.text.evaluation import evaluate
from nearfar.text.feedback import Judging, Writing, judged, masked, trimmed, written_pairs
from nearfar.text.methods.claif import CLAIF, soft_targets
from nearfar.text.methods.sentence_bert import Columns
from tests.parity import ParityCase, assert_parity, parity


class Parrot(LanguageModel):
    """Says something new of every sentence, and always the same score."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def answers(self, prompts: Sequence[str], how: Answering = Answering(), *, seed: int = 0) -> list[str]:
        self.asked += prompts
        return [
            "0.5, since they differ" if "Score:" in text else f'"new {len(self.asked)} {row}"\nnext line'
            for row, text in enumerate(prompts)
        ]


def method_of(**changes: object) -> CLAIF:
    torch.manual_seed(0)
    return CLAIF(hashed_bert(1, 8, heads=1, words=40), pooling="avg", **changes).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("case", [c for c in parity("claif") if "no_smooth" not in str(c.id)])
def test_contrast_weighted_by_scores_as_released(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The release gives a row whose score is 0 a share of its own place too under ``all``, which this does not."""
    a, h = case.load(), case.hyper
    smooth = h["smooth"].removeprefix("smooth_")
    scores = a["in_scores"][:, 0].detach()
    method = method_of(objective="clhaif", smooth=smooth, temperature=h["temperature"]).double()
    monkeypatch.setattr(method, "embedded", lambda lists: (a["in_z1"], a["in_z2"], a["in_z3"]))
    value = method.loss(Columns([[], [], []], scores))
    own = torch.nn.functional.cosine_similarity(a["in_z1"].unsqueeze(1), torch.cat([a["in_z2"], a["in_z3"]]), dim=2)
    slip = -(own / h["temperature"]).log_softmax(1).diagonal()[scores == 0].sum() / (2 * len(scores) - 1)
    value = value + (slip / len(scores) if smooth == "all" else 0)
    assert_parity(case, {k: v for k, v in a.items() if k != "grad_scores"}, value)


def test_targets_sum_to_one_or_to_the_score() -> None:
    s = torch.tensor([0.0, 0.3, 1.0])
    torch.testing.assert_close(soft_targets(s, 6, "all").sum(1), torch.ones(3))
    torch.testing.assert_close(soft_targets(s, 6, "positive").sum(1), s)
    torch.testing.assert_close(soft_targets(s, 6, "all").diagonal(), s)


def test_the_loss_of_scored_pairs_is_the_squared_error_of_cosines() -> None:
    method = method_of()
    data = Sentences(["a b", "c"], scored=(["d", "e f"], np.array([0.2, 0.9])))
    with torch.no_grad():
        u, v = method.encoder(data.sentences), method.encoder(["d", "e f"])
        expected = (torch.cosine_similarity(u, v) - torch.tensor([0.2, 0.9])).square().mean()
        torch.testing.assert_close(method.loss(method.views(data.batch(np.arange(2)))), expected)


def test_masks_have_their_share_and_neighbours_may_merge() -> None:
    rng, sentence = np.random.default_rng(0), "a b c d e f g h i j"
    for rate, expected in ((0.0, 0), (0.1, 1), (0.25, 3), (0.8, 8), (1.0, 10)):
        assert masked(sentence, rate, 0.0, rng).split().count("<mask>") == expected
    merged = masked(sentence, 0.8, 1.0, rng)
    assert "<mask> <mask>" not in merged
    assert [word for word in merged.split() if word != "<mask>"] == sorted(set(merged.split()) - {"<mask>"})


def test_every_rate_of_zero_asks_for_a_paraphrase_and_answers_are_one_line() -> None:
    model = Parrot()
    pairs = written_pairs(model, ["a b c d", "e f"], Writing(rates=(0.0, 0.5)), seed=3)
    assert ["means the same" in prompt for prompt in model.asked] == [True, False, True, False]
    assert "<mask>" in model.asked[1]
    assert pairs == [("a b c d", "new 4 0"), ("a b c d", "new 4 1"), ("e f", "new 4 2"), ("e f", "new 4 3")]
    assert judged(model, pairs) == [0.5] * 4
    with pytest.raises(ValueError, match=r"writing.fill must hold \{sentence\} once"):
        Writing(fill="fill it")
    with pytest.raises(ValueError, match=r"writing.rates and writing.merge must be in \[0, 1\], got \(2.0,\)"):
        Writing(rates=(2.0,))


@pytest.mark.parametrize(
    ("answer", "reason_first", "score"),
    [
        ("0.7. 2 words differ", False, 0.7),
        ("they share 3 words, so 0.25", True, 0.25),
        ("they share 3 words, so 0.25", False, None),
        ("alike", False, None),
        ("1..2", False, None),
        ("1", False, 1.0),
    ],
)
def test_a_score_is_the_first_number_or_the_last(answer: str, reason_first: bool, score: float | None) -> None:
    assert Judging(reason_first).said(answer) == score


def test_what_is_kept_of_pairs() -> None:
    pairs = [("a", "b"), ("a", "b"), ("a", "c"), ("a", "d"), ("a", "a"), ("e", "f <mask>"), ("e", "g"), ("e", "h")]
    scores = [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, None]
    first, second, found = trimmed(pairs, scores, seed=1)
    kept = [*zip(first, second, found, strict=True)]
    judged_pairs = [row for row in kept if row[2] > 0]
    assert sum(row[0] == "a" for row in judged_pairs) == 2
    assert ("e", "g", pytest.approx(0.5)) in judged_pairs
    assert [score for a, _, score in judged_pairs if a == "a"] == pytest.approx([0.9, 0.9])
    drawn = [row for row in kept if row[2] == 0]
    assert len(drawn) == 4
    own = {"a": {"b", "c", "d"}, "e": {"g"}}
    assert all(b not in own[a] for a, b, _ in drawn)
    assert trimmed(pairs, scores, seed=1) == (first, second, found)
    with pytest.raises(ValueError, match="of 1 pairs none has a score in"):
        trimmed([("a", "a")], [0.5])


def test_feedback_by_command_is_asked_once_and_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, out, keep = Parrot(), tmp_path / "pairs.csv", tmp_path / "answers.jsonl"
    monkeypatch.setattr(language_models, "language_model", lambda name: model)
    (tmp_path / "sentences.txt").write_text("a b c\nd e f g\n")
    words = ["feedback", str(tmp_path / "sentences.txt"), "--model", "parrot", "-o", str(out), "--keep", str(keep)]
    assert main(words) == 0
    asked = len(model.asked)
    assert main([*words, "--overwrite"]) == 0
    assert len(model.asked) == asked == 36
    found = load(out, scored_pairs=True)
    scores = found.batch(np.arange(len(found))).scores
    assert sorted(set(scores.tolist())) == [0.0, 0.5]
    table = tmp_path / "triplets.csv"
    table.write_text("premise,entailment,contradiction\na,b,c\nd,e,f\n")
    assert main(["feedback", str(table), "--model", "parrot", "-o", str(out), "--overwrite"]) == 0
    batch = load(out, scored_pairs=True).batch(np.array([1]))
    assert (batch.sentences, batch.seconds, batch.negatives, batch.scores.tolist()) == (["d"], ["e"], ["f"], [0.5])
    views = method_of(objective="clhaif").views(batch)
    assert views.sentences == [["d"], ["e"], ["f"]]


def test_scores_are_learned_and_doubted_pairs_weigh_less() -> None:
    pairs = load("grammar-pairs", examples=600)
    torch.manual_seed(0)
    method = build("claif", pairs, 0, encoder=hashed_bert(1, 32, words=1024))
    before = evaluate(method.eval(), pairs)
    train("claif", method.train(), pairs, 0, steps=30, batch_size=32)
    after = evaluate(method, pairs)
    assert after["sts test"] > before["sts test"] + 2
    assert after["effective_rank"] > 3
    doubtful = method_of(objective="clhaif")

    def gradient(score: float) -> Tensor:
        batch = Sentences(["a b", "c"], scored=(["d", "e f"], np.array([score, 1.0]))).batch(np.arange(2))
        doubtful.zero_grad()
        doubtful.loss(doubtful.views(batch)).backward()
        return torch.cat([p.grad.flatten() for p in doubtful.encoder.parameters() if p.grad is not None])

    whole, none, half = gradient(1.0), gradient(0.0), gradient(0.5)
    torch.testing.assert_close(half, (whole + none) / 2, rtol=1e-4, atol=1e-6)


def test_wrong_data_and_settings_are_named() -> None:
    with pytest.raises(ValueError, match="claif learns from pairs with scores, and this data has none"):
        method_of().views(load(["a", "b"]).batch(np.arange(2)))
    wrong = Sentences(["a"], scored=(["b"], np.array([4.0])))
    with pytest.raises(ValueError, match="takes scores from 0 to 1, got 4 to 4; divide them by the largest"):
        method_of().views(wrong.batch(np.arange(1)))
    with pytest.raises(ValueError, match="smooth must be one of positive, all; got 'none'"):
        method_of(smooth="none")
