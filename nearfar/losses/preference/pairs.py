"""One reply against another: log-probabilities under the policy and under its reference."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nearfar.losses._checks import choice, floating, number, reduce_rows


def implicit_reward(policy: Tensor, reference: Tensor, *, beta: float = 0.1) -> Tensor:
    r"""The reward whose optimum under a KL penalty the policy is, up to a constant of the prompt:
    :math:`\beta (\log \pi(y|x) - \log \pi_{ref}(y|x))`.

    Args:
        policy, reference: log-probabilities of the same replies, of one shape.
        beta: strength of the penalty, above 0.
    """
    policy, reference = _alike(policy=policy, reference=reference)
    return number("beta", beta, above=0.0) * (policy - reference)


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor | None,
    reference_rejected: Tensor | None,
    *,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    r"""Direct preference optimization (Rafailov et al., 2023, arXiv 2305.18290, equation 7).

    .. math:: -(1 - \epsilon) \log \sigma(\beta h) - \epsilon \log \sigma(-\beta h), \quad
        h = (\log \pi(y_w) - \log \pi(y_l)) - (\log \pi_{ref}(y_w) - \log \pi_{ref}(y_l))

    Args:
        chosen, rejected: (N,) log-probabilities of the replies under the policy, summed over their tokens.
        reference_chosen, reference_rejected: the same under the reference; both ``None`` for none.
        beta: above 0.
        label_smoothing: how often labels are wrong (conservative DPO), in [0, 0.5).
        reduction: ``mean`` or ``none``.
    """
    h = number("beta", beta, above=0.0) * _margin(chosen, rejected, reference_chosen, reference_rejected)
    if not 0 <= number("label_smoothing", label_smoothing) < 0.5:
        raise ValueError(f"label_smoothing must be in [0, 0.5), got {label_smoothing}")
    rows = -(1 - label_smoothing) * F.logsigmoid(h)
    if label_smoothing:
        rows = rows - label_smoothing * F.logsigmoid(-h)
    return reduce_rows(rows, reduction)


def ipo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor | None,
    reference_rejected: Tensor | None,
    *,
    tau: float = 0.1,
    chosen_lengths: Tensor | None = None,
    rejected_lengths: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Identity preference optimization (Azar et al., 2023, arXiv 2310.12036): :math:`(h - 1 / (2 \tau))^2`.

    With lengths each reply's log-ratio is a mean over its tokens, as in trl, whose maintainers had the authors confirm
    it for language models; without them a sum, as in the DPO release.

    Args:
        chosen, rejected, reference_chosen, reference_rejected: as for :func:`dpo_loss`, sums in any case.
        tau: above 0; smaller asks for a larger margin.
        chosen_lengths, rejected_lengths: (N,) numbers of tokens, one given means both; a reply of none counts as one.
        reduction: ``mean`` or ``none``.
    """
    number("tau", tau, above=0.0)
    if (chosen_lengths is None) != (rejected_lengths is None):
        raise ValueError("give the lengths of the chosen and of the rejected replies, or of neither")
    if chosen_lengths is None or rejected_lengths is None:
        h = _margin(chosen, rejected, reference_chosen, reference_rejected)
    else:
        zero = chosen.new_zeros(chosen.shape)
        refs = [zero if r is None else r for r in (reference_chosen, reference_rejected)]
        good, bad, ref_good, ref_bad = _alike(
            chosen=chosen, rejected=rejected, reference_chosen=refs[0], reference_rejected=refs[1]
        )
        h = (good - ref_good) / chosen_lengths.clamp_min(1) - (bad - ref_bad) / rejected_lengths.clamp_min(1)
    return reduce_rows((h - 1 / (2 * tau)) ** 2, reduction)


def nca_pair_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float = 0.01,
    form: str = "nca",
    reduction: str = "mean",
) -> Tensor:
    r"""Noise contrastive alignment of pairs (Chen et al., 2024, arXiv 2402.05369): with the implicit rewards g,
    :math:`-\log\sigma(g_w) - \frac12\log\sigma(-g_w) - \frac12\log\sigma(-g_l)`.

    Args:
        chosen, rejected, reference_chosen, reference_rejected: as for :func:`dpo_loss`.
        beta: above 0.
        form: ``nca``, or ``biased``: :math:`-\log\sigma(g_w) - \log\sigma(-g_l)`. The pair form of InfoNCA is
            :func:`dpo_loss`.
        reduction: ``mean`` or ``none``.
    """
    choice("form", form, ("nca", "biased"))
    good = implicit_reward(chosen, reference_chosen, beta=beta)
    bad = implicit_reward(rejected, reference_rejected, beta=beta)
    rows = -F.logsigmoid(good) - F.logsigmoid(-bad)
    if form == "nca":
        rows = -F.logsigmoid(good) - 0.5 * F.logsigmoid(-good) - 0.5 * F.logsigmoid(-bad)
    return reduce_rows(rows, reduction)


def reward_model_loss(chosen: Tensor, rejected: Tensor, *, reduction: str = "mean") -> Tensor:
    r"""The Bradley-Terry likelihood of a model of rewards: :math:`-\log\sigma(r_w - r_l)` for rewards (N,) each."""
    good, bad = _alike(chosen=chosen, rejected=rejected)
    return reduce_rows(-F.logsigmoid(good - bad), reduction)


def _margin(chosen: Tensor, rejected: Tensor, reference_chosen: Tensor | None, reference: Tensor | None) -> Tensor:
    if (reference_chosen is None) != (reference is None):
        raise ValueError("the reference is missing for one side: give it of the chosen and the rejected, or of neither")
    if reference_chosen is None or reference is None:
        good, bad = _alike(chosen=chosen, rejected=rejected)
        return good - bad
    good, bad, ref_good, ref_bad = _alike(
        chosen=chosen, rejected=rejected, reference_chosen=reference_chosen, reference_rejected=reference
    )
    return (good - bad) - (ref_good - ref_bad)


def _alike(**named: Tensor) -> list[Tensor]:
    """Floating-point tensors of one shape, half precision lifted."""
    found = floating(**named)
    name, first = next(iter(named.items()))
    for other, tensor in named.items():
        if tensor.shape != first.shape:
            raise ValueError(f"{other} has shape {tuple(tensor.shape)} and {name} {tuple(first.shape)}; one is needed")
    return found
