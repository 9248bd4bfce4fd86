"""Branches advance as they would alone: greedy, sampling, beams, left padding, caches, and all positions at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessor

from nearfar.decoding.engine import (
    Branch,
    BranchProcessor,
    Look,
    Streams,
    branched_generate,
    early_layers,
    forced_looks,
)
from nearfar.losses import contrast_logits
from tests.decoding.small import branch, gpt2, llama, rows, slow, slow_greedy

STEPS = 7
GREEDY = {"max_new_tokens": STEPS, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}


def against(looks: list[Look]) -> Tensor:
    return contrast_logits(looks[0].logits, looks[1].logits, weight=1.0)


@pytest.fixture(scope="module")
def lm():
    return llama()


@pytest.fixture(scope="module")
def prompts() -> tuple[list[list[int]], list[list[int]]]:
    return rows(1, (9, 5, 7)), rows(2, (4, 6, 3))


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("groups", [2, 4])
def test_the_loop_gives_what_two_models_from_scratch_give(quick: bool, groups: int, prompts) -> None:
    lm = llama(3, groups=groups)
    pos, neg = (branch(lm, ids) for ids in prompts)
    hook = branched_generate(against, [pos, neg], quick=quick)
    found = lm.model.generate(pos.ids, attention_mask=pos.mask, custom_generate=hook, **GREEDY)[:, 9:]
    for row in range(3):
        wanted = slow_greedy([(lm, prompts[0][row]), (lm, prompts[1][row])], against, STEPS)
        assert found[row].tolist() == wanted


def test_the_loop_equals_transformers_own_guidance(lm, prompts) -> None:
    pos, neg = (branch(lm, ids[:1]) for ids in prompts)
    own = lm.model.generate(pos.ids, guidance_scale=2.0, negative_prompt_ids=neg.ids, **GREEDY)
    hook = branched_generate(against, [pos, neg])
    assert torch.equal(lm.model.generate(pos.ids, custom_generate=hook, **GREEDY), own)
    processor = BranchProcessor(against, [neg])
    assert torch.equal(lm.model.generate(pos.ids, logits_processor=[processor], **GREEDY), own)


def test_the_processor_equals_the_loop_and_begins_anew(lm, prompts) -> None:
    pos, neg = (branch(lm, ids) for ids in prompts)
    given = {"attention_mask": pos.mask, **GREEDY}
    wanted = lm.model.generate(pos.ids, custom_generate=branched_generate(against, [pos, neg]), **given)
    processor = BranchProcessor(against, [neg])
    for _ in range(2):
        assert torch.equal(lm.model.generate(pos.ids, logits_processor=[processor], **given), wanted)


def test_sampling_draws_from_the_combined_words(lm, prompts) -> None:
    pos, neg = (branch(lm, ids[:1]) for ids in prompts)
    scores = against(Streams([pos, neg]).start())
    many = torch.zeros(4000, dtype=torch.long)
    hook = branched_generate(against, [pos.rows(many), neg.rows(many)], generator=torch.Generator().manual_seed(0))
    drawn = lm.model.generate(
        pos.ids[many], custom_generate=hook, max_new_tokens=1, do_sample=True, temperature=2.0, top_k=0, top_p=1.0,
        eos_token_id=None, pad_token_id=0,
    )[:, -1]  # fmt: skip
    share = drawn.bincount(minlength=40) / 4000
    assert (share - (scores[0] / 2).softmax(-1)).abs().max() < 0.04


class FromScratch(LogitsProcessor):
    """Contrast without any cache, for every beam by itself."""

    def __init__(self, lm, ids: list[list[int]], width: int, per_row: int) -> None:
        self.lm, self.ids, self.width, self.per_row = lm, ids, width, per_row

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        new = input_ids[:, self.width :].tolist()
        negative = [slow(self.lm, self.ids[row // self.per_row], each) for row, each in enumerate(new)]
        return against([Look(scores), Look(torch.stack(negative))])


def test_beams_take_their_caches_with_them(lm, prompts) -> None:
    pos, neg = (branch(lm, ids[:2]) for ids in prompts)
    given = {"attention_mask": pos.mask, **GREEDY, "num_beams": 4}
    slowly = FromScratch(lm, prompts[1], pos.ids.shape[1], 4)
    wanted = lm.model.generate(pos.ids, logits_processor=[slowly], **given)
    processor = BranchProcessor(against, [neg])
    assert torch.equal(lm.model.generate(pos.ids, logits_processor=[processor], **given), wanted)


@pytest.mark.parametrize("make", [llama, gpt2])
def test_all_positions_at_once_equal_step_by_step(make, prompts) -> None:
    lm, other = make(5), make(6)
    branches = [branch(lm, prompts[0]), branch(lm, prompts[1]), branch(other, [ids[-1:] for ids in prompts[0]])]
    words, mask = torch.tensor(rows(4, (5, 5, 5))), torch.ones(3, 5, dtype=torch.long)
    forced = forced_looks(branches, words, mask, early=[1])
    streams = Streams(branches, early=[1])
    looks = streams.start()
    for step in range(5):
        for once, one in zip(forced, looks, strict=True):
            torch.testing.assert_close(once.logits[:, step], one.logits, rtol=1e-4, atol=2e-4)
            torch.testing.assert_close(once.early[:, :, step], one.early, rtol=1e-4, atol=2e-4)
        looks = streams.step(words[:, step])
    assert looks[0].early.shape == (1, 3, 40)


def test_shorter_answers_are_not_disturbed_by_their_padding(lm, prompts) -> None:
    short = [branch(lm, ids) for ids in prompts]
    words = torch.tensor(rows(4, (5, 5, 5)))
    mask = torch.ones(3, 5, dtype=torch.long)
    whole = forced_looks(short, words, mask)
    mask[1, 2:] = 0
    part = forced_looks(short, words.where(mask == 1, torch.tensor(0)), mask)
    torch.testing.assert_close(part[0].logits[1, :2], whole[0].logits[1, :2], rtol=1e-4, atol=1e-4)


def test_a_quick_step_is_the_models_own_and_its_cache_grows(prompts) -> None:
    lm = llama(7)
    one = [branch(lm, prompts[0])]
    quick, plain = Streams(one), Streams(one, quick=False)
    assert quick._groups[0].quick
    quick.start(), plain.start()
    assert quick._groups[0]._stepper is not None
    room = quick._groups[0]._stepper.keys[0].shape[2]
    quick._groups[0]._stepper.keys = [k[:, :, :11].clone() for k in quick._groups[0]._stepper.keys]
    quick._groups[0]._stepper.values = [v[:, :, :11].clone() for v in quick._groups[0]._stepper.values]
    quick._groups[0]._stepper.bias = quick._groups[0]._stepper.bias[..., :11]
    for step, word in enumerate(torch.randint(3, 40, (9, 3), generator=torch.Generator().manual_seed(0))):
        if step == 4:
            for streams in (quick, plain):
                streams.select(torch.tensor([2, 0, 0]))
        a, b = quick.step(word)[0].logits, plain.step(word)[0].logits
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-4)
    assert quick._groups[0]._stepper.keys[0].shape[2] == 22 < room


def test_a_watched_model_is_not_bypassed(prompts) -> None:
    lm = llama(7)
    seen: list[int] = []
    handle = lm.model.model.layers[0].register_forward_hook(lambda *_: seen.append(1))
    streams = Streams([branch(lm, prompts[0])])
    streams.start()
    streams.step(torch.tensor([3, 4, 5]))
    handle.remove()
    assert len(seen) == 2


def test_a_finished_row_is_padded_and_outputs_are_transformers(lm, prompts) -> None:
    pos, neg = (branch(lm, ids) for ids in prompts)
    hook = branched_generate(against, [pos, neg])
    free = lm.model.generate(pos.ids, attention_mask=pos.mask, custom_generate=hook, **GREEDY)[:, 9:]
    end = int(free[1, 2])
    given = {**GREEDY, "eos_token_id": end, "return_dict_in_generate": True, "output_scores": True}
    found = lm.model.generate(pos.ids, attention_mask=pos.mask, custom_generate=hook, **given)
    for row in range(3):
        mine, whole = found.sequences[row, 9:].tolist(), free[row].tolist()
        stop = whole.index(end) + 1 if end in whole else len(whole)
        assert mine[:stop] == whole[:stop]
        assert not any(mine[stop:])
    assert len(found.scores) == found.sequences.shape[1] - 9


def test_layers_to_contrast_with() -> None:
    model = llama(layers=8).model
    assert early_layers(model, "low") == [0, 2]
    assert early_layers(model, "high") == [4, 6]
    model.config.tie_word_embeddings = True
    assert early_layers(model, "low") == [2]
    assert early_layers(model, [1, 3]) == [1, 3]
    for wrong, sentence in (("middle", "low, high or numbers"), ([8], "from 0 to 7"), ([], "from 0 to 7")):
        with pytest.raises(ValueError, match=sentence):
            early_layers(model, wrong)


def test_wrong_numbers_of_rows_and_beams_get_one_sentence(lm, prompts) -> None:
    pos, neg = (branch(lm, ids) for ids in prompts)
    hook = branched_generate(against, [pos, neg])
    with pytest.raises(ValueError, match="prepared for 3 prompts, and generate runs 2 rows"):
        lm.model.generate(pos.ids[:2], custom_generate=hook, **GREEDY)
    with pytest.raises(ValueError, match="prepared for 3 prompts, and generate runs 2 rows"):
        lm.model.generate(pos.ids[:2], logits_processor=[BranchProcessor(against, [neg])], **GREEDY)
    with pytest.raises(ValueError, match="beam search"):
        lm.model.generate(pos.ids, custom_generate=hook, **{**GREEDY, "num_beams": 2})
    far = Branch(lm.model, torch.full((1, 62), 3), torch.ones(1, 62, dtype=torch.long))
    with pytest.raises(ValueError, match="longer than the 64 tokens"):
        forced_looks([far], torch.full((1, 9), 4), torch.ones(1, 9, dtype=torch.long))
