"""Recognition of speech: a small network over spectrograms, letters, and likelihoods by CTC."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.audio.data.sounds import SoundBatch
from nearfar.encoders.mel import LogMel, Mel

__all__ = ["Letters", "SpeechEncoder", "SpeechNet", "log_likelihood"]


class SpeechNet(nn.Module):
    """Two convolutions, the first of every other frame, and a recurrent network in both directions.

    Args:
        bands: of the spectrograms.
        width: of the states, an even number.

    Shape: spectrograms (N, F, bands) and their numbers of frames (N,), to states (N, ceil(F / 2), width) and theirs.
    """

    def __init__(self, bands: int, width: int = 96) -> None:
        super().__init__()
        if width < 2 or width % 2:
            raise ValueError(f"the width of a speech network must be an even number, got {width}")
        self.out_features = width
        self.first = nn.Conv1d(bands, width, 5, stride=2, padding=2)
        self.second = nn.Conv1d(width, width, 3, padding=1)
        self.norm = nn.LayerNorm(width)
        self.recurrent = nn.GRU(width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, frames: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        x = F.gelu(self.first(frames.transpose(1, 2)))
        x = self.norm(F.gelu(self.second(x)).transpose(1, 2))
        counts = (counts + 1) // 2
        packed = nn.utils.rnn.pack_padded_sequence(x, counts.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.recurrent(packed)[0], batch_first=True)
        return states, counts


class SpeechEncoder(nn.Module):
    """A network on log-mel spectrograms in which every band of an utterance has mean 0 and variance 1.

    Args:
        network: see :class:`SpeechNet`, whose call and ``out_features`` any other has too.
        mel: what the spectrograms are made with.
        rate: samples a second.

    Shape: a :class:`SoundBatch` to states (N, F, D) and how many of them are each utterance's (N,).
    """

    def __init__(self, network: nn.Module, mel: Mel, rate: int) -> None:
        super().__init__()
        self.front, self.network = LogMel(mel, rate), network
        self.out_features = int(network.out_features)  # type: ignore[arg-type]

    def forward(self, sounds: SoundBatch) -> tuple[Tensor, Tensor]:
        with torch.no_grad(), torch.autocast(sounds.waves.device.type, enabled=False):
            frames = self.front(sounds.waves)
            window, hop = self.front.window, self.front.hop
            counts = ((sounds.lengths - window).div(hop, rounding_mode="floor") + 1).clamp(1, frames.shape[1])
            there = (torch.arange(frames.shape[1], device=frames.device) < counts.unsqueeze(1)).unsqueeze(2)
            n = counts.view(-1, 1, 1)
            mean = (frames * there).sum(1, keepdim=True) / n
            spread = (((frames - mean) * there).square().sum(1, keepdim=True) / n).sqrt()
            frames = (frames - mean) / (spread + 1e-3) * there
        return self.network(frames, counts)


class Letters:
    """Texts as numbers of their letters, from 1; 0 is the blank of CTC.

    Args:
        letters: every letter that is written, the space with them; others are passed over.

    Raises:
        ValueError: no letter.
    """

    def __init__(self, letters: str) -> None:
        if not letters:
            raise ValueError("no letter is known; data whose turns are written down brings them along")
        self.letters = "".join(dict.fromkeys(letters))
        self._number = {letter: number for number, letter in enumerate(self.letters, 1)}

    def __len__(self) -> int:
        return len(self.letters) + 1

    def numbers(self, text: str) -> list[int]:
        return [self._number[letter] for letter in text if letter in self._number]

    def written(self, best: Sequence[int]) -> str:
        """What a path of best letters says: repeats once, without blanks."""
        told = (number for number, _ in itertools.groupby(best))
        return " ".join("".join(self.letters[number - 1] for number in told if number).split())


def log_likelihood(log_probs: Tensor, counts: Tensor, texts: Sequence[Sequence[int]]) -> Tensor:
    """The log likelihood under CTC (Graves et al. 2006, ICML) of a text of each utterance.

    Args:
        log_probs: (N, F, letters).
        counts: (N,) frames of each.
        texts: N sequences of letters, without blanks.

    Returns:
        (N,); 0 without a gradient where an utterance is too short for its text.
    """
    lengths = torch.tensor([len(text) for text in texts], device=counts.device)
    flat = torch.tensor([number for text in texts for number in text], dtype=torch.long, device=counts.device)
    found = F.ctc_loss(log_probs.transpose(0, 1), flat, counts, lengths, reduction="none", zero_infinity=True)
    return -found
