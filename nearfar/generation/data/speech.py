"""Speech as spectrograms, with the phonemes that some of it is known to say, and how long each lasts."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.common.extras import needed
from nearfar.common.randomness import derive_seed
from nearfar.encoders.mel import LogMel, Mel, mel_matrix
from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.sound import SoundError, header, read_stretch
from nearfar.sources.tables import LINES, read_table, suffix_of
from nearfar.training import Data

MEL, RATE = Mel(bands=80, window=0.05, hop=0.0125, low=60.0, centred=True, scale="slaney"), 16000
"""Spectrograms of files."""
DRAWN, DRAWN_RATE = Mel(bands=20, window=0.032, hop=0.0125, high=3900.0, centred=True), 8000
"""What drawn spectra are taken for."""
LONGEST = 60.0
"""Seconds of a sound."""
ROUNDS = 30
TRAIN, TEST, VOICES = 400, 60, 20
FORMANTS = {
    "a": (8.0, 11.0, 15.5), "e": (6.0, 13.0, 16.0), "i": (3.5, 14.5, 17.0), "o": (6.0, 8.5, 15.0),
    "u": (4.0, 7.0, 14.5), "m": (2.5, 9.5, 12.5), "n": (2.5, 12.0, 15.0), "s": (17.5, 19.0, 18.2),
    "f": (14.0, 18.5, 16.0), "h": (9.0, 13.5, 18.0),
}  # fmt: skip
"""Bands of 20 in which the drawn phonemes are loud."""
FRAMES = dict(zip(FORMANTS, (9, 8, 7, 9, 7, 6, 5, 8, 6, 4), strict=True))


class SpeechBatch(NamedTuple):
    """Speech: N log-mel spectrograms (T, bands) float32; the phonemes of each, none where nobody has written them down;
    N tensors (phonemes,) int64 of the frames that each phoneme lasts; numbers of the speakers (N,) int64, -1 where
    unknown; places (N,) int64."""

    mels: list[Tensor]
    phones: list[tuple[str, ...]]
    frames: list[Tensor]
    speakers: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Speech:
    """A log-mel spectrogram (T, bands) of 80 bands (:data:`MEL`) or 20 (:data:`DRAWN`), kept as the sound that Griffin
    and Lim's rounds make of it."""

    mel: np.ndarray
    suffix: ClassVar[str] = ".wav"

    @property
    def rate(self) -> int:
        """Samples a second of its sound."""
        return DRAWN_RATE if self.mel.shape[1] == DRAWN.bands else RATE

    def wave(self) -> np.ndarray:
        """(samples,) float32 in [-1, 1]: a wave with magnitudes like these, its phases found in turns (Griffin and Lim
        1984). A trained vocoder sounds better."""
        kind = DRAWN if self.mel.shape[1] == DRAWN.bands else MEL
        window, hop, fft = kind.samples(self.rate)
        loud = np.exp(self.mel.astype(np.float64))
        magnitudes = np.maximum(loud @ np.linalg.pinv(mel_matrix(kind, self.rate)), 0).T
        size = torch.from_numpy(magnitudes)
        given: dict[str, Any] = {
            "n_fft": fft, "hop_length": hop, "win_length": window, "window": torch.hann_window(window).double(),
        }  # fmt: skip
        generator = torch.Generator().manual_seed(0)
        turn = torch.rand(size.shape, generator=generator, dtype=torch.float64) * 2 * np.pi
        for _ in range(ROUNDS):
            wave = torch.istft(torch.polar(size, turn), **given)
            turn = torch.stft(wave, **given, return_complex=True).angle()[:, : size.shape[1]]
        found = torch.istft(torch.polar(size, turn), **given).numpy()
        return (0.9 * found / max(float(np.abs(found).max()), 1e-9)).astype(np.float32)

    def save(self, file: IO[bytes]) -> None:
        soundfile = needed("soundfile", "audio", "writing sounds")
        content = io.BytesIO()
        soundfile.write(content, self.wave(), self.rate, format="WAV", subtype="PCM_16")
        file.write(content.getvalue())

    def picture(self) -> np.ndarray:
        low, high = float(self.mel.min()), float(self.mel.max())
        grey = ((self.mel.T[::-1] - low) / max(high - low, 1e-6) * 255).astype(np.uint8)
        return np.repeat(np.repeat(grey, 2, 0), 2, 1)[..., None].repeat(3, 2)


class Utterances(Data):
    """Spectrograms in memory.

    Args:
        mels: (T, bands) of each.
        phones: phonemes of each, none where they are not known.
        frames: frames of each phoneme; their sum is T.
        speakers: of each, by any name; "" for unknown.
        splits: held-out sets by name.

    Attributes:
        names: every phoneme that occurs, in order.
    """

    gives = SpeechBatch

    def __init__(
        self,
        mels: Sequence[np.ndarray],
        phones: Sequence[Sequence[str]],
        frames: Sequence[Sequence[int]],
        speakers: Sequence[str],
        *,
        name: str = "speech",
        splits: Mapping[str, Data] | None = None,
    ) -> None:
        for n, (mel, said, lasts) in enumerate(zip(mels, phones, frames, strict=True)):
            if len(said) != len(lasts) or (len(said) and sum(lasts) != len(mel)):
                raise ValueError(f"utterance {n}: {len(said)} phonemes last {sum(lasts)} frames of {len(mel)}")
        self.name = name
        self.mels = [np.asarray(each, np.float32) for each in mels]
        self.phones, self.frames = [tuple(each) for each in phones], [np.asarray(each, np.int64) for each in frames]
        given = np.array(speakers)
        known = np.unique(given[given != ""])
        self.speakers = np.where(given == "", -1, np.searchsorted(known, given)).astype(np.int64)
        self.labels = given if len(known) and (given != "").all() else None
        self.names = tuple(sorted({phone for each in phones for phone in each}))
        self._splits = dict(splits or {})
        self.skipped: Skipped | None = None

    def __len__(self) -> int:
        return len(self.mels)

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"phones": self.names, "bands": self.mels[0].shape[1]}

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        return {"speech": digest_of(self.mels), "said": digest_of([list(p) for p in self.phones], self.frames)}

    def batch(self, indices: np.ndarray) -> SpeechBatch:
        rows = np.asarray(indices, np.int64)
        mels, frames = ([torch.from_numpy(each[i]) for i in rows] for each in (self.mels, self.frames))
        speakers = torch.from_numpy(self.speakers[rows])
        return SpeechBatch(mels, [self.phones[i] for i in rows], frames, speakers, torch.from_numpy(rows))


def holds_speech(path: Path) -> bool:
    """Whether a file is lines of JSON of which the first has ``audio``."""
    if not path.is_file() or suffix_of(path) not in LINES or path.suffix == ".gz":
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        return '"audio"' in file.readline(1 << 20)


def read_speech(path: Path, *, strict: bool = False, max_bad: float = 0.1) -> Utterances:
    """Lines of JSON: ``{"audio": "a.wav", "phones": ["h", "a"], "seconds": [0.1, 0.2], "speaker": "me"}``.

    Files are named relative to the lines' folder. Phonemes and their seconds, of a forced alignment, may be missing
    from any line, and so may the speaker.

    Raises:
        BadDataError: lines that hold no speech, more than ``max_bad`` of them. ValueError: none that holds any.
    """
    table = read_table(path)
    columns = [
        table.columns.get(name, [None] * len(table.places)) for name in ("audio", "phones", "seconds", "speaker")
    ]
    front, found, bad = LogMel(MEL, RATE), [], []
    for place, *line in zip(table.places, *columns, strict=True):
        try:
            found.append(_utterance(path.parent, front, *line))
        except (SoundError, ValueError, TypeError) as error:
            bad.append((place, str(error)))
    skipped = Skipped(len(table.places) + len(table.bad), strict=strict, max_bad=max_bad, kind="utterances")
    skipped.set_aside([*table.bad, *bad], str(path))
    if not found:
        raise ValueError(f"{path} holds no speech")
    made = Utterances(*map(list, zip(*found, strict=True)), name=path.name)  # type: ignore[arg-type]
    made.skipped = skipped
    return made


def _utterance(folder: Path, front: LogMel, audio: Any, phones: Any, seconds: Any, speaker: Any) -> tuple[Any, ...]:
    if not isinstance(audio, str):
        raise ValueError("it names no audio")
    whole = header(folder / audio)
    if whole.frames / whole.rate > LONGEST:
        raise ValueError(f"its sound is longer than {LONGEST:g} seconds")
    mel = front(torch.from_numpy(read_stretch(whole, RATE))[None])[0].numpy()
    if not phones:
        return mel, (), (), str(speaker or "")
    if len(phones) != len(seconds or ()) or not all(float(each) > 0 for each in seconds):
        raise ValueError("phones and seconds are lists of one length, with seconds above 0")
    ends = np.round(np.cumsum(np.asarray(seconds, np.float64)) / MEL.hop).astype(int)
    ends = np.minimum(ends, len(mel))
    lasts = np.diff(ends, prepend=0)
    if (lasts < 1).any():
        raise ValueError(f"a phoneme is shorter than a frame of {MEL.hop:g} seconds, or lies behind the end")
    return mel[: ends[-1]], tuple(map(str, phones)), tuple(lasts.tolist()), str(speaker or "")


def speech(examples: int | None = None, seed: int = 0, written: float = 0.5) -> Utterances:
    """The embedded set ``speech``: spectra of ten phonemes by 20 speakers, of which a share ``written`` has its
    phonemes written down; 60 utterances by 4 other speakers are held out, all with phonemes."""
    test = _drawn(TEST, 4, seed + 1_000_003, 1.0, "speech, test")
    train = _drawn(examples or TRAIN, VOICES, seed, written, "speech")
    train._splits = {"test": test}
    return train


def _drawn(count: int, speakers: int, seed: int, written: float, name: str) -> Utterances:
    rng = np.random.default_rng(derive_seed(seed, "speech"))
    voices = [(rng.uniform(-1.5, 1.5), rng.uniform(-0.08, 0.08), rng.uniform(0.7, 1.4)) for _ in range(speakers)]
    found = []
    for number in range(count):
        shift, tilt, width = voices[number % speakers]
        phones = tuple(rng.choice([*FORMANTS], int(rng.integers(4, 9))).tolist())
        middle = np.log([FRAMES[phone] for phone in phones])
        lasts = np.clip(np.round(np.exp(middle + 0.4 * rng.normal(size=len(phones)))), 2, 20).astype(int)
        bands = np.arange(20)
        peaks = np.array([FORMANTS[phone] for phone in phones]) + shift
        spectra = np.exp(-0.5 * ((bands[:, None] - peaks[:, None]) / width) ** 2).sum(2)
        mel = np.repeat(spectra, lasts, 0)
        padded = np.pad(mel, ((1, 1), (0, 0)), "edge")
        mel = 3 * (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4 + tilt * (bands - 10) - 4
        mel = mel + 0.3 * rng.normal(size=mel.shape)
        known = (number + number // speakers) * 7 % 10 < round(10 * written)
        found.append((mel, phones if known else (), lasts.tolist() if known else (), f"{seed}-{number % speakers}"))
    return Utterances(*map(list, zip(*found, strict=True)), name=name)  # type: ignore[arg-type]


def prompts_of(batch: SpeechBatch, drawn: Sequence[float]) -> list[Tensor]:
    """For each utterance the spectrogram of another one by its speaker, or its own, chosen by numbers in [0, 1)."""
    prompts = []
    for n, share in enumerate(drawn):
        mates = [n] if batch.speakers[n] < 0 else (batch.speakers == batch.speakers[n]).nonzero()[:, 0].tolist()
        mates = [each for each in mates if each != n] or [n]
        prompts.append(batch.mels[mates[int(share * len(mates))]])
    return prompts
