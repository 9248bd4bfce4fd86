"""Decoders that look inside of a model, and those with a learned part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar import workflow
from nearfar.decoding.data import Prompts, scenes
from nearfar.decoding.engine import Look, Place, Streams
from nearfar.decoding.engine.hooks import dispersed, edited, importance, last_states, projected
from nearfar.decoding.method import Decoder, Writing
from nearfar.decoding.methods import ACD, DCD, HICD, ActLCD, SpARE
from nearfar.decoding.methods.actlcd import layer_state
from nearfar.decoding.methods.hicd import random_heads
from nearfar.decoding.pictures import pixels, small_llava
from nearfar.encoders.causal import word_tokenizer
from nearfar.losses import contrast_logits, dola, steer
from nearfar.training import Training, fit
from tests.decoding.small import WORDS, branch, gpt2, llama, louder, rows
from tests.parity import parity

FEW = Writing(max_new_tokens=4, batch_size=4)
TEXTS = [" ".join(WORDS[i] for i in ids) for ids in ((1, 4, 7, 2), (9, 3), (5, 5, 6), (8,))]


def prompts(**rest) -> Prompts:
    return Prompts(TEXTS, answers=["w1 w2", "w3", "w9", "w4"], others=["w5", "w6 w1", "w2", ""], **rest)


def small_lava():
    torch.manual_seed(0)
    return louder(small_llava(word_tokenizer(scenes.WORDS), size=scenes.SIZE, patch=scenes.PATCH, width=32))


def pictures() -> Prompts:
    asked = scenes.captions(8, 0, train=True)
    return Prompts(asked.prompts, answers=asked.answers, others=asked.others, images=asked.images)


# Heads --------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("groups", [2, 4])
def test_a_dispersed_head_looks_everywhere_alike_in_its_rows_alone(groups: int) -> None:
    lm = llama(1, groups=groups)
    lm.model.config._attn_implementation = "eager"
    ids = torch.tensor(rows(0, (6, 6)))
    with dispersed(Place(lm.model, slice(1, 2), 5), [(1, 2)]):
        found = lm.model(ids, output_attentions=True)
    plain = lm.model(ids, output_attentions=True)
    uniform = torch.tril(torch.ones(6, 6)) / torch.arange(1, 7)[:, None]
    torch.testing.assert_close(found.attentions[1][1, 2], uniform)
    torch.testing.assert_close(found.attentions[1][1, [0, 1, 3]], plain.attentions[1][1, [0, 1, 3]])
    torch.testing.assert_close(found.logits[0], plain.logits[0])
    assert not torch.allclose(found.logits[1], plain.logits[1])
    torch.testing.assert_close(lm.model(ids).logits, plain.logits)  # the hooks are gone


@pytest.mark.parametrize("case", parity("hicd", "dispersed_attention"))
def test_released_dispersion_is_a_zeroed_query(case) -> None:
    x = {name: value.detach() for name, value in case.load().items()}
    q = x["in_q"] * x["in_head_mask"][None, :, None, None]
    found = F.scaled_dot_product_attention(q, x["in_k"], x["in_v"], is_causal=True)
    torch.testing.assert_close(found.transpose(1, 2).flatten(2), x["out_out"], rtol=1e-9, atol=1e-9)


def test_importance_is_what_silencing_a_head_costs_to_first_order() -> None:
    lm = llama(1)
    words, mask = torch.tensor([[7, 8]]), torch.ones(1, 2, dtype=torch.long)
    shown = branch(lm, rows(0, (5,)))
    found = importance(shown, words, mask)
    assert found.shape == (3, 4)
    assert (found >= 0).all()
    lm.model.requires_grad_(False)
    torch.testing.assert_close(importance(shown, words, mask), found)
    with pytest.raises(ValueError, match="q_proj and o_proj"):
        importance(branch(gpt2(), rows(0, (5,))), words, mask)


def test_hicd_chooses_heads_and_contrasts_with_itself() -> None:
    lm, data = llama(1), prompts()
    hicd = HICD(lm, count=3, items=3, writing=FEW)
    with pytest.raises(ValueError, match="no heads yet"):
        hicd.branches(data.batch(np.arange(2)))
    hicd.prepare(data)
    assert len(set(hicd.heads)) == 3
    batch = data.batch(np.arange(4))
    looks = Streams(hicd.branches(batch)).start()
    a, b = (look.logits.log_softmax(-1) for look in looks)
    torch.testing.assert_close(hicd.combine(looks), contrast_logits(a, b, weight=1.1))
    assert not torch.allclose(a, b)
    together = hicd.write(batch)
    assert together == [hicd.write(data.batch(np.array([row])))[0] for row in range(4)]
    rated = hicd.logp(batch, ["w1 w2"] * 4)
    streams = Streams(hicd.branches(batch))
    total = torch.zeros(4)
    scores = hicd.combine(streams.start())
    for word in lm.tokenizer("w1 w2")["input_ids"]:
        total += scores.log_softmax(-1)[:, word]
        scores = hicd.combine(streams.step(torch.full((4,), word)))
    torch.testing.assert_close(rated, total, rtol=1e-4, atol=2e-3)
    assert len(random_heads(hicd.heads, 3, 4, 0)) == 3
    with pytest.raises(ValueError, match="give columns answer and other, or heads"):
        HICD(lm, count=3).choose(Prompts(TEXTS))


# States -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_states_are_edited_once_at_the_prompts_last_token() -> None:
    lm = llama(1)
    ids = rows(0, (6, 4))
    shown = branch(lm, ids)
    states = last_states(shown, 1)
    for row, each in enumerate(ids):
        whole = lm.model(torch.tensor([each]), output_hidden_states=True).hidden_states[2][0, -1]
        torch.testing.assert_close(states[row], whole, rtol=1e-4, atol=1e-4)
    plain = lm.model(shown.ids, attention_mask=shown.mask).logits
    with edited(Place(lm.model, slice(0, 1), 5), 2, lambda x: x + 1):
        found = lm.model(shown.ids, attention_mask=shown.mask).logits
    last = last_states(shown, 2)[:1] + 1
    torch.testing.assert_close(found[:1, -1], lm.model.lm_head(lm.model.model.norm(last)))
    torch.testing.assert_close(found[:1, :-1], plain[:1, :-1])
    torch.testing.assert_close(found[1], plain[1])
    with edited(Place(lm.model, slice(0, 2), None), 2, lambda x: x + 1):
        torch.testing.assert_close(lm.model(shown.ids, attention_mask=shown.mask).logits, plain)


def conflicts() -> Prompts:
    """Prompts of a model that answers from memory after odd words and from the context after even ones."""
    return Prompts(
        [f"w{i}" for i in range(24)],
        contexts=["w30"] * 24,
        answers=["w1"] * 24,
        others=["w2"] * 24,
    )


def test_spare_finds_features_of_both_behaviours_and_steers(monkeypatch) -> None:
    data = conflicts()
    torch.manual_seed(0)
    method = SpARE(llama(2), latents=64, k=8, writing=FEW, proportion=0.95)

    def plainly(batch):
        told = bool(batch.contexts[0])
        return ["w1" if told and int(p[1:]) % 2 else "w2" for p in batch.prompts]

    monkeypatch.setattr(method, "plainly", plainly)
    first = torch.stack([method.states(b) for b in method.batches(data)]).flatten(0, 1)
    before = float(method.loss(first).detach())
    fit(method, data, Training(steps=60, batch_size=24, monitor_every=-1), progress=False)
    e = method.encoder
    assert float(method.loss(method._states).detach()) < 0.5 * before
    torch.testing.assert_close(e.decoder.norm(dim=1), torch.ones(64))
    assert e.for_context.any()
    assert e.for_memory.any()
    assert not (e.for_context * e.for_memory).any()
    batch = data.batch(np.arange(4))
    for use, (up, down) in {"context": ("for_context", "for_memory"), "memory": ("for_memory", "for_context")}.items():
        method.use = use
        add, remove = (getattr(e, name).nonzero().squeeze(1) for name in (up, down))
        levels = {"for_context": e.context_level, "for_memory": e.memory_level}
        wanted = steer(first, e.latents, add=add, add_to=levels[up], remove=remove, remove_to=levels[down], degree=2.0)
        torch.testing.assert_close(method.edit(first), wanted)
        plain, steered = (Streams(m.branches(batch)).start()[0].logits for m in (Decoder(method.lm), method))
        assert not torch.allclose(plain, steered)
        one = [method.write(data.batch(np.array([row])))[0] for row in range(4)]
        assert method.write(batch) == one
    monkeypatch.setattr(method, "plainly", lambda batch: ["w2"] * len(batch.prompts))
    with pytest.raises(ValueError, match="0 were answered from the context and 24 from memory"):
        method.find(data)
    with pytest.raises(ValueError, match="layer must be from 0 to 2"):
        SpARE(llama(2), layer=3)
    with pytest.raises(ValueError, match="give columns context and other"):
        fit(SpARE(llama(2), latents=8, k=2), Prompts(TEXTS), Training(steps=1), progress=False)


# Policies -----------------------------------------------------------------------------------------------------


def test_a_state_is_the_best_words_of_every_layer() -> None:
    final, early = torch.randn(2, 11), torch.randn(3, 2, 11)
    state = layer_state(final, early)
    assert state.shape == (2, 40)
    p = early[1, 1].softmax(-1)
    assert state[1, 10::2][:5].tolist() == p.topk(5).indices.tolist()
    torch.testing.assert_close(state[1, 11::2][:5], p.topk(5).values)
    torch.testing.assert_close(layer_state(final, early, "probs"), state[:, 1::2])


def test_actlcd_labels_rewards_and_acts_by_its_rules() -> None:
    torch.manual_seed(0)
    lm, data = llama(4, layers=4), prompts()
    method = ActLCD(lm, only=(1, 2), features="probs", hidden=(16,), writing=FEW, copy_every=3)
    batch = data.batch(np.arange(4))
    steps = method.traced(batch)
    lengths = [3, 2, 2, 2]  # with the end of text
    assert len(steps.states) == sum(lengths)
    ends = np.cumsum(lengths) - 1
    assert steps.ends.nonzero().squeeze(1).tolist() == ends.tolist()
    for first, last in zip([0, *(ends[:-1] + 1)], ends, strict=True):
        labels = steps.actions[first : last + 1]
        assert float(steps.rewards[last]) == pytest.approx(float(labels.sum() + 1.4 * (1 - labels).sum()))
        assert not steps.rewards[first:last].any()
        torch.testing.assert_close(steps.following[first:last], steps.states[first + 1 : last + 1])
    before = [p.clone() for p in method.encoder.behaviour.parameters()]
    fit(method, data, Training(steps=12, batch_size=4, monitor_every=-1), progress=False)
    assert any(not torch.equal(a, b) for a, b in zip(before, method.encoder.behaviour.parameters(), strict=True))
    copies = zip(method.encoder.values.parameters(), method.encoder.target.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in copies)  # step 12 is a multiple of 3
    final, early = torch.randn(5, 40), torch.randn(2, 5, 40)
    scores = method.combine([Look(final, early)])
    acts = method.encoder.act(layer_state(final, early, "probs"), "q")
    contrast, _ = dola(final, early)
    for row in range(5):
        wanted = contrast[row] if acts[row] else final[row].log_softmax(-1)
        torch.testing.assert_close(scores[row], wanted)
    assert set(method.shares(data)) == {"contrasts", "should"}
    assert method.write(batch) == [method.write(data.batch(np.array([row])))[0] for row in range(4)]


# Prompts and projectors ---------------------------------------------------------------------------------------


def test_soft_prompts_stand_before_each_prompt_and_learn_opposites() -> None:
    torch.manual_seed(0)
    lm, data = llama(1), prompts()
    method = ACD(lm, length=3, safe_text="w1 w2", writing=FEW)
    table = lm.model.get_input_embeddings().weight
    torch.testing.assert_close(method.encoder.safe, table[lm.tokenizer("w1 w2 w1")["input_ids"]])
    batch = data.batch(np.arange(4))
    words = lm.tokenizer("w1 w2 w1")["input_ids"]
    looks = Streams(method.branches(batch)).start()
    for row, text in enumerate(TEXTS):
        ids = torch.tensor([words + lm.tokenizer(text)["input_ids"]])
        torch.testing.assert_close(looks[0].logits[row], lm.model(ids).logits[0, -1], rtol=1e-4, atol=2e-4)
    frozen = [p.clone() for p in lm.model.parameters()]
    before = {name: float(value) for name, value in method.loss(batch).items()}
    method.optimization = type(method.optimization)("adamw", lr=0.05, weight_decay=0.0)
    fit(method, data, Training(steps=25, batch_size=4, monitor_every=-1), progress=False)
    after = {name: float(value) for name, value in method.loss(batch).items()}
    assert all(after[name] < before[name] for name in ("safe", "adverse"))
    assert all(torch.equal(a, b) for a, b in zip(frozen, lm.model.parameters(), strict=True))
    # The two losses have no weight in common.
    one = torch.autograd.grad(method.loss(batch)["safe"], method.encoder.adverse, allow_unused=True)[0]
    assert one is None
    assert method.write(batch) == [method.write(data.batch(np.array([row])))[0] for row in range(4)]


def test_two_projectors_learn_apart_and_only_they_do() -> None:
    lm, data = small_lava(), pictures()
    method = DCD(lm, writing=FEW)
    batch = data.batch(np.arange(8))
    plain = Streams([Decoder(lm, writing=FEW).whole(batch)]).start()[0].logits
    for look in Streams(method.branches(batch)).start():
        torch.testing.assert_close(look.logits, plain, rtol=1e-4, atol=1e-4)  # both begin as the model's own
    terms = method.loss(batch)
    for mine, other in (("positive", method.encoder.negative), ("negative", method.encoder.positive)):
        grads = torch.autograd.grad(terms[mine], [*other.parameters()], allow_unused=True, retain_graph=True)
        assert all(g is None or not g.any() for g in grads)
    method.optimization = type(method.optimization)("adamw", lr=3e-3, weight_decay=0.0)
    fit(method, data, Training(steps=12, batch_size=8, monitor_every=-1), progress=False)
    after = method.loss(batch)
    assert all(float(after[name]) < float(terms[name]) for name in terms)
    with projected(Place(lm.model, slice(0, 8), 0), method.encoder.negative), torch.no_grad():
        shown = Decoder(lm, writing=FEW).whole(batch)
        swapped = lm.model(input_ids=shown.ids, attention_mask=shown.mask, pixel_values=pixels(lm.model, batch.images))
    looks = Streams(method.branches(batch)).start()
    assert (swapped.logits[:, -1] - looks[0].logits).abs().max() > 1e-3
    only = DCD(lm, variant="negative")
    assert set(only.loss(batch)) == {"negative"}
    with pytest.raises(ValueError, match="DCD needs a multi_modal_projector, which a LlamaForCausalLM has not"):
        DCD(llama())


@pytest.mark.parametrize("slug", ["acd", "actlcd"])
def test_a_run_that_is_opened_again_decodes_as_in_memory(slug: str, tmp_path: Path) -> None:
    lm = llama(3, layers=4)
    lm.model.save_pretrained(tmp_path / "lm")
    lm.tokenizer.save_pretrained(tmp_path / "lm")
    arguments = {"acd": {"length": 2}, "actlcd": {"only": (1, 2), "hidden": (8,)}}[slug]
    data = prompts()
    method, run = workflow.train(
        slug,
        data=data,
        out=tmp_path / "run",
        arguments={"model": str(tmp_path / "lm"), "writing": FEW, **arguments},
        training=Training(steps=3, batch_size=4),
        progress=False,
    )
    _, again, _ = workflow.load_run(run.path)
    assert [*again.generate(data)] == [*method.generate(data)]
