"""Log-mel spectrograms: ours beside torch.stft and, where it is installed, librosa, in turns, on one thread.

    python benchmarks/log_mel.py
    python benchmarks/log_mel.py --sizes 64x16000 8x480000 --json benchmarks/results/log-mel.json

Sizes are sounds x samples, at 16 kHz, frames of 25 ms every 10 ms, 64 bands. Seconds are the processor's, medians of
sides that take turns in one process; ``torch.stft`` and librosa make the same numbers (ours are set to the framing of
each). Megabytes are what a fresh process needs beyond its input, at its peak, the result included.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from measuring import peak_kilobytes
from nearfar.audio.mel import LogMel, Mel
from torch import Tensor

RATE = 16000
SETTINGS = {
    "COLA, fft of 1024": Mel(fft=1024),
    "fft of 512": Mel(fft=512),
    "librosa's": Mel(fft=512, scale="slaney", edges="hertz", area=True, power=2, centred=True, floor=1e-10),
}


def stft(front: LogMel) -> Callable[[Tensor], Tensor]:
    """The usual way: torch.stft, magnitudes, one product with the bands, logarithm."""
    mel, matrix = front.mel, front.matrix
    # torch.stft puts a window that is shorter than the transform into the middle of longer frames.
    outside = (front.fft - front.window) // 2

    def side(waves: Tensor) -> Tensor:
        if mel.centred:
            waves = torch.nn.functional.pad(waves, (front.fft // 2, front.fft // 2))
        else:
            waves = torch.nn.functional.pad(waves, (outside, outside))
        spectrum = torch.stft(
            waves, front.fft, front.hop, front.window, front.taper, center=False, return_complex=True
        ).abs()[:, front.heard]
        if mel.power == 2:
            spectrum = spectrum.square()
        return (matrix.t() @ spectrum).clamp_min(mel.floor).log()

    return side


def librosa_side(front: LogMel) -> Callable[[Tensor], Tensor]:
    import librosa
    import numpy as np

    mel = front.mel

    def side(waves: Tensor) -> Tensor:
        found = librosa.feature.melspectrogram(
            y=waves.numpy(),
            sr=RATE,
            n_fft=front.fft,
            win_length=front.window,
            hop_length=front.hop,
            n_mels=mel.bands,
            fmin=mel.low,
            fmax=mel.high,
            pad_mode="constant",
        )
        return torch.from_numpy(np.log(np.maximum(found, mel.floor)))

    return side


def sounds(size: str) -> Tensor:
    count, samples = map(int, size.split("x"))
    return 0.1 * torch.randn(count, samples, generator=torch.Generator().manual_seed(0))


def sides_of(setting: str) -> dict[str, Callable[[Tensor], Tensor]]:
    front = LogMel(SETTINGS[setting], RATE)
    sides: dict[str, Callable[[Tensor], Tensor]] = {"torch.stft": stft(front)}
    if setting == "librosa's" and importlib.util.find_spec("librosa"):
        sides["librosa"] = librosa_side(front)
    return {**sides, "nearfar": front}


def probe(name: str, setting: str, size: str) -> None:
    """In a fresh process: the megabytes that a side needs beyond its input."""
    side, waves = sides_of(setting)[name], sounds(size)
    side(sounds("1x4000"))
    print(peak_kilobytes(lambda: side(waves)) / 1024)


def measure(setting: str, size: str, repeats: int) -> dict[str, dict[str, float]]:
    waves, sides = sounds(size), sides_of(setting)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, side in sides.items():
            start = time.process_time()
            side(waves)
            if turn:  # the first plans its transforms
                times[name].append(time.process_time() - start)
    found = {}
    for name in sides:
        command = [sys.executable, __file__, "--probe", name, setting, size]
        peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[name] = {"seconds": statistics.median(times[name]), "megabytes": float(peak)}
    ours = sides["nearfar"](waves).transpose(1, 2)
    for name, side in sides.items():
        if name != "nearfar":
            found["nearfar"][f"times faster than {name}"] = found[name]["seconds"] / found["nearfar"]["seconds"]
            found["nearfar"][f"largest difference from {name}"] = float((ours - side(waves)).abs().max())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["64x16000", "8x480000"], help="sounds x samples")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--probe", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.probe:
        with torch.no_grad():
            probe(*options.probe)
        return
    results: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    with torch.no_grad():
        for setting in SETTINGS:
            for size in options.sizes:
                found = measure(setting, size, options.repeats)
                results.setdefault(setting, {})[size] = found
                print(setting, size, json.dumps(found), flush=True)
    if options.json:
        environment = {"torch": torch.__version__, "machine": platform.machine(), "threads": 1}
        options.json.write_text(json.dumps({"environment": environment, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
