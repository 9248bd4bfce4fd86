"""Contrast between pictures, on a small LLaVA: what is shown, alone and in batches, and what is chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.decoding.data import Prompts, scenes
from nearfar.decoding.engine import Streams
from nearfar.decoding.method import Decoder, Writing
from nearfar.decoding.methods import CAD, RITUAL, VCD, VDD
from nearfar.decoding.pictures import image_token, pixels, seen, small_llava, unseen
from nearfar.decoding.transforms import transformed
from nearfar.encoders.causal import word_tokenizer
from nearfar.losses import contrast_logits, diffusion_noise, plausible, posthoc_debias
from tests.decoding.small import llama, louder

G = Writing(max_new_tokens=4, batch_size=4)


@pytest.fixture(scope="module")
def lm():
    torch.manual_seed(0)
    return louder(small_llava(word_tokenizer(scenes.WORDS), size=scenes.SIZE, patch=scenes.PATCH, width=32))


@pytest.fixture(scope="module")
def data() -> Prompts:
    asked = scenes.questions(4, 0)
    contexts = ["", "yes no", "what", "how many"]
    return Prompts(asked.prompts, contexts=contexts, answers=asked.answers, images=asked.images)


@torch.no_grad()
def test_a_picture_takes_its_places_and_is_left_out_where_it_is_not_seen(lm) -> None:
    images = torch.as_tensor(scenes.questions(2, 0).images)
    token, count = image_token(lm.model), scenes.PATCHES
    for text in ("<image> is there", "is there"):
        ids = seen(lm, [text] * 2, pixels(lm.model, images)).ids[0]
        assert (ids == token).sum() == count
        assert lm.tokenizer.decode(ids[count:]) == "is there"
    assert lm.tokenizer.decode(unseen(lm, ["<image> is there"]).ids[0]) == "is there"
    assert unseen(lm, ["<image> is there"], unknown=True).ids[0].tolist()[0] == lm.tokenizer.unk_token_id
    assert lm.tokenizer.decode(unseen(lm, ["is <image> there"], unknown=True).ids[0]) == "is <unk> there"
    with pytest.raises(ValueError, match="speaks of 2 pictures"):
        seen(lm, ["<image> <image>"], pixels(lm.model, images[:1]))
    with pytest.raises(ValueError, match="reads no pictures; give a vision-language model"):
        image_token(llama().model)


DECODERS = [
    lambda lm: VCD(lm, writing=G),
    lambda lm: VDD(lm, without="both", writing=G),
    lambda lm: RITUAL(lm, writing=G),
    lambda lm: RITUAL(lm, contrast=0.5, writing=G),
    lambda lm: CAD(lm, writing=G),
]


@pytest.mark.parametrize("make", DECODERS)
def test_a_batch_writes_and_rates_what_each_row_does_alone(make, lm, data) -> None:
    decoder = make(lm)
    batch = data.batch(np.arange(4))
    together, rated = decoder.write(batch), decoder.logp(batch, ["yes no", "no", "a ring", "1"])
    for row, answer in enumerate(["yes no", "no", "a ring", "1"]):
        one = data.batch(np.array([row]))
        assert decoder.write(one)[0] == together[row]
        torch.testing.assert_close(decoder.logp(one, [answer])[0], rated[row], rtol=1e-4, atol=1e-3)
        looks = Streams(decoder.branches(one))
        scores, total = decoder.combine(looks.start()), 0.0
        for word in lm.tokenizer(answer)["input_ids"]:
            part = float(scores.log_softmax(-1)[0, word])
            total += part if part > -1000 else -1000.0
            scores = decoder.combine(looks.step(torch.tensor([word])))
        assert float(rated[row]) == pytest.approx(total, abs=2e-3)


def test_the_processor_gives_what_the_loop_gives(lm, data) -> None:
    for decoder in (VCD(lm, writing=G), VDD(lm, without="both", writing=G)):
        settings = {"max_new_tokens": 4, "do_sample": False, "pad_token_id": 0, "eos_token_id": 1}
        loop = lm.model.generate(**decoder.inputs(data), **settings)
        assert torch.equal(lm.model.generate(**decoder.inputs(data, processor=True), **settings), loop)


def test_scores_are_the_formulas_of_what_is_seen(lm, data) -> None:
    batch = data.batch(np.arange(4))
    vcd = VCD(lm, weight=0.5, alpha=0.3, noise_step=300)
    values = pixels(lm.model, batch.images)
    noisy = vcd.noisy(values, batch.rows)
    assert torch.equal(noisy, vcd.noisy(values, batch.rows))
    assert torch.equal(noisy[2:], vcd.noisy(values[2:], batch.rows[2:]))
    g = torch.Generator().manual_seed(0)
    assert (diffusion_noise(values, torch.randn(values.shape, generator=g), step=0) - values).abs().max() < 0.1
    clear, other = (look.logits for look in Streams(vcd.branches(batch)).start())
    wanted = contrast_logits(clear, other, weight=0.5, alpha=0.3)
    torch.testing.assert_close(vcd.combine(Streams(vcd.branches(batch)).start()), wanted)
    ritual = RITUAL(lm, contrast=1.0)
    looks = Streams(ritual.branches(batch)).start()
    a, b, c = (look.logits for look in looks)
    wanted = (2 * a - c + 3 * b).masked_fill(~plausible(a, 0.1), -torch.inf)
    torch.testing.assert_close(ritual.combine(looks), wanted)


def test_labels_are_calibrated_by_what_the_words_alone_say(lm, data) -> None:
    vdd = VDD(lm, without="both", writing=G)
    batch = data.batch(np.arange(4))
    found, raw = vdd.debiased(batch, ["yes", "no"])
    words = [lm.tokenizer(word)["input_ids"][0] for word in ("yes", "no")]
    p, none, unk = (look.logits.softmax(-1)[:, words] for look in Streams(vdd.branches(batch)).start())
    torch.testing.assert_close(found, posthoc_debias(p, none + unk))
    torch.testing.assert_close(raw.sum(-1), torch.ones(4))


def test_transformations_keep_the_size_and_repeat_with_their_seed() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 30, 3), dtype=np.uint8)
    assert np.array_equal(transformed(image, "hflip", None), image[:, ::-1])  # type: ignore[arg-type]
    assert np.array_equal(transformed(image, "vflip", None), image[::-1])  # type: ignore[arg-type]
    for name in ("rotate", "color", "blur", "crop"):
        one, two = (transformed(image, name, np.random.default_rng(3)) for _ in range(2))
        assert one.shape == image.shape
        assert one.dtype == np.uint8
        assert np.array_equal(one, two)
        assert not np.array_equal(one, image)
    assert np.abs(transformed(image, "blur", np.random.default_rng(0)).astype(int).std() - image.std()) > 20


def test_scenes_are_balanced_and_their_answers_true() -> None:
    asked = scenes.questions(600, 3)
    kinds = np.array(asked.kinds)
    for kind in scenes.KINDS:
        answers = np.array(asked.answers)[kinds == kind]
        assert abs((answers == "yes").mean() - 0.5) < 0.02
    described = scenes.captions(300, 1, train=True)
    for answer, other, kind in zip(described.answers, described.others, described.kinds, strict=True):
        assert answer != other, (answer, kind)
        if kind == "caption":
            assert set(answer.split()) <= set(scenes.SHAPES)


def test_a_decoder_of_pictures_refuses_prompts_without(lm) -> None:
    with pytest.raises(ValueError, match="VCD contrasts what is seen in a picture, and these prompts have no images"):
        next(iter(VCD(lm).generate(Prompts(["is there"]))))
    with pytest.raises(ValueError, match="transformations must be among hflip"):
        RITUAL(lm, transformations=("shear",))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="without must be none, unk or both"):
        VDD(lm, without="some")  # type: ignore[arg-type]
    assert isinstance(Decoder(lm).lm.model, torch.nn.Module)
