"""Labels that are texts: words of a sentence in their place, and scores of sentences and labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.text.transforms.lexicon import STOP_WORDS

__all__ = ["Candidates", "LabelMatcher", "Matching", "pseudo_labels"]

Matching = Literal["cosine", "bilinear", "mlp"]


class Candidates:
    """Labels that are read in a step, with which of them are whose.

    Attributes:
        texts: L strings.
        positive, negative: (N, L) bool; what is neither takes no part.
    """

    def __init__(self, texts: Sequence[str], positive: Tensor, negative: Tensor) -> None:
        self.texts, self.positive, self.negative = [*texts], positive, negative


def pseudo_labels(
    sentences: Sequence[str], seeds: Sequence[int], *, positives: int, negatives: int, power: float = 0.75
) -> Candidates:
    """Words of sentences in the place of labels.

    Of each sentence up to so many different words are drawn that are no stop words; further ones are drawn from all
    sentences, a word as often as its count to a ``power``. A word is negative for every sentence that has it nowhere.

    Args:
        sentences: N strings.
        seeds: N numbers that decide.
        positives: words of each sentence, at least 1.
        negatives: further words of all together, at least 0.
        power: 0 draws rare words like frequent ones, 1 as often as they occur.
    """
    spoken = [[*dict.fromkeys(text.lower().split())] for text in sentences]
    content = [[w for w in words if w not in STOP_WORDS] or words for words in spoken]
    drawn: dict[str, None] = {}
    own = []
    for words, seed in zip(content, seeds, strict=True):
        order = np.random.default_rng(seed).permutation(len(words))[:positives]
        own.append({words[i] for i in order})
        drawn |= dict.fromkeys(words[i] for i in order)
    counts = Counter(w for words in content for w in words)
    others = sorted(counts.keys() - drawn.keys())
    if others and negatives:
        weights = np.array([counts[w] for w in others], dtype=np.float64) ** power
        rng = np.random.default_rng([*seeds])
        chosen = rng.choice(len(others), min(negatives, len(others)), replace=False, p=weights / weights.sum())
        drawn |= dict.fromkeys(others[i] for i in chosen)
    texts = [*drawn]
    positive = torch.tensor([[w in mine for w in texts] for mine in own])
    has = torch.tensor([[w in words for w in texts] for words in map(set, spoken)])
    shape = len(sentences), len(texts)
    return Candidates(texts, positive.view(shape), ~has.view(shape))


class LabelMatcher(nn.Module):
    """Scores of texts and labels.

    Args:
        width: of their vectors.
        matching: ``cosine``, times a scale and plus a number, learned from 10 and -10 on as SigLIP's; ``bilinear``,
            ``x W y`` plus a number; ``mlp``, two layers on both vectors.

    Shape: texts (N, width) and labels (L, width), to (N, L).
    """

    def __init__(self, width: int, matching: Matching = "cosine") -> None:
        super().__init__()
        if matching not in get_args(Matching):
            raise ValueError(f"matching must be one of {', '.join(get_args(Matching))}; got {matching!r}")
        self.matching = matching
        # Begun so that few labels are said to be a text's, as few are.
        self.bias = nn.Parameter(torch.tensor(-10.0 if matching == "cosine" else 0.0))
        if matching == "cosine":
            self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        elif matching == "bilinear":
            self.weight = nn.Parameter(torch.eye(width) / width**0.5)
        else:
            self.layers = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, texts: Tensor, labels: Tensor) -> Tensor:
        if self.matching == "cosine":
            cosines = F.normalize(texts, dim=1) @ F.normalize(labels, dim=1).t()
            return self.log_scale.clamp_max(4.6).exp() * cosines + self.bias
        if self.matching == "bilinear":
            return texts @ self.weight @ labels.t() + self.bias
        count, other = len(texts), len(labels)
        both = torch.cat([texts.unsqueeze(1).expand(-1, other, -1), labels.expand(count, -1, -1)], 2)
        return self.layers(both).squeeze(2) + self.bias
