"""Sounds from every kind of file, and what is wrong with some of them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar.audio.data import CaptionedSounds, SoundFiles, Sounds, load
from nearfar.audio.data import sounds as module
from nearfar.audio.segments import random_segments, windows
from nearfar.cli import main
from nearfar.sources.skipped import BadDataError
from nearfar.sources.sound import SoundError, header, read_middle, read_stretch

soundfile = pytest.importorskip("soundfile")


def tone(seconds: float = 0.5, rate: int = 8000, hertz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def write(path: Path, wave: np.ndarray, rate: int = 8000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes in two parts, of four formats, three rates and one or two channels."""
    root = tmp_path_factory.mktemp("sounds") / "set"
    write(root / "train" / "low" / "a.wav", tone(0.5, 8000, 200))
    write(root / "train" / "low" / "b.flac", np.stack([tone(0.4, 22050, 210)] * 2, 1), 22050)
    write(root / "train" / "high" / "c.ogg", tone(0.6, 16000, 1900), 16000)
    write(root / "train" / "high" / "d.mp3", tone(0.6, 16000, 2000), 16000)
    write(root / "test" / "low" / "e.wav", tone(0.5, 8000, 205))
    write(root / "test" / "high" / "f.wav", tone(0.5, 8000, 1950))
    return root


def test_a_folder_has_classes_parts_and_one_rate(folder: Path) -> None:
    data = load(folder, resample=8000)
    assert sorted(data.ids) == ["train/high/c.ogg", "train/high/d.mp3", "train/low/a.wav", "train/low/b.flac"]
    assert data.labels.tolist() == ["high", "high", "low", "low"]
    assert data.splits()["test"].labels.tolist() == ["high", "low"]
    assert data.facts == {"rate": 8000}
    batch = data.batch(np.arange(4))
    assert batch.rate == 8000
    # mp3 adds a little at its ends
    assert np.abs(batch.lengths.numpy() - np.array([4800, 4800, 4000, 3200])).max() < 1300
    for row, hertz in enumerate((1900, 2000, 200, 210)):
        spectrum = np.abs(np.fft.rfft(batch.waves[row, : batch.lengths[row]].numpy()))
        assert abs(spectrum.argmax() * 8000 / int(batch.lengths[row]) - hertz) < 5
        assert not batch.waves[row, batch.lengths[row] :].any()
        assert 0.45 < float(batch.waves[row].abs().max()) < 0.6


def test_bad_sounds_are_left_out_and_listed(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"good{number}.wav", tone())
    write(tmp_path / "silent.wav", np.zeros(4000, np.float32))
    (tmp_path / "text.wav").write_text("this is no sound")
    (tmp_path / "empty.flac").touch()
    whole = write(tmp_path / "cut.wav", tone(2.0)).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 3])
    flac = write(tmp_path / "cut.flac", np.random.default_rng(0).normal(size=16000) * 0.1).read_bytes()
    (tmp_path / "cut.flac").write_bytes(flac[: len(flac) // 3])
    write(tmp_path / "blink.wav", tone(0.002))
    no_rate = bytearray((tmp_path / "good0.wav").read_bytes())
    no_rate[24:28] = struct.pack("<I", 0)
    (tmp_path / "norate.wav").write_bytes(no_rate)
    broken = np.full(4000, np.nan, np.float32)
    soundfile.write(tmp_path / "nan.wav", broken, 8000, subtype="FLOAT")
    with pytest.warns(UserWarning, match="8 of 12 sounds"):
        data = load(tmp_path, resample=8000, max_bad=0.9)
    assert [str(i) for i in data.ids] == [f"good{n}.wav" for n in range(4)]
    reasons = dict(data.skipped)
    assert "silent throughout" in reasons["silent.wav"]
    assert "no sound" in reasons["text.wav"]
    assert "empty" in reasons["empty.flac"]
    assert "cut off" in reasons["cut.wav"]
    assert reasons["cut.flac"]
    assert "too few" in reasons["blink.wav"]
    assert "rate of 0" in reasons["norate.wav"] or "no sound" in reasons["norate.wav"]
    assert "not finite" in reasons["nan.wav"]
    with pytest.raises(BadDataError, match="more than the share"):
        load(tmp_path)
    with pytest.raises(BadDataError, match="Without strict"):
        load(tmp_path, strict=True)


def test_damage_found_later_is_stood_in_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 0)  # nothing is decoded beforehand
    for number in range(12):
        write(tmp_path / f"{number:02d}.wav", tone() if number != 3 else np.zeros(4000, np.float32))
    data = load(tmp_path, resample=8000)
    assert len(data) == 12
    batch = data.batch(np.array([2, 3]))
    assert batch.rows.tolist() == [2, 4]
    assert data.readable(np.array([2, 3, 4])).tolist() == [True, False, True]
    assert data.training_batch(np.array([3, 4])).rows.tolist() == [5, 4]


def test_long_files_are_learned_from_in_sections(tmp_path: Path) -> None:
    steps = (np.arange(8 * 800) // 800 + 1) / 10
    data = load(write(tmp_path / "long.wav", steps), resample=8000, longest=0.2)
    assert len(data) == 1
    assert data.divisible
    assert data.batch(np.array([0])).lengths.tolist() == [1600]
    parts = [data.training_batch(np.array([i])).waves[0] for i in range(4)]
    np.testing.assert_allclose(torch.cat(parts).numpy(), steps, atol=1e-4)
    assert len(data.sampler(4, 1, seed=0)) == 1
    assert sorted(next(iter(data.sampler(4, 1, seed=0))).tolist()) == [0, 1, 2, 3]


def test_tables_name_files_labels_parts_and_captions(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "set.csv"
    table.write_text(
        "file,speaker,split\ntrain/low/a.wav,anna,train\ntrain/low/b.flac,bert,train\ntest/low/e.wav,cleo,test\n"
    )
    data = load(table, root=str(folder), resample=8000)
    assert isinstance(data, SoundFiles)
    assert data.labels.tolist() == ["anna", "bert"]
    assert data.splits()["test"].labels.tolist() == ["cleo"]
    captions = tmp_path / "captions.csv"
    captions.write_text(
        "file_name,caption_1,caption_2,negative\ntrain/low/a.wav,a hum,a low hum,a beep\n"
        "train/low/b.flac,a tone,,\ntrain/low/a.wav,something deep,,\n"
    )
    said = load(captions, root=str(folder), resample=8000)
    assert isinstance(said, CaptionedSounds)
    assert said.captions == [["a hum", "a low hum", "something deep"], ["a tone"]]
    batch = said.batch(np.array([1, 0]))
    assert batch.captions == [["a tone"], ["a hum", "a low hum", "something deep"]]
    assert batch.negatives == [[], ["a beep"]]
    assert batch.sounds.rows.tolist() == [1, 0]


def test_what_is_no_collection_says_why(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="embedded are noises, voices"):
        load(tmp_path / "nothing.csv")
    with pytest.raises(ValueError, match="holds no sound: no file below it ends in"):
        load(tmp_path)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="has the columns a, b; expected one of files"):
        load(tmp_path / "t.csv")
    (tmp_path / "t.xyz").touch()
    with pytest.raises(ValueError, match="no collection of sounds"):
        load(tmp_path / "t.xyz")
    np.savez(tmp_path / "w.npz", waves=np.ones((2, 5), np.int16))
    with pytest.raises(ValueError, match="expected waves"):
        load(tmp_path / "w.npz")
    np.savez(tmp_path / "w.npz", waves=np.ones((2, 5)), rate=8000, labels=[0, 1])
    assert load(tmp_path / "w.npz").labels.tolist() == [0, 1]
    assert load(tmp_path / "w.npz", resample=16000).batch(np.array([0])).lengths.tolist() == [10]
    with pytest.raises(ValueError, match="a rate of 0"):
        Sounds([tone()], 0)
    with pytest.raises(ValueError, match="sound 1 of sounds: it is silent"):
        Sounds([tone(), np.zeros(9)], 8000)
    with pytest.raises(SoundError, match="there is no such file"):
        header(tmp_path / "missing.wav")
    with pytest.raises(SoundError, match="it is no"):
        header(tmp_path)
    path = write(tmp_path / "x.wav", tone())
    assert read_stretch(header(path), 4000).shape == (2000,)
    for source in (path, path.read_bytes()):
        np.testing.assert_array_equal(read_middle(source, 8000, 0.1), read_stretch(header(path), 8000)[1600:2400])
        assert not read_middle(source, 8000, 0.6)[4000:].any()
    with pytest.raises(SoundError, match="it is empty"):
        header(b"")
    with pytest.raises(SoundError, match="it is cut off"):
        header(path.read_bytes()[:1000])


def test_segments_come_from_anywhere_in_their_sound_and_are_repeatable() -> None:
    waves, lengths = torch.arange(1.0, 101.0).repeat(64, 1), torch.full((64,), 60)
    waves[:, 60:] = 0

    def drawn(seed: int) -> torch.Tensor:
        return random_segments(waves, lengths, 20, torch.Generator().manual_seed(seed))

    first = drawn(0)
    assert torch.equal(first, drawn(0))
    assert not torch.equal(first, drawn(1))
    assert (first.diff(dim=1) == 1).all()
    assert first[:, 0].min() < 8
    assert first[:, 0].max() > 34
    assert first.max() <= 60
    short = random_segments(waves[:1], torch.tensor([4]), 9, torch.Generator())
    assert short[0].tolist() == [0, 0, 1, 2, 3, 4, 0, 0, 0]
    again = random_segments(waves[:1], torch.tensor([4]), 9, torch.Generator(), fill="repeat")
    assert again[0].tolist() == [1, 2, 3, 4, 1, 2, 3, 4, 1]


def test_windows_reach_from_the_beginning_to_the_end() -> None:
    data = Sounds([np.arange(1.0, 26.0), np.arange(1.0, 8.0)], 8000)
    cut = [*windows(data.batch(np.array([0, 1])), 10, most=3)]
    stretches, of = torch.cat([w for w, _ in cut]), torch.cat([o for _, o in cut])
    assert of.tolist() == [0, 0, 0, 1]
    assert stretches[:3, 0].tolist() == [1, 8, 16]
    assert stretches[2, -1] == 25
    assert stretches[3].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 0]


def test_generated_sounds_are_repeatable_and_differ_by_seed() -> None:
    from nearfar.audio.data import generated

    for name, count in (("noises", 8), ("voices", 2), ("words", 1), ("events", 8)):
        make = getattr(generated, name)
        one, same, other = (make(count, held_out=2, seed=seed) for seed in (0, 0, 1))
        assert one.contents() == same.contents()
        assert one.contents() != other.contents()
        with pytest.raises(ValueError, match=f"{name} needs a count of at least"):
            make(0)
    speakers = generated.voices(3, held_out=2)
    assert not set(speakers.labels) & set(speakers.splits()["test"].labels)


def test_a_folder_trains_and_embeds_by_command(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--steps", "2", "--batch-size", "4", "--preset", "tiny", "--resample", "8000"]
    assert main(["train", "cola", "--data", str(folder), "--out", str(out), *words]) == 0
    assert main(["embed", str(out), "-o", str(tmp_path / "v.npz")]) == 0
    made = tmp_path / "made"
    assert main(["train", "cola", "--out", str(made), "--steps", "1", "--preset", "tiny"]) == 0
    assert main(["embed", str(made), str(folder), "-o", str(tmp_path / "w.npz")]) == 0  # of 16 kHz
