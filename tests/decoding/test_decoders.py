"""Decoders that need no training: what they show, what they choose, how people use them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.cli import main
from nearfar.decoding.data import Prompts, load
from nearfar.decoding.data.facts import facts, questions
from nearfar.decoding.engine import Look, Streams
from nearfar.decoding.engine.beams import contrastive_beams
from nearfar.decoding.method import Decoder, Writing
from nearfar.decoding.methods import CAD, AdaCAD, ContrastiveDecoding, DoLa
from nearfar.encoders.causal import causal_model, word_tokenizer
from nearfar.encoders.taught import Made, made_model
from nearfar.losses import adacad_weight, contrast_logits, contrastive_beam_step, contrastive_decoding
from tests.decoding.small import WORDS, branch, llama, rows, slow

FEW = Writing(max_new_tokens=6, batch_size=3)
PROMPTS = [" ".join(WORDS[i] for i in ids) for ids in ((1, 4, 7, 2), (9, 3), (5, 5, 6))]
CONTEXTS = ["w8 w9", "w2 w20 w21", "w30"]


def slow_words(decoder, shown: list[tuple], steps: int = 6) -> list[int]:
    new: list[int] = []
    for _ in range(steps):
        scores = decoder.combine([Look(slow(lm, ids, new)[None]) for lm, ids in shown])
        new.append(int(scores.argmax()))
        if new[-1] == 1:
            return new[:-1]
    return new


@pytest.mark.parametrize("cls", [CAD, AdaCAD])
def test_context_aware_decoding_shows_the_prompt_with_and_without_its_context(cls) -> None:
    lm = llama(1)
    decoder = cls(lm, writing=FEW)
    data = Prompts(PROMPTS, contexts=CONTEXTS)
    written = decoder.write(data.batch(np.arange(3)))
    ids = lambda text: lm.tokenizer(text)["input_ids"]  # noqa: E731
    for row, (prompt, context) in enumerate(zip(PROMPTS, CONTEXTS, strict=True)):
        assert written[row] == slow_words(decoder, [(lm, ids(f"{context} {prompt}")), (lm, ids(prompt))])


@pytest.mark.parametrize("form", ["text", "reasoning"])
def test_the_amateur_reads_what_its_form_says(form: str) -> None:
    lm, amateur = llama(1), llama(2, layers=1, width=16)
    decoder = ContrastiveDecoding(lm, amateur, form=form, writing=FEW)  # type: ignore[arg-type]
    written = decoder.write(Prompts(PROMPTS).batch(np.arange(3)))
    for row, prompt in enumerate(PROMPTS):
        ids = lm.tokenizer(prompt)["input_ids"]
        read = ids[-1:] if form == "text" else ids
        assert written[row] == slow_words(decoder, [(lm, ids), (amateur, read)])
    assert (decoder.weight, decoder.alpha) == ((1.0, 0.1) if form == "text" else (0.5, 0.1))


def test_every_decoder_rates_an_answer_as_it_would_write_it() -> None:
    lm, amateur = llama(1), llama(2)
    data = Prompts(PROMPTS, contexts=CONTEXTS, answers=["w3 w4 w5", "w1", "w9 w9"])
    batch = data.batch(np.arange(3))
    for decoder in (Decoder(lm), CAD(lm), AdaCAD(lm, floor=0.1), ContrastiveDecoding(lm, amateur, alpha=0.0)):
        found = decoder.logp(batch, batch.answers)
        for row in range(3):
            alone = data.subset(np.array([row])).batch(np.array([0]))
            total, new = 0.0, []
            for word in lm.tokenizer(batch.answers[row])["input_ids"]:
                shown = decoder.branches(alone)
                from nearfar.decoding.engine import Look

                looks = [
                    Look(
                        torch.stack(
                            [slow(lm if b.model is lm.model else amateur, b.ids[0][b.mask[0] > 0].tolist(), new)]
                        )
                    )
                    for b in shown
                ]
                total += float(decoder.combine(looks).log_softmax(-1)[0, word])
                new.append(word)
            assert float(found[row]) == pytest.approx(total, abs=2e-3)


def test_choices_are_rated_and_the_best_is_taken() -> None:
    lm = llama(1)
    choices = [["w3", "w4 w5", "w6"]] * 3
    data = Prompts(PROMPTS, contexts=CONTEXTS, choices=choices, answers=["w3", "w6", "w4 w5"])
    decoder = CAD(lm)
    found = decoder.score(data.batch(np.arange(3)))
    for row in range(3):
        one = data.subset(np.array([row])).batch(np.array([0]))
        rated = [float(decoder.logp(one, [text])) for text in choices[0]]
        assert found["choice"][row] == int(np.argmax(rated))
        assert found["score"][row] == pytest.approx(max(rated), abs=1e-3)
    scores = workflow.measure(find("cad"), decoder, data)
    assert 0 <= scores["accuracy"] <= 1
    with pytest.raises(ValueError, match="prompt 0 has neither choices nor an answer"):
        decoder.score(Prompts(PROMPTS, contexts=CONTEXTS).batch(np.arange(3)))


def test_weights_and_masks_do_what_their_formulas_say() -> None:
    lm, amateur = llama(1), llama(2)
    batch = Prompts(PROMPTS, contexts=CONTEXTS).batch(np.arange(3))
    looks = Streams(CAD(lm).branches(batch)).start()
    a, b = (look.logits for look in looks)
    torch.testing.assert_close(CAD(lm, weight=0.5).combine(looks), contrast_logits(a, b, weight=0.5))
    wanted = contrast_logits(a, b, weight=adacad_weight(a, b, floor=0.3))
    torch.testing.assert_close(AdaCAD(lm, floor=0.3).combine(looks), wanted)
    masked = CAD(lm, alpha=1.0).combine(looks)
    assert torch.isfinite(masked).sum(-1).tolist() == [1, 1, 1]
    beams = CAD(lm, alpha=1.0, writing=Writing(beams=2)).combine(looks)
    assert torch.isfinite(beams).sum(-1).tolist() == [2, 2, 2]
    text = ContrastiveDecoding(lm, amateur)
    torch.testing.assert_close(text.combine(looks), contrastive_decoding(a, b))


def test_contrastive_beams_are_the_released_steps() -> None:
    expert, amateur = llama(1), llama(2)
    ids = rows(3, (5,))[0]
    shown = [branch(expert, [ids]), branch(amateur, [ids[-1:]])]
    found = contrastive_beams(shown, beams=3, new=4, end=None)
    running, written = torch.tensor([0.0, -1e9, -1e9]), [[], [], []]
    for step in range(4):
        e, a = (
            torch.stack([slow(lm, start, new) for new in written]) for lm, start in ((expert, ids), (amateur, ids[-1:]))
        )
        scores, tokens, beams = contrastive_beam_step(e, a, running, first=step == 0)
        running = scores[:3]
        written = [[*written[b], t] for b, t in zip(beams[:3].tolist(), tokens[:3].tolist(), strict=True)]
    assert found == written[int(running.argmax())]
    end = found[1]
    stopped = contrastive_beams(shown, beams=3, new=4, end=end)
    assert end not in stopped
    decoder = ContrastiveDecoding(expert, amateur, writing=Writing(max_new_tokens=4, beams=3))
    assert all(len(row) <= 4 for row in decoder.write(Prompts(PROMPTS).batch(np.arange(3))))


def test_generate_of_transformers_takes_a_decoder() -> None:
    lm = llama(1)
    decoder = CAD(lm, writing=FEW)
    settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    loop = lm.model.generate(**decoder.inputs(PROMPTS, CONTEXTS), **settings)
    processor = lm.model.generate(**decoder.inputs(PROMPTS, CONTEXTS, processor=True), **settings)
    assert torch.equal(loop, processor)
    lm.model.generate(**decoder.inputs(PROMPTS, CONTEXTS, processor=True), **settings, num_beams=2)
    with pytest.raises(ValueError, match="CAD contrasts a prompt with and without its context, and these prompts have"):
        decoder.inputs(PROMPTS)
    with pytest.raises(TypeError, match="as a list of strings"):
        decoder.inputs("w1")


def test_drawn_words_follow_the_seed() -> None:
    decoder = CAD(llama(1), writing=Writing(max_new_tokens=5, sample=True, temperature=3.0))
    data = Prompts(PROMPTS, contexts=CONTEXTS)
    one, same, other = ([row["text"] for row in decoder.generate(data, seed=seed)] for seed in (0, 0, 1))
    assert one == same != other


def test_what_cannot_be_done_is_said_in_one_sentence() -> None:
    lm = llama(1)
    with pytest.raises(ValueError, match="name a language model: --model FOLDER"):
        CAD()
    stranger = causal_model("tiny-llama", tokenizer=word_tokenizer(reversed(WORDS)))
    with pytest.raises(ValueError, match=r"must share one tokenizer: 'w.*' is .* to the expert and .* to the amateur"):
        ContrastiveDecoding(lm, stranger)
    with pytest.raises(ValueError, match="70 tokens with the 32 that are to follow, and the model reads up"):
        Decoder(lm).write(Prompts(["w1 " * 70]).batch(np.array([0])))
    with pytest.raises(ValueError, match=r"writing\.top_p must be in"):
        Writing(top_p=0.0)
    with pytest.raises(ValueError, match="give beams or sample"):
        Writing(sample=True, beams=2)
    with pytest.raises(ValueError, match="there is no made model 'made:nothing'"):
        Decoder("made:nothing")


# Data ---------------------------------------------------------------------------------------------------------


def test_questions_of_training_and_test_have_no_conflict_in_common() -> None:
    world = facts(0)
    asked = {train: questions(world, 3000, 1, train=train) for train in (True, False)}
    pairs = {
        train: {(p, a) for p, a, k in zip(q.prompts, q.answers, q.kinds, strict=True) if k == "conflict"}
        for train, q in asked.items()
    }
    assert pairs[True]
    assert not pairs[True] & pairs[False]
    for prompt, context, answer, other, kind in zip(*asked[False], strict=True):
        key = int(prompt.split()[1][1:])
        known = "a{} b{}".format(*world.values[key])
        assert answer != other
        assert (answer if kind != "conflict" else other) == known
        assert (answer in context) == (kind in ("agree", "conflict")) or kind == "other"


def test_prompts_come_from_tables_and_lines_with_what_is_wrong_in_them(tmp_path: Path) -> None:
    table = tmp_path / "p.jsonl"
    lines = [{"prompt": "w1", "context": "w2", "answer": "w3", "id": 7, "choices": ["a", "b"]}] * 30
    table.write_text("\n".join(map(json.dumps, lines)) + '\n{"prompt": ""}\n{"prompt": "x", "choices": ["a"]}\n')
    with pytest.warns(UserWarning, match="2 of 32 prompts"):
        found = load(table)
    assert isinstance(found, Prompts)
    assert len(found) == 30
    assert (found.contexts[0], found.choices[0], found.ids[0]) == ("w2", ["a", "b"], "7")
    (tmp_path / "lines.txt").write_text("one\n\ntwo\n")
    assert load(tmp_path / "lines.txt").prompts == ["one", "two"]
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no column prompt: its columns are a, b"):
        load(tmp_path / "odd.csv")
    with pytest.raises(FileNotFoundError, match="embedded are facts"):
        load("nothing")
    with pytest.raises(ValueError, match="there is no prompt"):
        load([])


def test_a_made_model_is_taught_once_and_read_back(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path))
    taught: list[int] = []

    def build(seed: int):
        taught.append(seed)
        return llama(seed)

    made = Made("toy", build)
    one, two = made_model(made, 3), made_model(made, 3)
    assert taught == [3]
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True))
    (folder,) = tmp_path.iterdir()
    (folder / "model.safetensors").write_bytes(b"damaged")
    made_model(made, 3)
    assert taught == [3, 3]
    monkeypatch.setenv("NEARFAR_CACHE", "")
    made_model(made, 4)
    assert taught == [3, 3, 4]


# Commands -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("lm")
    lm = llama(1)
    lm.model.save_pretrained(place)
    lm.tokenizer.save_pretrained(place)
    return place


def test_generate_evaluate_score_and_compare_from_the_command_line(folder: Path, tmp_path: Path, capsys) -> None:
    prompts, answers = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    rows_ = [{"prompt": p, "context": c, "answer": "w1", "kind": "x"} for p, c in zip(PROMPTS, CONTEXTS, strict=True)]
    prompts.write_text("\n".join(map(json.dumps, rows_)))
    words = ["--model", str(folder), "--writing.max_new_tokens", "4"]
    given = ["generate", "--decoding", "cad", *words, "--prompts", str(prompts), "-o", str(answers)]
    assert main(given) == 0
    found = [json.loads(line) for line in answers.read_text().splitlines()]
    assert [row["prompt"] for row in found] == PROMPTS
    assert all(set(row) == {"id", "prompt", "context", "text", "tokens"} for row in found)
    assert main(given) == 2
    assert main(["evaluate", "cad", *words, "--data", str(prompts), "--json"]) == 0
    capsys.readouterr()
    assert main(["score", "adacad", str(prompts), *words, "-o", str(tmp_path / "s.csv")]) == 0
    assert (tmp_path / "s.csv").read_text().startswith("id,score,choice\n")
    capsys.readouterr()
    table = ["decodings", "greedy", "cad", "adacad", *words, "--prompts", str(prompts), "--json"]
    assert main(table) == 0
    compared = json.loads(capsys.readouterr().out)
    assert [*compared] == ["greedy", "cad", "adacad"]
    assert compared["greedy"]["agreement"] == 1.0
    assert all(row["tokens per second"] > 0 for row in compared.values())
    for wrong, sentence in (
        (["--nothing", "3"], "has a setting 'nothing'"),
        (["w"], "neither greedy"),
        (["simclr"], "simclr is no decoder"),
    ):
        place = 1 if not wrong[0].startswith("--") else len(table)
        assert main([*table[:place], *wrong, *table[place:]]) == 2
        assert sentence in capsys.readouterr().err


# Layers -------------------------------------------------------------------------------------------------------


def test_dola_writes_and_rates_by_its_formula() -> None:
    lm = llama(4, layers=4)
    decoder = DoLa(lm, only=(1, 2), alpha=0.1, writing=FEW)
    data = Prompts(PROMPTS, answers=["w1 w2", "w3", "w9 w9"])
    batch = data.batch(np.arange(3))
    written, rated = decoder.write(batch), decoder.logp(batch, batch.answers)
    for row, prompt in enumerate(PROMPTS):
        ids, new = lm.tokenizer(prompt)["input_ids"], []
        for _ in range(6):
            new.append(int(slow_dola(lm, ids + new)[0].argmax()))
        assert written[row] == (new[: new.index(1)] if 1 in new else new)
        total, new = 0.0, []
        for word in lm.tokenizer(batch.answers[row])["input_ids"]:
            masked, plain = slow_dola(lm, ids + new)
            total += float(plain.log_softmax(-1)[word]) if masked[word] > -torch.inf else -1000.0
            new.append(word)
        assert float(rated[row]) == pytest.approx(total, abs=2e-3)


@torch.no_grad()
def slow_dola(lm, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The released rule for one text, written out: with the constraint, and without."""
    output = lm.model(torch.tensor([ids]), output_hidden_states=True)
    final = output.logits[0, -1].float()
    candidates = [lm.model.lm_head(output.hidden_states[layer][0, -1]) for layer in (1, 2)]
    q = final.softmax(-1)
    far = []
    for each in candidates:
        p = each.softmax(-1)
        m = (p + q) / 2
        far.append(float((m * ((m / p).log() + (m / q).log())).mean()) / 2)
    best = candidates[int(np.argmax(far))]
    found = final.log_softmax(-1) - best.log_softmax(-1)
    return found.masked_fill(q < 0.1 * q.max(), -torch.inf), found


def test_dola_says_what_it_cannot_do() -> None:
    lm = llama(4, layers=4)
    with pytest.raises(ValueError, match="DoLa writes without beam search"):
        DoLa(lm, writing=Writing(beams=2)).write(Prompts(PROMPTS).batch(np.arange(3)))
    with pytest.raises(ValueError, match="which a logits processor cannot"):
        DoLa(lm).inputs(PROMPTS, processor=True)
    assert DoLa(lm, apply_final_norm=True).norm is lm.model.model.norm
    assert torch.isfinite(DoLa(lm, apply_final_norm=True, divergence="jsd").logp(*rated(lm))).all()


def rated(lm):
    data = Prompts(PROMPTS, answers=["w1", "w2", "w3"])
    return data.batch(np.arange(3)), data.answers
