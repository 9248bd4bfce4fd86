"""Ranked sentences: the released loss and targets, lists in tables, guided rewriting, and that it learns."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import losses
from nearfar.cli import main
from nearfar.encoders import causal_model, hashed_bert
from nearfar.encoders.causal import word_tokenizer
from nearfar.encoders.language_models import Answering, LocalModel
from nearfar.reproductions.arms import build, train
from nearfar.text import chains as rewriting
from nearfar.text.chains import Rewriting, guided, written_chains
from nearfar.text.data import grammar, load
from nearfar.text.data.chains import Chains, stuck
from nearfar.text.evaluation import evaluate
from nearfar.text.methods.ranked_sentences import RankedSentences, ranking_targets
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("ranked-sentences", "list_mle"))
def test_the_order_of_a_list_as_released(case: ParityCase) -> None:
    a = case.load()
    target = a["in_target"].detach()
    value = losses.list_mle(a["in_student"], target, target != -1, order=a["in_perm"])
    assert_parity(case, {k: v for k, v in a.items() if k != "grad_target"}, value, rtol=1e-9)


@pytest.mark.parametrize("case", parity("ranked-sentences", "targets"))
def test_corrected_targets_as_released_and_as_written(case: ParityCase) -> None:
    a, omega = case.load(), case.hyper["omega"]
    for released, name in ((True, "released"), (False, "paper")):
        found = ranking_targets(a["in_A"].detach(), omega, released_sign=released)
        torch.testing.assert_close(found, a[f"out_Y_{name}"], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("case", parity("ranked-sentences", "full_loss"))
def test_the_whole_loss_as_released(case: ParityCase) -> None:
    a, h = case.load(), case.hyper
    z = torch.nn.functional.normalize(a["in_z"], dim=1)
    omega = next(value for name, value in h.items() if name in ("omega", "distill_weight"))
    tau = next(value for name, value in h.items() if name in ("tau", "temperature"))
    target = ranking_targets(a["in_A"].detach(), omega, released_sign=True)
    value = losses.list_mle(z @ z.t() / tau, target, order=a["in_perm"])
    assert_parity(case, {k: v for k, v in a.items() if k != "grad_A"}, value, rtol=1e-8)


def test_a_list_in_order_needs_no_correction_and_losses_name_what_is_wrong() -> None:
    falling = -(torch.arange(5.0)[:, None] - torch.arange(5.0)).abs()
    torch.testing.assert_close(ranking_targets(falling, 2.0), falling)
    s = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([[3.0, 1, 2], [1, 2, 3]])
    assert torch.autograd.gradcheck(lambda x: losses.list_mle(x, t.double()), (s,))
    best = losses.list_mle(40 * t, t)
    assert best < losses.list_mle(-40 * t, t)
    with pytest.raises(ValueError, match="order must be a permutation of 3 columns"):
        losses.list_mle(s, t.double(), order=torch.tensor([0, 0, 1]))
    with pytest.raises(ValueError, match="valid leaves a row without an entry"):
        losses.list_mle(s, t.double(), torch.tensor([[True] * 3, [False] * 3]))
    with pytest.raises(ValueError, match=r"scores and targets are \(N, n\)"):
        losses.list_mle(s, t[:, :2].double())


def test_lists_come_from_tables_and_circles_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "lists.csv"
    rows = [("a", 0), ("b", 1), ("c", 2), ("x", 0), ("y", 1), ("y", 2), ("y", 3), ("d", 0), ("e", 1)]
    path.write_text("sent,round\n" + "".join(f"{s},{r}\n" for s, r in rows))
    with pytest.warns(UserWarning, match="1 of 3 lists .*it ends in a sentence that it holds 3 times"):
        found = load(path, max_bad=0.5)
    assert isinstance(found, Chains)
    assert found.chains == [["a", "b", "c"], ["d", "e"]]
    assert found.batch(np.array([1, 0])).rewrites == [["e"], ["b", "c"]]
    path.write_text("sent,round\na,1\n")
    with (
        pytest.raises(ValueError, match="no list begins there: its round is not 0"),
        pytest.warns(UserWarning, match="1 of 1 lists"),
    ):
        load(path, max_bad=1.0)
    assert stuck(["a", "b", "b", "b", "c"])
    assert not stuck(["a", "a", "a", "b", "c"])
    with pytest.raises(ValueError, match="list 0 has 1 sentences; it needs a sentence and a rewrite"):
        Chains([["a"]])


def test_generated_lists_drift_slot_by_slot() -> None:
    chains = grammar.chains(40, seed=3)
    assert all(len(chain) == 9 for chain in chains)
    words = [[set(text.split()) for text in chain] for chain in chains]
    shared = np.array([[len(chain[0] & later) / len(chain[0] | later) for later in chain[1:]] for chain in words])
    assert shared[:, 0].mean() > shared[:, -1].mean() + 0.1
    assert chains == grammar.chains(40, seed=3)


@pytest.fixture(scope="module")
def model() -> LocalModel:
    torch.manual_seed(0)
    return LocalModel(causal_model("tiny-llama", tokenizer=word_tokenizer("abcdefghijklmnop")), batch_size=2)


def test_guidance_is_the_formula_and_one_is_the_models_own_answer(model: LocalModel) -> None:
    now, before = torch.randn(2, 7), torch.randn(2, 7)
    torch.testing.assert_close(guided(now, before, 1.0), now.log_softmax(1))
    torch.testing.assert_close(guided(now, before, 0.0), before.log_softmax(1))
    p, q = now.log_softmax(1), before.log_softmax(1)
    torch.testing.assert_close(guided(now, before, 1.5), q + 1.5 * (p - q))
    prompts, others = ["a b c", "d"], ["e f", "g h i j"]
    greedy = Answering(temperature=0, most=5)
    for scale, asked in ((1.0, prompts), (0.0, others)):
        found = rewriting._answers(model.lm, prompts, others, Rewriting(1, scale, 5))
        assert found == model.answers(asked, greedy)


def test_guided_words_are_those_of_a_slow_loop_without_a_cache(model: LocalModel) -> None:
    lm, words = model.lm
    found = rewriting._answers(model.lm, ["a b c", "d"], ["e f", "g h i j"], Rewriting(1, 3.0, 4))
    for answer, now, before in zip(found, ("a b c", "d"), ("e f", "g h i j"), strict=True):
        said: list[int] = []
        for _ in range(4):
            with torch.no_grad():
                p, q = (
                    lm(torch.tensor([words(text)["input_ids"] + said])).logits[0, -1].log_softmax(-1)
                    for text in (now, before)
                )
            said.append(int((q + 3.0 * (p - q)).argmax()))
            if said[-1] == words.eos_token_id:
                break
        assert answer == words.decode(said, skip_special_tokens=True)


def test_each_rewrite_is_asked_by_the_two_sentences_before(monkeypatch: pytest.MonkeyPatch, model: LocalModel) -> None:
    seen = []

    def answers(lm: object, now: list[str], before: list[str], how: Rewriting) -> list[str]:
        seen.append((now, before))
        return [f"`{text}x`" if "k" not in text else "two\nlines" for text in now]

    monkeypatch.setattr(rewriting, "_answers", answers)
    found = written_chains(model, ["a", "k", "b"], Rewriting(3, prompt="{sentence}"))
    assert found == [["a", "ax", "axx", "axxx"], ["b", "bx", "bxx", "bxxx"]]
    assert seen[:3] == [
        (["a", "k"], ["a", "k"]),
        (["ax", "two\nlines"], ["a", "k"]),
        (["axx", "two\nlinesx"], ["ax", "two\nlines"]),
    ]
    with pytest.raises(ValueError, match=r"rewriting.prompt must hold \{sentence\} once"):
        Rewriting(prompt="again")
    with pytest.raises(ValueError, match=r"rewriting.scale at least 0; got 32, 100 and -1"):
        Rewriting(scale=-1.0)


def test_lists_are_written_by_command(tmp_path: Path, model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = tmp_path / "model", tmp_path / "lists.csv"
    model.lm.model.save_pretrained(folder)
    model.lm.tokenizer.save_pretrained(folder)
    (tmp_path / "sentences.txt").write_text("a b\nc d\n")
    told = itertools.count()
    monkeypatch.setattr(rewriting, "_answers", lambda lm, now, before, how: [f"no {next(told)}" for _ in now])
    words = ["rewrite", str(tmp_path / "sentences.txt"), "--model", str(folder), "-o", str(out), "--count", "2"]
    assert main(words) == 0
    assert load(out).chains == [["a b", "no 0", "no 2"], ["c d", "no 1", "no 3"]]
    assert main(words) == 2
    assert main([*words[:3], "http://localhost/v1#m", *words[4:], "--overwrite"]) == 2


def test_the_order_of_lists_is_learned() -> None:
    lists = Chains(grammar.chains(150, seed=1), splits={"lists": Chains(grammar.chains(60, seed=2))})
    torch.manual_seed(0)
    encoder, teacher = hashed_bert(1, 64, words=2048), hashed_bert(1, 64, words=2048)
    method = build("ranked-sentences", lists, 0, encoder=encoder, teacher=teacher, omega=5.0)
    before = evaluate(method.eval(), lists)
    frozen = [p.clone() for p in teacher.parameters()]
    train("ranked-sentences", method, lists, 0, steps=25, batch_size=4)
    after = evaluate(method, lists)
    assert after["order lists"] > before["order lists"] + 0.03
    assert after["effective_rank"] > 3
    assert all(torch.equal(a, b) for a, b in zip(frozen, teacher.parameters(), strict=True))


def test_wrong_settings_and_data_are_named() -> None:
    with pytest.raises(ValueError, match=r"omega must be at least 0 and teacher_temperature above 0, got -1.0"):
        RankedSentences("tiny-bert", omega=-1.0)
    method = RankedSentences(hashed_bert(1, 8, heads=1, words=40))
    with pytest.raises(ValueError, match="learns from lists of rewrites, and this data has none"):
        method.views(load(["a", "b"]).batch(np.arange(2)))
