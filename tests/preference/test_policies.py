"""Language models that learn from comparisons: what they read, what they keep, what people do with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.cli import main
from nearfar.encoders.causal import CausalLM, causal_model, word_tokenizer
from nearfar.preference.data import Pairs, Rated, load, rated_replies, reply_pairs
from nearfar.preference.data.world import made, reply_world
from nearfar.preference.method import opened
from nearfar.preference.methods.dpo import DPO
from nearfar.preference.methods.ipo import IPO
from nearfar.preference.methods.nca import NCA
from nearfar.preference.policy import WASTE, Lora, Policy, _groups
from nearfar.training import Optimization, Training, fit

QUICK = Optimization("adamw", lr=1e-3, schedule="linear")
WORDS = tuple(f"w{i}" for i in range(30))
ASKS = "{% if add_generation_prompt %}assistant {% endif %}"
TEMPLATE = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}" + ASKS


def small(kind: str = "llama", seed: int = 0) -> CausalLM:
    torch.manual_seed(seed)
    shape = (
        {"model_type": "llama", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "num_key_value_heads": 2, "intermediate_size": 24, "max_position_embeddings": 24}
        if kind == "llama" else
        {"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 24}
        if kind == "gpt2" else
        {"model_type": "cohere", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
         "num_key_value_heads": 2, "intermediate_size": 24, "max_position_embeddings": 24, "logit_scale": 0.3}
    )  # fmt: skip
    lm = causal_model(shape, tokenizer=word_tokenizer(("user", "assistant", *WORDS)))
    with torch.no_grad():
        for p in lm.model.parameters():
            if p.ndim == 2:
                p.mul_(5.0)
    return lm


PROMPTS = ["w1 w2", "w3", "w4 w5 w6 w7 w8", "w9"]
CHOSEN = [" w1", " w2 w3 w4 w5 w6", " w7 w7", " w1 w2"]
REJECTED = [" w9 w9 w9", " w8", " w1 w2 w3 w4", " w5"]


def few() -> Pairs:
    return Pairs(PROMPTS, CHOSEN, REJECTED)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "cohere"])
def test_log_probabilities_are_those_of_each_sequence_alone(kind: str) -> None:
    lm = small(kind)
    policy = Policy(lm)
    assert policy.plain is (kind != "cohere")  # which scales its logits
    said = [s for p, *r in zip(PROMPTS, CHOSEN, REJECTED, strict=True) for s in policy.sequences(p, r)]
    found = policy.logps(said)
    slow = []
    for s in said:
        assert s.reply[-1] == lm.tokenizer.eos_token_id
        logits = lm.model(torch.tensor([[*s.prompt, *s.reply]])).logits[0].log_softmax(-1)
        places = range(len(s.prompt) - 1, len(s.prompt) + len(s.reply) - 1)
        slow.append(sum(logits[place, token] for place, token in zip(places, s.reply, strict=True)))
    torch.testing.assert_close(found, torch.stack(slow), rtol=1e-4, atol=1e-4)
    weights = [p for p in lm.model.parameters() if p.ndim == 2]
    scale = torch.linspace(-1, 1, len(said))
    own = torch.autograd.grad((found * scale).sum(), weights)
    wanted = torch.autograd.grad((torch.stack(slow) * scale).sum(), weights)
    torch.testing.assert_close(own, wanted, rtol=1e-3, atol=1e-3)


def test_groups_hold_every_sequence_once_and_little_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 200, 64).tolist()
    groups = _groups(lengths)
    assert sorted(row for group in groups for row in group) == [*range(64)]
    for group in groups:
        held = sum(lengths[row] for row in group)
        assert max(lengths[row] for row in group) * len(group) <= (1 + WASTE) * held


def test_the_first_step_starts_at_the_log_of_two_and_the_gradient_is_dpos() -> None:
    method = DPO(small(), beta=0.3)
    views = method.views(few().batch(np.arange(4)))
    loss = method.loss(views)
    assert loss.item() == pytest.approx(np.log(2), abs=1e-6)
    logps = method.rated(views)
    weight = method.policy.model.get_input_embeddings().weight
    (own,) = torch.autograd.grad(loss, weight)
    (wanted,) = torch.autograd.grad(-0.3 * 0.5 * (logps[:, 0] - logps[:, 1]).mean(), weight)
    torch.testing.assert_close(own, wanted)


def test_an_adapter_moves_alone_and_the_model_below_is_the_reference(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    world = reply_world()
    data = reply_pairs(world, 200, 0)
    settings = {"lora": Lora(rank=4), "beta": 1.0, "optimization": Optimization("adamw", lr=1e-2)}
    training = Training(steps=12, batch_size=32, precision="32")
    method, _ = workflow.train(
        "dpo", data="replies", out=tmp_path / "run", arguments=settings, training=training, progress=False,
        data_options={"examples": 200},
    )  # fmt: skip
    assert method.reference is None
    base = made(world.model)
    batch = data.batch(np.arange(6))
    judged = method.judged(batch)
    torch.testing.assert_close(judged.reference.flatten(), Policy(base).logps(judged.replies).detach())
    stored = load_file(tmp_path / "run" / "kept.safetensors")
    assert stored
    assert all("lora_" in name for name in stored)
    _, again, _ = workflow.load_run(tmp_path / "run")
    torch.testing.assert_close(again.score(batch)["score"], method.score(batch)["score"], rtol=0, atol=0)
    assert method.score(batch)["score"].abs().max() > 1e-3
    assert main(["export-policy", str(tmp_path / "run"), "-o", str(tmp_path / "folder")]) == 0
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "folder")
    ids = torch.tensor([judged.replies[0].prompt + judged.replies[0].reply])
    torch.testing.assert_close(loaded(ids).logits, method.policy.model(ids).logits, rtol=1e-4, atol=1e-4)


def test_precomputed_log_probabilities_train_as_a_frozen_copy_does_and_are_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path))
    training = Training(steps=4, batch_size=4, precision="32")
    found = []
    for reference in ("frozen", "precomputed", "precomputed"):
        method = DPO(small(), reference=reference, optimization=QUICK)  # type: ignore[arg-type]
        fit(method, few(), training, progress=False)
        found.append(method)
    first, second, third = (m.policy.state_dict() for m in found)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(third[name], second[name], rtol=0, atol=0)
    assert len([*tmp_path.glob("reference-*.safetensors")]) == 1
    with pytest.raises(ValueError, match="the reference is missing: only its log-probabilities"):
        found[1].score(few().batch(np.arange(2)))


def test_a_resumed_run_has_its_precomputed_reference(tmp_path: Path) -> None:
    method = DPO(small(), reference="precomputed")
    method.begin(few())
    again = DPO(small(), reference="precomputed")
    again.load_state_dict(method.state_dict())
    torch.testing.assert_close(again.known.logps, method.known.logps, rtol=0, atol=0)
    assert method.known.logps.shape == (4, 2)


@pytest.mark.parametrize("slug", ["dpo", "nca"])
def test_a_short_training_comes_closer_to_the_optimum(slug: str) -> None:
    world = reply_world()
    data = rated_replies(world, 1000, 0) if slug == "nca" else reply_pairs(world, 1000, 0)
    system = find(slug)
    settings, training = workflow.laptop_settings(system)
    settings["optimization"] = Optimization("adamw", lr=1e-3, schedule="constant", clip=1.0)
    method = workflow.build_method(system, settings, data, 0)
    before = workflow.measure(system, method, data)
    assert before["kl"] == pytest.approx(0, abs=1e-5)
    fit(method, data, Training(**{**training, "steps": 40, "precision": "32"}), progress=False)
    after = workflow.measure(system, method, data)
    assert after["regret"] < before["regret"]
    assert after["reward"] > before["reward"] + 0.05
    assert after["accuracy"] > (0.3 if slug == "nca" else 0.55)


def test_messages_are_written_by_the_chat_template() -> None:
    lm = small()
    lm.tokenizer.chat_template = TEMPLATE
    policy = Policy(lm)
    asked = [{"role": "user", "content": "w1 w2"}]
    said = policy.sequences(
        asked, [[{"role": "assistant", "content": "w3"}], [{"role": "assistant", "content": "w4 w5"}]]
    )
    assert lm.tokenizer.decode(said[0].prompt) == "user w1 w2 assistant"
    assert [lm.tokenizer.decode(s.reply) for s in said] == ["w3", "w4 w5"]
    lm.tokenizer.chat_template = None
    with pytest.raises(ValueError, match="need a tokenizer with a chat template"):
        policy.sequences(asked, [asked])


def _lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_tables_have_trls_columns(tmp_path: Path) -> None:
    rows = [{"prompt": "w1", "chosen": " w2", "rejected": " w3"}] * 2
    found = load(_lines(tmp_path / "pairs.jsonl", rows))
    assert isinstance(found, Pairs)
    assert found.chosen == [" w2", " w2"]
    user, good, bad = ({"role": r, "content": c} for r, c in (("user", "w1"), ("assistant", "w2"), ("assistant", "w3")))
    found = load(_lines(tmp_path / "chat.jsonl", [{"chosen": [user, good], "rejected": [user, bad]}] * 2))
    assert found.prompts[0] == [user]
    assert (found.chosen[0], found.rejected[0]) == ([good], [bad])
    found = load(
        _lines(tmp_path / "rated.jsonl", [{"prompt": "w1", "completions": [" w2", " w3"], "scores": [1, 0]}] * 2)
    )
    assert isinstance(found, Rated)
    assert found.rewards.tolist() == [[1, 0], [1, 0]]


def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no column rejected: its columns are prompt, chosen"):
        load(_lines(tmp_path / "a.jsonl", [{"prompt": "w1", "chosen": "w2"}]))
    with pytest.raises(ValueError, match="has no column prompt; only lists of messages"):
        load(_lines(tmp_path / "b.jsonl", [{"rejected": "w1", "chosen": "w2"}]))
    rows = [{"prompt": "w1", "chosen": " w2", "rejected": " w3"}] * 20
    with pytest.warns(UserWarning, match="1 of 21 comparisons .* line 21: chosen: the text is empty"):
        found = load(_lines(tmp_path / "c.jsonl", [*rows, {"prompt": "w1", "chosen": "  ", "rejected": "w3"}]))
    assert len(found) == 20
    with pytest.raises(ValueError, match="rejected reply of row 0 cannot be used: the text is empty"):
        Pairs(["w1"], ["w2"], [""])
    policy = Policy(small())
    with pytest.raises(
        ValueError, match="have 31 tokens, and the model reads up to 24; shorten them or set max_length"
    ):
        policy.sequences("w1", [" w2" * 29])
    with pytest.raises(ValueError, match="a prompt has 30 tokens and 24 are read, so no reply has room"):
        policy.sequences("w1 " * 30, [" w2"])
    cut = policy.sequences("w1 w1", [" w2" * 29], most=10)
    assert len(cut[0].prompt + cut[0].reply) == 10
    with pytest.raises(ValueError, match="name a language model: --model FOLDER"):
        opened(None)
    with pytest.raises(ValueError, match="there is no made model"):
        opened("made:nothing")
    with pytest.raises(ValueError, match="two or more"):
        Rated(["w1"], [["w2"]], [[1.0]])


def test_ipo_divides_by_the_tokens_of_each_reply() -> None:
    from nearfar.losses import ipo_loss

    views_of = lambda m: m.views(few().batch(np.arange(4)))  # noqa: E731
    method = IPO(small(), tau=0.5)
    with torch.no_grad():
        for p in method.policy.parameters():
            p.add_(0.01 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    views = views_of(method)
    logps = method.rated(views)
    lengths = torch.tensor([len(s.reply) for s in views.replies]).view(4, 2)
    assert lengths[:, 0].tolist() == [2, 6, 3, 3]
    four = (*logps.unbind(1), *views.reference.unbind(1))
    wanted = ipo_loss(*four, tau=0.5, chosen_lengths=lengths[:, 0], rejected_lengths=lengths[:, 1])
    torch.testing.assert_close(method.loss(views), wanted)


def test_ties_go_to_the_first_reply_only_where_that_is_wanted() -> None:
    data = Rated(PROMPTS, [[*each] for each in zip(CHOSEN, REJECTED, strict=True)], np.zeros((4, 2)))
    plain, tied = NCA(small()), NCA(small(), tie=0.01)
    views = plain.views(data.batch(np.arange(4)))
    slopes = []
    for method in (plain, tied):
        policy = views.reference.clone().requires_grad_()
        slopes.append(torch.autograd.grad(method.compare(policy, views), policy)[0])
    torch.testing.assert_close(slopes[0][:, 0], slopes[0][:, 1])
    assert (slopes[1][:, 0] < slopes[1][:, 1]).all()


def test_replies_are_written_to_a_file_and_repeat(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--preset", "tiny", "--steps", "2", "--out", str(out)]
    assert main(["train", "dpo", *words]) == 0
    texts = []
    for name in ("a", "b"):
        assert main(["generate", str(out), "-o", str(tmp_path / f"{name}.jsonl"), "--seed", "4"]) == 0
        texts.append((tmp_path / f"{name}.jsonl").read_text())
    rows = [json.loads(line) for line in texts[0].splitlines()]
    assert texts[0] == texts[1]
    assert {row["prompt"] for row in rows} == {f"ask p{i}" for i in range(8)}
    assert all(row["text"] for row in rows)
