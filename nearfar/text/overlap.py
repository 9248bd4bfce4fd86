"""How much a written text shares with its reference: n-grams of tokens, and BLEU of words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["bleu", "ngram_overlap"]


def ngram_overlap(reference: Tensor, candidates: Tensor, padding: int, *, n: int = 2) -> Tensor:
    """CoNT's oracle (arXiv 2205.14690; released ``model/model.py``): n-gram precision times a brevity penalty.

    The precision is the share of a candidate's n-grams that occur anywhere in the reference, repeated ones counted
    each time. The penalty is ``exp(1 - r / c)`` where the candidate's length c is not above the reference's r. The
    first place, the start token, always counts, whatever its id. The release means that too and marks the first
    candidate instead of the first place, so that with T5 a copy of the reference does not score 1; not so here.

    Args:
        reference: (B, T) int64 ids, padded on the right.
        candidates: (B, K, T') int64 ids, the same.
        padding: the id of padding.
        n: tokens of an n-gram; fewer where texts are shorter.

    Returns:
        (B, K) float32 in [0, 1].
    """
    if reference.ndim != 2 or candidates.ndim != 3 or len(reference) != len(candidates):
        raise ValueError(
            f"reference and candidates are (B, T) and (B, K, T'), got {tuple(reference.shape)} and "
            f"{tuple(candidates.shape)}"
        )
    n = min(n, reference.shape[1], candidates.shape[2])
    r_there, c_there = _there(reference, padding), _there(candidates, padding)
    r_grams, c_grams = reference.unfold(-1, n, 1), candidates.unfold(-1, n, 1)
    r_whole, c_whole = r_there.unfold(-1, n, 1).all(-1), c_there.unfold(-1, n, 1).all(-1)
    equal = (c_grams.unsqueeze(3) == r_grams[:, None, None]).all(-1) & r_whole[:, None, None]
    shared = (equal.any(-1) & c_whole).sum(-1).float() / c_whole.sum(-1).clamp_min(1)
    r, c = r_there.sum(-1, keepdim=True).float(), c_there.sum(-1).float()
    return shared * torch.where(r >= c, (1 - r / c).exp(), 1.0)


def _there(ids: Tensor, padding: int) -> Tensor:
    there = ids != padding
    there[..., 0] = True
    return there


def bleu(written: Sequence[str], references: Sequence[str], *, n: int = 4) -> float:
    """BLEU of a corpus (Papineni et al. 2002, ACL) of words parted by spaces, in [0, 100]; one reference a text.

    0 where there is no n-gram of some length in common: it is not smoothed.
    """
    shared, made = [0] * n, [0] * n
    ours = theirs = 0
    for text, reference in zip(written, references, strict=True):
        a, b = text.split(), reference.split()
        ours, theirs = ours + len(a), theirs + len(b)
        for size in range(1, n + 1):
            left, right = (Counter(zip(*(w[i:] for i in range(size)), strict=False)) for w in (a, b))
            shared[size - 1] += (left & right).total()
            made[size - 1] += left.total()
    if min(shared) == 0:
        return 0.0
    precision = sum(math.log(s / m) for s, m in zip(shared, made, strict=True)) / n
    return 100 * math.exp(precision + min(0.0, 1 - theirs / ours))
