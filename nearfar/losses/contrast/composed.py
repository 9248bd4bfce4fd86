"""Pairs of modalities, with sentences that are right and wrong about one of the rows alone (CompA)."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import floating, full_precision, inverse_temperature, paired, unit_rows
from nearfar.losses.contrast.infonce import info_nce
from nearfar.losses.engine.logsumexp import cross_logsumexp
from nearfar.losses.engine.tiles import LOG2E, exponents_are_bounded


@full_precision
def composition_contrast(
    sounds: Tensor,
    captions: Tensor,
    *,
    temperature: float | Tensor,
    positives: Tensor | None = None,
    negatives: Tensor | None = None,
    positive_mask: Tensor | None = None,
    negative_mask: Tensor | None = None,
    normalize: bool = True,
) -> Tensor:
    r"""CompA's contrast of sounds with captions, of which each sound may have more of its own (arXiv 2310.08753).

    Let :math:`P_i` be caption i and the row's ``positives``, and :math:`C_i` the captions of all rows, the row's
    positives and its ``negatives``. With cosines s over :math:`\tau`, averaged over rows,

    .. math::
        L_\text{sound} = -\operatorname{mean}_i \frac{1}{|P_i|} \sum_{p \in P_i}
            \log \frac{e^{s(x_i, p)}}{\sum_{c \in C_i} e^{s(x_i, c)}}, \qquad
        L_\text{text} = -\operatorname{mean}_{p \in \cup_i P_i}
            \log \frac{e^{s(x_{i(p)}, p)}}{\sum_j e^{s(x_j, p)}}, \qquad
        L = \frac{L_\text{sound} + L_\text{text}}{2} .

    What belongs to one row is hidden from the others, as a part of one row's sentence may be true of another row too.
    With negatives alone that is the paper's second stage, with both its third, with neither
    :func:`symmetric_info_nce`. The released code (Sreyan88/CompA, ``clap_module/loss.py``) hides scores by a
    factor of -100,000, which makes the hidden ones enormous where they are below 0; here they are left out. For
    positives and negatives that all rows share, see :func:`info_nce` and :func:`supcon`.

    Memory grows linearly with N.

    Args:
        sounds: (N, D).
        captions: (N, D), row i true of sound i.
        temperature: a positive float or a 0-d tensor that may need a gradient.
        positives: (N, P, D), further sentences that are true of each sound.
        negatives: (N, K, D), sentences that are wrong about each sound.
        positive_mask: (N, P) boolean, which of them are there; all if not given.
        negative_mask: (N, K), the same of the negatives.
        normalize: L2-normalise every row first; ``False`` takes inner products as they are.

    Returns:
        A scalar, at least 0; 0 for one row with nothing of its own.

    Raises:
        TypeError: a dtype that is not floating, or a mask that is not boolean.
        ValueError: shapes, devices or a temperature that do not fit.
    """
    given = sounds, captions
    sounds, captions = paired(sounds=sounds, captions=captions)
    scale = inverse_temperature(temperature, sounds)
    bounded = exponents_are_bounded(scale, normalize)
    true, there = _of_each("positive", positives, positive_mask, sounds)
    wrong, wrong_there = _of_each("negative", negatives, negative_mask, sounds)
    n = len(sounds)

    x, c = sounds, captions
    if normalize:
        x, c, true, wrong = (unit_rows(rows.flatten(0, -2)).view(rows.shape) for rows in (x, c, true, wrong))
    right = torch.cat([c.unsqueeze(1), true], 1)
    is_right = torch.cat([there.new_ones(n, 1), there], 1)
    scores = torch.einsum("nd,npd->np", x, torch.cat([right, wrong], 1)) * scale
    own = scores.masked_fill(~torch.cat([is_right, wrong_there], 1), -torch.inf).logsumexp(1)
    root = (scale * LOG2E) ** 0.5
    others, _ = cross_logsumexp(x * root, c * root, skip_diagonal=True, columns=False, bounded=bounded, given=given)
    lost = (torch.logaddexp(own, others).unsqueeze(1) - scores[:, : right.shape[1]]).masked_fill(~is_right, 0.0)
    forth = (lost.sum(1) / is_right.sum(1)).mean()

    row, place = is_right.nonzero(as_tuple=True)
    back = info_nce(right[row, place], x, target=row, temperature=temperature, normalize=False)
    return (forth + back) / 2


def _of_each(what: str, rows: Tensor | None, mask: Tensor | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """What is each row's own (N, P, D), of length 1, and which of it is there (N, P)."""
    n, d = like.shape
    if rows is None:
        if mask is not None:
            raise ValueError(f"{what}_mask needs {what}s")
        return like.new_zeros(n, 0, d), torch.zeros(n, 0, dtype=torch.bool, device=like.device)
    rows = floating(like=like, rows=rows)[1]
    if rows.ndim != 3 or rows.shape[0] != n or rows.shape[2] != d:
        raise ValueError(f"{what}s must have shape (N, P, D) = ({n}, P, {d}), got {tuple(rows.shape)}")
    if mask is None:
        mask = torch.ones(rows.shape[:2], dtype=torch.bool, device=rows.device)
    if mask.dtype != torch.bool:
        raise TypeError(f"{what}_mask must be a boolean tensor, got {mask.dtype}")
    if mask.shape != rows.shape[:2]:
        raise ValueError(f"{what}_mask must have shape {tuple(rows.shape[:2])}, got {tuple(mask.shape)}")
    return rows.to(like.dtype), mask
