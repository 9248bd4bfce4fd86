"""Yes or no to whoever trained without labels."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

NEEDED = ("view retrieval", "lidar", "pictures")


def answer_without_labels(trained: Mapping[str, float], untrained: Mapping[str, float]) -> str:
    """One sentence on whether training helped, from measures that ask for no label; empty where they are missing.

    Yes, if a picture's other view is found more often by more than two standard errors and LiDAR is higher; no, if it
    is found less often by as much or neither is better; else it cannot be told.
    """
    if not all(name in scores for name in NEEDED for scores in (trained, untrained)):
        return ""
    count = trained["pictures"]
    shares = [scores["view retrieval"] for scores in (trained, untrained)]
    error = sqrt(sum(max(p * (1 - p), 1 / count) / count for p in shares))
    gain, wider = shares[0] - shares[1], trained["lidar"] > untrained["lidar"]
    if gain > 2 * error and wider:
        verdict = "yes"
    elif gain < -2 * error or (gain <= 0 and not wider):
        verdict = "no"
    else:
        verdict = "cannot be told"
    return (
        f"Better than untrained, without labels: {verdict}. Another view of a picture is found among {count:.0f} "
        f"{shares[0]:.0%} of the time (untrained {shares[1]:.0%}, give or take {2 * error:.0%}), and LiDAR is "
        f"{trained['lidar']:.1f} (untrained {untrained['lidar']:.1f})."
    )
