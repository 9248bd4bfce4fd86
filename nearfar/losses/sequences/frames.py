"""Hidden frames found among others of their recording (wav2vec 2.0, CoLLD)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import floating, full_precision, inverse_temperature, whole_numbers

# Targets of this cosine are one: of silence, for instance.
SAME = 1 - 1e-6


@full_precision
def masked_frame_contrast(
    predicted: Tensor,
    targets: Tensor,
    mask: Tensor,
    distractors: Tensor,
    *,
    temperature: float | Tensor = 0.1,
) -> Tensor:
    r"""What is predicted for a hidden frame has to find its target among those of other frames of its recording.

    .. math::
        \ell_t = -\log \frac{e^{\cos(p_t, y_t) / \tau}}
            {e^{\cos(p_t, y_t) / \tau} + \sum_{s \in D_t} e^{\cos(p_t, y_s) / \tau}} ,

    averaged over the frames of ``mask`` that have a distractor (wav2vec 2.0, arXiv 2006.11477, section 3.2; CoLLD,
    arXiv 2309.07707, for every layer). A distractor that is the frame itself, or whose target has the direction of the
    frame's own, is left out, as in the released code (transformers' ``Wav2Vec2ForPreTraining``); one that is drawn
    twice counts twice. Where recordings are not cut into frames, see :func:`info_nce`. All pairs of frames of a
    recording are compared, so memory grows with the square of its length.

    Args:
        predicted: (N, T, D).
        targets: (N, T, D).
        mask: (N, T) boolean, the hidden frames.
        distractors: (N, T, K) integers in [0, T), the frames that each is told from; those of frames that are not
            hidden have no effect.
        temperature: a positive float or a 0-d tensor.

    Returns:
        A scalar, at least 0; 0 where no frame has a distractor.

    Raises:
        TypeError: a dtype that is not floating, a mask that is not boolean, or distractors that are no integers.
        ValueError: shapes or a temperature that do not fit.
    """
    predicted, targets = floating(predicted=predicted, targets=targets)
    if predicted.ndim != 3 or predicted.shape != targets.shape:
        raise ValueError(
            f"predicted and targets must have one shape (N, T, D), got {tuple(predicted.shape)} and "
            f"{tuple(targets.shape)}"
        )
    n, steps, _ = predicted.shape
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise TypeError("mask must be a boolean tensor, true where frames are hidden")
    if mask.shape != (n, steps):
        raise ValueError(f"mask must have shape (N, T) = ({n}, {steps}), got {tuple(mask.shape)}")
    if distractors.ndim != 3 or not distractors.shape[2]:
        raise ValueError(f"distractors must have shape (N, T, K), K at least 1; got {tuple(distractors.shape)}")
    others = whole_numbers("distractors", distractors, (n, steps, distractors.shape[2]))
    scale = inverse_temperature(temperature, predicted)

    p, y = F.normalize(predicted, dim=2), F.normalize(targets, dim=2)
    scores = (p @ y.transpose(1, 2)) * scale
    positive = scores.diagonal(dim1=1, dim2=2)
    with torch.no_grad():
        same = (y @ y.transpose(1, 2)).gather(2, others) >= SAME
        itself = others == torch.arange(steps, device=others.device)[:, None]
        away = same | itself
    negative = scores.gather(2, others).masked_fill(away, -torch.inf)
    lost = torch.logsumexp(torch.cat([positive.unsqueeze(2), negative], 2), 2) - positive
    counted = mask & ~away.all(2)
    return torch.where(counted, lost, 0.0).sum() / counted.sum().clamp_min(1)
