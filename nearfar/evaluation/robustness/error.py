"""Corruption error: how much worse on corrupted inputs, relative to a reference model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nearfar.evaluation._arrays import vector


@dataclass(frozen=True)
class CorruptionError:
    """Errors under corruption; lower is better except for ``mean_accuracy``.

    Attributes:
        mce: mean over corruptions of ``per_corruption``, in percent; the reference has 100.
        relative_mce: the same for the *increase* of the error over clean inputs; ``None`` without clean
            errors.
        mean_accuracy: 1 - mean error over corruptions and severities, in [0, 1]; needs no reference.
        per_corruption: name -> 100 · sum of errors / sum of the reference's errors.
        relative_per_corruption: name -> 100 · sum of increases / sum of the reference's increases.
    """

    mce: float
    relative_mce: float | None
    mean_accuracy: float
    per_corruption: dict[str, float]
    relative_per_corruption: dict[str, float] = field(default_factory=dict)


def corruption_error(
    errors: Mapping[str, Sequence[float]],
    reference: Mapping[str, Sequence[float]],
    *,
    clean: float | None = None,
    reference_clean: float | None = None,
) -> CorruptionError:
    """mCE and relative mCE of ImageNet-C (Hendrycks & Dietterich 2019, eq. 1 and 2).

    CE_c = sum_s E[c, s] / sum_s Eref[c, s], a ratio of sums, not a mean of ratios; mCE = 100 · mean_c CE_c;
    relative mCE = 100 · mean_c [ sum_s (E[c, s] - clean) / sum_s (Eref[c, s] - reference_clean) ]. Normalised
    by AlexNet on ImageNet-C (google-research/augmix imagenet.py); hendrycks/robustness test.py prints the
    mean error without normalisation, over all 19 corruptions. On small data name the reference, usually
    supervised training.

    Args:
        errors: corruption -> error rates in [0, 1], one per severity (five in the benchmark).
        reference: the same corruptions and severities for the reference model.
        clean, reference_clean: errors on clean inputs, both or neither.

    Raises:
        ValueError: other corruptions or severities in the reference, rates outside [0, 1], or a reference
            that makes no error, or none more than on clean inputs, under some corruption.
    """
    for name, rates in (("errors", errors), ("reference", reference)):
        if not isinstance(rates, Mapping):
            raise TypeError(f"{name} must map corruptions to rates, got {type(rates).__name__}")
    if not errors or set(errors) != set(reference):
        raise ValueError(
            "errors and reference must hold the same corruptions, at least one; these are in one only: "
            f"{sorted(set(errors) ^ set(reference))}"
        )
    if (clean is None) != (reference_clean is None):
        raise ValueError("clean and reference_clean must be given together")
    own = {name: _rates(rates, f"errors[{name!r}]") for name, rates in errors.items()}
    other = {name: _rates(reference[name], f"reference[{name!r}]", len(own[name])) for name in own}
    plain = {name: _percent(name, own[name].sum(), other[name].sum(), "makes no error") for name in own}
    relative = {}
    if clean is not None and reference_clean is not None:
        _rates([clean, reference_clean], "clean and reference_clean")
        relative = {
            name: _percent(
                name,
                (own[name] - clean).sum(),
                (other[name] - reference_clean).sum(),
                "makes no more errors than on clean inputs",
            )
            for name in own
        }
    return CorruptionError(
        mce=float(np.mean(list(plain.values()))),
        relative_mce=float(np.mean(list(relative.values()))) if relative else None,
        mean_accuracy=float(1 - np.mean([rates.mean() for rates in own.values()])),
        per_corruption=plain,
        relative_per_corruption=relative,
    )


def _rates(values: Sequence[float], name: str, length: int | None = None) -> np.ndarray:
    rates = vector(values, name, length=length)
    if rates.min() < 0 or rates.max() > 1:
        raise ValueError(f"{name} must be error rates in [0, 1], got {rates.min():g} to {rates.max():g}")
    return rates


def _percent(name: str, numerator: float, denominator: float, trouble: str) -> float:
    if denominator <= 0:
        raise ValueError(f"the reference {trouble} under {name!r}: no ratio exists; leave it out of both and say so")
    return float(100 * numerator / denominator)
