"""CoNT: ranks and overlaps as released, candidates that differ, and similarities that come to follow the overlap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import losses
from nearfar.encoders.seq2seq import Seq2SeqLM, diverse_candidates, encoded, seq2seq_model
from nearfar.reproductions.arms import build
from nearfar.text.candidates import Ranking, averaged, chosen_beams
from nearfar.text.data import load
from nearfar.text.data.records import Renderings, faithful
from nearfar.text.field import FIELD
from nearfar.text.methods.cont import Search
from nearfar.text.overlap import bleu, ngram_overlap
from nearfar.training import Data, Training, fit
from tests.losses.registry import draw
from tests.parity import ParityCase, assert_parity, parity


@pytest.fixture(scope="module")
def data() -> Data:
    return load("records", examples=64)


@pytest.fixture(scope="module")
def lm() -> Seq2SeqLM:
    torch.manual_seed(0)
    return seq2seq_model("tiny-t5", words=["a", "b", "c", "d", "e"])


@pytest.mark.parametrize("case", parity("cont", "ranking_loss"))
def test_ranks_as_released(case: ParityCase) -> None:
    a = case.load()
    value = losses.ranked_margin(a["in_sim"], a["in_oracle"], margin=case.hyper["gamma"], tie=case.hyper["tie"])
    assert_parity(case, a, value, rtol=1e-9)


@pytest.mark.parametrize("case", parity("cont", "ngram_overlap"))
def test_overlaps_as_the_release_means_them(case: ParityCase) -> None:
    a = case.load()
    found = ngram_overlap(a["in_ref"], a["in_cand"], case.hyper["pad_id"], n=case.hyper["n"])
    torch.testing.assert_close(found, a["out_score_intended"], rtol=1e-6, atol=1e-6)


def test_ranks_in_any_order_and_without_what_does_not_count() -> None:
    s, o = draw(3, 5).requires_grad_(), draw(3, 5, seed=1).abs()
    o[0, 1] = o[0, 2] + 0.001
    valid = torch.tensor([[True] * 5, [True, False, True, True, False], [True] * 4 + [False]])
    value = losses.ranked_margin(s, o, valid, margin=0.3)
    slow = torch.zeros((), dtype=torch.float64)
    ranked = [sorted((r for r in range(5) if valid[b, r]), key=lambda r: -float(o[b, r])) for b in range(3)]
    for gap in range(1, 5):
        pairs = [(b, r[k], r[k + gap]) for b, r in enumerate(ranked) for k in range(len(r) - gap)]
        terms = [torch.relu(0.3 * gap - s[b, i] + s[b, j]) for b, i, j in pairs if o[b, i] - o[b, j] > 0.01]
        slow = slow + (sum(terms) / len(terms) if terms else 0)
    torch.testing.assert_close(value, slow, rtol=1e-12, atol=1e-12)
    order = torch.tensor([2, 0, 4, 1, 3])
    mixed = losses.ranked_margin(s[:, order], o[:, order], valid[:, order], margin=0.3)
    torch.testing.assert_close(mixed, value, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: losses.ranked_margin(x, o, valid, margin=0.3), (s,))
    with pytest.raises(ValueError, match=r"similarities and oracle are \(B, n\)"):
        losses.ranked_margin(s, o[:2])
    with pytest.raises(ValueError, match="margin must be at least 0, got -1"):
        losses.ranked_margin(s, o, margin=-1.0)


def test_states_are_averaged_without_the_last_token() -> None:
    x, there = draw(2, 4, 3), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    expected = torch.stack([x[0, :2].relu().mean(0), x[1, :3].relu().mean(0)])
    torch.testing.assert_close(averaged(x, there), expected)


def test_the_beam_is_chosen_by_likelihood_and_similarity() -> None:
    logps, similar = torch.tensor([[-1.0, -2.0, -3.0]]), torch.tensor([[0.1, 0.9, 0.2]])
    assert [int(chosen_beams(logps, similar, balance)) for balance in (0.0, 0.5, 1.0)] == [0, 1, 1]


def test_candidates_are_greedy_without_a_penalty_and_differ_with_one(lm: Seq2SeqLM) -> None:
    source = encoded(lm, ["a b c", "d"], 8)
    lm.model.eval()
    alike = diverse_candidates(lm, source, groups=3, penalty=0.0, max_length=6)
    greedy = lm.model.generate(**source._asdict(), num_beams=1, do_sample=False, max_new_tokens=6)
    assert (alike == alike[:, :1]).all()
    width = min(greedy.shape[1], alike.shape[2])
    assert torch.equal(alike[:, 0, :width], greedy[:, :width])
    apart = diverse_candidates(lm, source, groups=3, penalty=100.0, max_length=6)
    assert all(len(set(row.tolist())) == 3 for row in apart[:, :, 1])
    ended = (apart == lm.tokenizer.eos_token_id).cumsum(2).cumsum(2) > 1
    assert (apart[ended] == lm.tokenizer.pad_token_id).all()


def test_texts_end_and_are_cut(lm: Seq2SeqLM) -> None:
    tokens = encoded(lm, ["a b c d", "e"], 4)
    end = lm.tokenizer.eos_token_id
    assert tokens.input_ids.shape == (2, 4)
    assert tokens.input_ids[0, -1] == tokens.input_ids[1, 1] == end
    assert tokens.attention_mask.sum(1).tolist() == [4, 2]
    with pytest.raises(TypeError, match="text 1 is a int"):
        encoded(lm, ["a", 3], 4)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="unknown model 'big-t5'"):
        seq2seq_model("big-t5")
    with pytest.raises(ValueError, match="dropout must be in"):
        seq2seq_model(lm, dropout=1.0)


def test_similarities_come_to_follow_the_overlap(data: Data) -> None:
    how = {"likelihood": 0.0, "contrast_rate": 1.0, "ranking": Ranking(sampled=3, kept=6), "target_length": 12}
    method = build("cont", data, 0, **how)
    views = method.views(data.batch(np.arange(16)))
    with method.frozen():
        before = method.loss(views)
    assert set(before) == {"likelihood", "contrast"}
    assert (views.oracle[:, 0] == 1).all()
    assert (views.oracle[:, 1:] <= 0.99).all()
    fit(method, data, Training(batch_size=16, steps=12, seed=0, monitor_every=-1), progress=False)
    with method.frozen():
        after = method.loss(views)
    assert after["contrast"] < 0.95 * before["contrast"]
    assert after["likelihood"] < before["likelihood"]
    first = build("cont", data, 0, likelihood=1.0)
    assert set(first.loss(first.views(data.batch(np.arange(4))))) == {"likelihood"}


def test_what_is_written_is_compared_and_kept(data: Data, tmp_path: Path) -> None:
    few = data.splits()["test"].sample(6)
    method = build("cont", data, 0, target_length=6, search=Search(beams=2))
    rows = [*method.generate(few)]
    assert rows == [*method.generate(few)]
    assert [row["id"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert {"bleu", "exact", "words"} == set(method.evaluate(few))
    (path,) = FIELD.write(iter(rows), tmp_path / "made.jsonl")
    assert len(path.read_text().splitlines()) == 6
    with pytest.raises(ValueError, match="has no targets to compare with"):
        method.evaluate(load(["name golden palace", "name red mill"]))
    with pytest.raises(ValueError, match="CoNT needs a target for each source"):
        method.views(load(["a", "b"]).batch(np.arange(2)))


def test_bleu() -> None:
    text = "the cat sat on the mat and slept"
    assert bleu([text], [text]) == pytest.approx(100)
    assert bleu(["the cat sat on the mat"], [text]) == pytest.approx(100 * np.exp(1 - 8 / 6))
    found = bleu(["the cat sat on a mat and slept"], [text])
    assert found == pytest.approx(100 * (7 / 8 * 5 / 7 * 3 / 6 * 1 / 5) ** 0.25)
    assert bleu(["a dog"], [text]) == 0.0


def test_records_are_what_their_texts_say(data: Data, tmp_path: Path) -> None:
    assert isinstance(data, Renderings)
    assert all(faithful(s, t) for s, t in zip(data.sentences, data.positives, strict=True))
    source, target = data.sentences[0], data.positives[0]
    name = " ".join(source.split()[1:3])
    assert not faithful(source, target.replace(name, name.split()[0]))
    assert not faithful(source, f"{target} danish polish")
    (tmp_path / "train.csv").write_text("source,target\na b,b a\n,x\n")
    (tmp_path / "test.csv").write_text("source,target\nc,c c\n")
    with pytest.warns(UserWarning, match="1 of 2 sources"):
        found = load(tmp_path, max_bad=0.5)
    assert found.facts == {"words": ["a", "b"]}
    assert found.splits()["test"].positives == ["c c"]


def test_wrong_settings_are_named(data: Data) -> None:
    with pytest.raises(ValueError, match=r"likelihood and balance must be in \[0, 1\], got 2"):
        build("cont", data, 0, likelihood=2)
    with pytest.raises(ValueError, match="at least 2 candidates are kept"):
        build("cont", data, 0, ranking=Ranking(kept=1))
