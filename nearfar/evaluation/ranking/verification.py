"""Same or different? Error rates of verification trials (speakers, faces, re-identification)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.evaluation._arrays import binary, vector
from nearfar.evaluation.ranking._binary import operating_points


def verification(
    scores: Any, labels: Any, *, p_target: float = 0.01, cost_miss: float = 1.0, cost_false_alarm: float = 1.0
) -> dict[str, float]:
    """Equal error rate and minimum detection cost of trials whose score is high for "same".

    - ``eer``: max(FNR, FPR) at the threshold where they are closest, as sslsv reports it
      (theolepage/sslsv, _SpeakerVerificationEvaluation.py; there times 100);
    - ``eer_interpolated``: where the straight lines between operating points cross FNR = FPR. It differs by
      at most one trial when scores are all different, and is the one to read when many are equal;
    - ``min_dcf``: min_t [c_miss FNR p + c_fa FPR (1-p)] / min(c_miss p, c_fa (1-p)), NIST SRE 2016 plan,
      eq. 2-4; at most 1;
    - ``cllr``: cost of the scores read as log-likelihood ratios, [mean log2(1 + e^-s) over same + mean
      log2(1 + e^s) over different] / 2. Meaningless for cosines that were not calibrated.

    Equal scores form one operating point. sslsv leaves them in the order given, so that its numbers depend on
    the order of the trials; without ties both agree.

    Args:
        scores: (N,) finite. Average over crops and normalise before, if that is the protocol.
        labels: (N,) 1 for same, 0 for different, both present.
        p_target: prior of "same": 0.01 in sslsv and most papers, 0.05 in VoxSRC.
        cost_miss, cost_false_alarm: positive costs.

    Raises:
        ValueError: different lengths, one group only, not finite, prior outside (0, 1), costs not positive.
    """
    s = vector(scores, "scores")
    same = binary(labels, "labels", length=len(s))
    if not 0 < p_target < 1:
        raise ValueError(f"p_target must lie in (0, 1), got {p_target}")
    if min(cost_miss, cost_false_alarm) <= 0:
        raise ValueError(f"costs must be positive, got cost_miss={cost_miss}, cost_false_alarm={cost_false_alarm}")
    points = operating_points(s, same)
    # From the lowest threshold (everything accepted) to above the highest score (nothing accepted).
    fnr = np.append((same.sum() - points.true_positives[::-1]) / same.sum(), 1.0)
    fpr = np.append(points.false_positives[::-1] / (~same).sum(), 0.0)
    nearest = int(np.argmin(np.abs(fnr - fpr)))
    cost = cost_miss * p_target * fnr + cost_false_alarm * (1 - p_target) * fpr
    return {
        "eer": float(max(fnr[nearest], fpr[nearest])),
        "eer_interpolated": _crossing(fnr, fpr),
        "min_dcf": float(cost.min() / min(cost_miss * p_target, cost_false_alarm * (1 - p_target))),
        "cllr": float(np.logaddexp(0, -s[same]).mean() + np.logaddexp(0, s[~same]).mean()) / (2 * np.log(2)),
    }


def best_f1(scores: Any, labels: Any) -> float:
    """The largest F1 of pairs over all thresholds, where a pair at or above the threshold is called the same.

    Args:
        scores: (N,) finite.
        labels: (N,) 1 for same, 0 for different, both present.

    Raises:
        ValueError: different lengths, one group only, not finite.
    """
    s = vector(scores, "scores")
    same = binary(labels, "labels", length=len(s))
    points = operating_points(s, same)
    called = points.true_positives + points.false_positives
    return float((2 * points.true_positives / (called + same.sum())).max())


def _crossing(fnr: np.ndarray, fpr: np.ndarray) -> float:
    gap = fnr - fpr  # increasing, from -1 to 1
    after = int(np.searchsorted(gap, 0.0))
    if gap[after] == 0:
        return float(fnr[after])
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(fnr[after - 1] + share * (fnr[after] - fnr[after - 1]))
