"""CTAP and its diffusions: sequences of any lengths, who learns from what, sounds in files, and what is spoken."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nearfar.generation.data import load
from nearfar.generation.data.speech import DRAWN, FORMANTS, MEL, RATE, Speech, Utterances, speech
from nearfar.generation.method import Draws
from nearfar.generation.methods.ctap_diffusion_tts import CTAPDiffusion
from nearfar.generation.speaking import Denoiser, Frames, Standard, Voice, lengthened, there
from nearfar.generation.speech_diffusions import Sizes
from nearfar.losses import info_nce
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.generation.ctap_diffusion_tts import Averaged
from nearfar.testing import check_method
from nearfar.training import Optimization

SMALL: dict[str, Any] = {
    "phones": tuple(sorted(FORMANTS)),
    "bands": 20,
    "sizes": Sizes(8, 16, 1),
    "levels": 20,
    "sampling": 3,
    "optimization": Optimization("adam", lr=5e-3, weight_decay=0.0),
}


@pytest.fixture(scope="module")
def spoken() -> Utterances:
    return speech(48, written=0.7)


def test_phonemes_last_for_their_frames() -> None:
    rows = torch.arange(12.0).view(2, 3, 2)
    frames = [torch.tensor([2, 1, 1]), torch.tensor([1, 2])]
    found = lengthened(rows, frames)
    assert found[0, :, 0].tolist() == [0, 0, 2, 4]
    assert found[1, :, 0].tolist() == [6, 8, 8, 0]
    assert there([torch.zeros(3), torch.zeros(1)]).tolist() == [[True] * 3, [True, False, False]]
    standard = Standard(2)
    standard.measure(rows.flatten(0, 1))
    plain = standard(rows).flatten(0, 1)
    torch.testing.assert_close(plain.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(plain.std(0, correction=0), torch.ones(2))
    torch.testing.assert_close(standard.back(standard(rows)), rows)


def test_what_lies_behind_an_end_changes_nothing() -> None:
    torch.manual_seed(0)
    x, told, t = torch.randn(1, 5, 4), torch.randn(1, 5, 3), torch.tensor([2])
    longer, more = torch.cat([x, 9 * torch.ones(1, 3, 4)], 1), torch.cat([told, 9 * torch.ones(1, 3, 3)], 1)
    mask, wide = torch.ones(1, 5, dtype=torch.bool), torch.arange(8)[None] < 5
    network = Denoiser(4, 3, 8, 3).eval()
    torch.testing.assert_close(network(longer, t, more, wide)[:, :5], network(x, t, told, mask))
    for encoder in (Frames(4, 6, 8, 1).eval(), Voice(4, 6)):
        found, expected = encoder(longer, wide), encoder(x, mask)
        torch.testing.assert_close(found[:, :5] if found.ndim == 3 else found, expected, atol=1e-5, rtol=1e-5)


def test_the_contrast_is_that_of_frames(spoken: Utterances) -> None:
    """Of all frames of the utterances that are written down, and of none else."""
    method = CTAPDiffusion(**{**SMALL, "window": 200}).eval()
    views = method.views(spoken.batch(np.arange(40)))
    assert 0 < len(views.known) < 40
    mels = [views.mels[n] for n in views.known.tolist()]
    frames = [method.encoder.sound(mel[None], there([mel]))[0] for mel in mels]
    rows = [*zip(frames, views.phones, views.frames, strict=True)]
    sound = torch.cat([each for each, _, _ in rows])
    numbers = [p.repeat_interleave(f) for _, p, f in rows]
    text = torch.cat([method.encoder.text(method.encoder.phones(n)[None], there([n]))[0] for n in numbers])
    padded = torch.nn.utils.rnn.pad_sequence(views.mels, True)
    found = method.contrasted(padded, there(views.mels), views)
    logits = torch.nn.functional.normalize(sound) @ torch.nn.functional.normalize(text).T / 0.07
    right = torch.arange(len(logits))
    both = [torch.nn.functional.cross_entropy(each, right) for each in (logits, logits.T)]
    torch.testing.assert_close(found, torch.stack(both).mean(), atol=1e-4, rtol=1e-4)
    method.same_phoneme = True
    kinds = torch.cat(numbers)
    shares = (kinds[:, None] == kinds).float()
    shares = shares / shares.sum(1, keepdim=True)
    ways = [info_nce(a, b, temperature=0.07, soft_targets=shares) for a, b in ((sound, text), (text, sound))]
    shared = method.contrasted(padded, there(views.mels), views)
    torch.testing.assert_close(shared, torch.stack(ways).mean(), atol=1e-4, rtol=1e-4)


def test_who_learns_from_what(spoken: Utterances) -> None:
    """Recordings without phonemes teach the third diffusion, and nothing else; encoders of CTAP stand still then."""
    method = CTAPDiffusion(**SMALL)
    silent = [n for n in range(48) if not spoken.phones[n]][:4]
    assert set(method.loss(method.views(spoken.batch(np.array(silent))))) == {"sounding"}
    terms = method.loss(method.views(spoken.batch(np.arange(8))))
    assert set(terms) == {"lasting", "meaning", "sounding"}
    sum(terms.values()).backward()
    assert all(p.grad is None for net in (method.encoder.sound, method.encoder.text) for p in net.parameters())
    direct = CTAPDiffusion(**{**SMALL, "direct": True})
    assert set(direct.loss(direct.views(spoken.batch(np.arange(8))))) == {"lasting", "sounding"}
    assert direct.loss(direct.views(spoken.batch(np.array(silent))))["nothing"].detach() == 0


def test_it_keeps_the_promises_of_the_house(spoken: Utterances) -> None:
    check_method(CTAPDiffusion, spoken.subset(np.arange(8)), {**SMALL, "contrast": 0.5, "window": 8}, batch_size=4)


def test_a_short_training_knows_phonemes_and_durations(spoken: Utterances) -> None:
    method = build("ctap-diffusion-tts", spoken, 0, **{**SMALL, "contrast": 0.8, "window": 16})
    assert isinstance(method, CTAPDiffusion)
    test = spoken.splits()["test"].subset(np.arange(8))
    before = method.eval().evaluate(test)
    train("ctap-diffusion-tts", method.train(), spoken, 0, steps=18, batch_size=8)
    after = method.evaluate(test)
    assert after["phone retrieval"] > before["phone retrieval"] + 0.05
    assert after["duration distance"] < before["duration distance"]
    assert after.better["mel distortion"] == after.better["duration distance"] == "lower"


def test_a_line_is_spoken_alike_in_any_batch(spoken: Utterances) -> None:
    method = CTAPDiffusion(**SMALL).eval()
    batch = spoken.splits()["test"].batch(np.arange(3))
    phones = [method.numbers(each, "cpu") for each in batch.phones]
    whole, lasts = method.speak(phones, batch.mels, Draws(5, batch.rows))
    alone, _ = method.speak(phones[2:], batch.mels[2:], Draws(5, batch.rows[2:]))
    torch.testing.assert_close(whole[2], alone[0], atol=1e-3, rtol=1e-3)
    assert [len(mel) for mel in whole] == [int(each.sum()) for each in lasts]
    averaged = Averaged(**{**SMALL, "direct": True}).eval()
    first, second = (averaged.speak(phones, batch.mels, Draws(seed, batch.rows))[1] for seed in (0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_files_of_speech(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    times = np.arange(RATE) / RATE
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * 440 * times), RATE)
    lines = [
        {"audio": "a.wav", "phones": ["a", "b"], "seconds": [0.25, 0.5], "speaker": "me"},
        {"audio": "a.wav"},
        {"audio": "a.wav", "phones": ["a"], "seconds": []},
    ]
    path = tmp_path / "lines.jsonl"
    path.write_text("\n".join(map(json.dumps, lines[:2])))
    batch = load(path).batch(np.arange(2))
    assert batch.frames[0].tolist() == [20, 40]
    assert batch.mels[0].shape == (60, 80)
    assert (batch.phones[1], batch.speakers.tolist()) == ((), [0, -1])
    assert load(path).facts == {"phones": ("a", "b"), "bands": 80}
    again = Speech(batch.mels[0].numpy())
    file = io.BytesIO()
    again.save(file)
    wave, rate = soundfile.read(io.BytesIO(file.getvalue()))
    assert rate == RATE
    loudest = np.abs(np.fft.rfft(wave)).argmax() * rate / len(wave)
    assert loudest == pytest.approx(440, abs=40)
    assert again.picture().shape == (160, 120, 3)
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.warns(UserWarning, match="phones and seconds are lists of one length"):
        load(path, max_bad=0.5)
    path.write_text("\n".join(map(json.dumps, lines[:2])))
    with pytest.raises(ValueError, match="this run learned from 20 bands, and the inputs have 80"):
        next(CTAPDiffusion(**SMALL).generate(load(path)))
    assert CTAPDiffusion(**{**SMALL, "bands": 80}).evaluate(load(path).subset(np.array([1]))) == {}
    with pytest.raises(ValueError, match="utterance 1 has no phonemes that could be spoken"):
        [*CTAPDiffusion(**{**SMALL, "bands": 80}).generate(load(path))]


def test_bad_settings_are_named() -> None:
    assert DRAWN.bands != MEL.bands
    with pytest.raises(ValueError, match="CTAP needs the bands of spectrograms and phonemes"):
        CTAPDiffusion()
    with pytest.raises(ValueError, match=r"contrast in \(0, 1\), got 48 and 1"):
        CTAPDiffusion(**{**SMALL, "contrast": 1.0})
    with pytest.raises(ValueError, match="steps must be between 1 and the 20"):
        CTAPDiffusion(**{**SMALL, "sampling": 30})
    with pytest.raises(ValueError, match="utterance 0: 1 phonemes last 3 frames of 4"):
        Utterances([np.zeros((4, 20))], [("a",)], [(3,)], [""])
