"""Log-mel spectrograms: released values, a slow form of librosa's formula, blocks, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar.encoders import mel as module
from nearfar.encoders.mel import LogMel, Mel, mel_matrix
from tests.parity import ParityCase, parity

LIBROSA = Mel(bands=20, fft=256, low=0.0, scale="slaney", edges="hertz", area=True, power=2, centred=True, floor=1e-10)


@pytest.mark.parametrize("case", parity("cola", "log_mel"))
def test_the_spectrogram_is_that_of_the_release(case: ParityCase) -> None:
    arrays, hyper = case.load(), case.hyper
    rate = hyper["sample_rate"]
    mel = Mel(
        bands=hyper["n_mels"],
        window=hyper["frame_length"] / rate,
        hop=hyper["frame_step"] / rate,
        fft=hyper["fft_length"],
        low=hyper["fmin"],
        high=hyper["fmax"],
    )
    found = LogMel(mel, rate)(arrays["in_wave"].detach()[None])[0]
    torch.testing.assert_close(found, arrays["out_log_mel"], rtol=0, atol=2e-4)


def slow_librosa(wave: np.ndarray, mel: Mel, rate: int) -> np.ndarray:
    """librosa.feature.melspectrogram with zero padding and its logarithm, frame by frame, bin by bin."""
    window, hop, fft = round(mel.window * rate), round(mel.hop * rate), mel.fft
    padded = np.concatenate([np.zeros(fft // 2), wave, np.zeros(fft // 2)])
    taper = np.zeros(fft)
    first = (fft - window) // 2
    taper[first : first + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)

    def hertz(m: float) -> float:
        return m * 200 / 3 if m < 15 else 1000 * np.exp(np.log(6.4) / 27 * (m - 15))

    def mels(f: float) -> float:
        return f * 3 / 200 if f < 1000 else 15 + np.log(f / 1000) / (np.log(6.4) / 27)

    top = min(mel.high, rate / 2)
    corners = [hertz(m) for m in np.linspace(mels(mel.low), mels(top), mel.bands + 2)]
    rows = []
    for start in range(0, len(padded) - fft + 1, hop):
        frame = padded[start : start + fft] * taper
        angles = -2j * np.pi * np.outer(np.arange(fft // 2 + 1), np.arange(fft)) / fft
        power = np.abs(np.exp(angles) @ frame) ** 2
        row = []
        for low, peak, high in zip(corners, corners[1:], corners[2:], strict=False):
            total = 0.0
            for k, p in enumerate(power):
                f = k * rate / fft
                if low < f < high:
                    total += p * ((f - low) / (peak - low) if f <= peak else (high - f) / (high - peak))
            row.append(np.log(max(2 / (high - low) * total, mel.floor)))
        rows.append(row)
    return np.array(rows)


def test_the_spectrogram_is_librosas_formula() -> None:
    wave = np.random.default_rng(0).normal(size=1003) * 0.1
    expected = slow_librosa(wave, LIBROSA, 8000)
    found = LogMel(LIBROSA, 8000)(torch.tensor(wave, dtype=torch.float32)[None])[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_librosa_itself_agrees_where_it_is_installed() -> None:
    librosa = pytest.importorskip("librosa")
    wave = np.random.default_rng(0).normal(size=4000).astype(np.float32)
    options = {"n_fft": 256, "win_length": 200, "hop_length": 80, "n_mels": 20, "fmin": 0.0, "fmax": 4000.0}
    expected = np.log(
        np.maximum(librosa.feature.melspectrogram(y=wave, sr=8000, pad_mode="constant", **options), 1e-10)
    )
    found = LogMel(LIBROSA, 8000)(torch.from_numpy(wave)[None])[0].numpy()
    np.testing.assert_allclose(found, expected.T, atol=1e-4)


@pytest.mark.parametrize("mel", [Mel(bands=8), Mel(bands=8, centred=True, power=2, taper="hamming")])
def test_blocks_change_nothing_and_short_waves_have_a_frame(mel: Mel, monkeypatch: pytest.MonkeyPatch) -> None:
    waves = torch.randn(3, 2001, generator=torch.Generator().manual_seed(0))
    front = LogMel(mel, 8000)
    whole = front(waves)
    assert whole.shape == (3, front.frames(2001), 8)
    monkeypatch.setitem(module.BLOCK, "cpu", 1)
    torch.testing.assert_close(front(waves), whole, rtol=1e-5, atol=1e-5)
    assert front(waves[:, :7]).shape == (3, 1, 8)


def test_a_tone_is_in_the_band_of_its_frequency() -> None:
    t = torch.arange(8000) / 8000
    matrix = mel_matrix(Mel(bands=40, fft=1024, high=3800.0), 8000)
    front = LogMel(Mel(bands=40, fft=1024, high=3800.0), 8000)
    for hertz in (300.0, 1000.0, 3000.0):
        loudest = front(torch.sin(2 * np.pi * hertz * t)[None])[0].mean(0).argmax()
        assert loudest == matrix[round(hertz * 1024 / 8000)].argmax()


@pytest.mark.parametrize(
    ("options", "rate", "expected"),
    [
        ({"bands": 0}, 8000, "mel.bands must be at least 1, got 0"),
        ({"scale": "bark"}, 8000, "mel.scale must be one of htk, slaney, got 'bark'"),
        ({"fft": 100}, 8000, "mel.fft must hold a frame of 200 samples, got 100"),
        ({"low": 100.0, "high": 50.0}, 8000, "mel.high must be above mel.low"),
        ({}, 0, "at least 1 sample a second, got 0"),
        ({}, 100, "mel.low must be below half of the rate of 100"),
    ],
)
def test_what_makes_no_spectrogram_is_refused(options: dict, rate: int, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        LogMel(Mel(**options), rate)


def test_waves_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected waves \(N, T\)"):
        LogMel(Mel(), 8000)(torch.zeros(5))
