"""ReLIC: instance discrimination plus invariance of the prediction itself under augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nearfar.losses._checks import choice, full_precision, inverse_temperature, number, paired, unit_rows
from nearfar.losses.contrast.infonce import info_nce
from nearfar.losses.engine.proxy import KL_MODES, proxy_pair
from nearfar.losses.engine.tiles import LN2, LOG2E


@full_precision
def relic(
    online1: Tensor,
    online2: Tensor,
    target1: Tensor,
    target2: Tensor,
    *,
    temperature: float | Tensor,
    alpha: float,
    kl_mode: str = "full",
) -> dict[str, Tensor]:
    r"""The loss of ReLIC (arXiv 2010.07922), as two named terms whose sum is the loss.

    With ``p12 = softmax_rows(online1 @ target2.T / temperature)`` and ``p21`` likewise from the other pair
    (row i, column j: "view of image i shows image j"), all rows L2-normalised,

    .. math::
        L = \tfrac1N \sum_i \big[ -\log p12_{ii} - \log p21_{ii} \big]
          + \tfrac{\alpha}{N} \sum_i \big[ KL(p12_i \| p21_i) + KL(p21_i \| p12_i) \big] .

    The two distributions are rows of two *different* matrices; comparing rows with columns of one matrix, as
    one public re-implementation does, is another regulariser. No code was released for pre-training.

    Args:
        online1: (N, D), online network (with its critic) on the first view.
        online2: (N, D), online network on the second view.
        target1: (N, D), target network on the first view; no gradient reaches it.
        target2: (N, D), target network on the second view; no gradient reaches it.
        temperature: a positive float or a 0-d tensor.
        alpha: weight of the invariance term, at least 0. At 0 its term is an exact 0, nothing of it is
            computed and the loss is ``info_nce(online1, target2) + info_nce(online2, target1)`` to the bit.
        kl_mode: which gradients the divergences ``KL(p || r)`` have; their value is the same in all modes.
            ``"full"``: through both (the formula of the paper). ``"sg_entropy"``: the entropy term of p
            held constant, ``sg[E_p log p] - E_p log r``, as ReLICv2 writes it. ``"sg_target"``: p held
            constant.

    Returns:
        ``{"contrastive": scalar, "invariance": scalar}``, both at least 0, the second already times
        ``alpha``.

    Raises:
        TypeError: a dtype that is not floating, or an alpha that is no number.
        ValueError: shapes, devices, temperature, alpha or kl_mode that do not fit.
    """
    online1, online2, target1, target2 = paired(online1=online1, online2=online2, target1=target1, target2=target2)
    target1, target2 = target1.detach(), target2.detach()
    number("alpha", alpha, at_least=0.0)
    choice("kl_mode", kl_mode, KL_MODES)
    if alpha == 0:
        there = info_nce(online1, target2, temperature=temperature)
        back = info_nce(online2, target1, temperature=temperature)
        return {"contrastive": there + back, "invariance": torch.zeros_like(there)}
    gain = inverse_temperature(temperature, online1) * LOG2E
    nll_12, nll_21, kl_12, kl_21 = proxy_pair(
        unit_rows(online1, gain), unit_rows(target2), unit_rows(online2, gain), unit_rows(target1), kl_mode
    )
    return {
        "contrastive": nll_12.mean() + nll_21.mean(),
        "invariance": alpha * (kl_12.mean() + kl_21.mean()),
    }


@torch.no_grad()
def relic_kl(
    online1: Tensor, online2: Tensor, target1: Tensor, target2: Tensor, *, temperature: float | Tensor
) -> Tensor:
    """How far the two proxy predictions of :func:`relic` are apart: a measurement, without gradient.

    The mean over images and over both directions of the divergence in nats, that is half the invariance
    term of :func:`relic` at ``alpha=1``. Zero means that the prediction does not depend on the
    augmentation. Values are comparable between runs only at equal N and equal temperature.
    """
    terms = relic(online1, online2, target1, target2, temperature=temperature, alpha=1.0)
    return terms["invariance"] / 2


@full_precision
def relic_multicrop(
    online_views: Sequence[Tensor],
    target_views: Sequence[Tensor],
    *,
    temperature: float | Tensor,
    alpha: float,
    kl_mode: str = "sg_entropy",
    include_same_crop: bool = True,
    num_negatives: int | None = None,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    r"""ReLICv2's loss over large and small crops (arXiv 2201.05119, algorithm 1), as two named terms.

    Large crops go through both networks, small crops through the online network only. Every online view v is
    paired with every target view t, and the terms of all pairs are averaged:

    - contrastive: ``-log p(v; t)``, where p(v; t) is the row-softmax of online v against target t;
    - invariance: for two large crops ``KL(p(v; t) || p(t; v))``, as in :func:`relic`; for a small crop v
      ``KL(p(t; t) || p(v; t))``, since p(t; v) does not exist; for a crop with itself nothing (the divergence
      is 0, and the gradient that "sg_entropy" would give it only sharpens the prediction). The published
      algorithm does not spell out the last two cases, so that reading is ours.

    With two large crops and ``include_same_crop=False`` this is half of :func:`relic`, term by term.

    Args:
        online_views: (N, D) each; the first ``len(target_views)`` are the large crops, in the same order.
        target_views: (N, D) each, the large crops through the target network; no gradient reaches them.
        temperature: a positive float or a 0-d tensor.
        alpha: weight of the invariance term (beta in the paper), at least 0; at 0 nothing of it is computed.
        kl_mode: as in :func:`relic`; ReLICv2 writes ``"sg_entropy"``.
        include_same_crop: whether a large crop is also paired with its own target, as in the algorithm.
        num_negatives: contrast the positive with this many other images, drawn uniformly once for the whole
            call, instead of with all others. From 1 to N - 1.
        generator: the source of that draw, on any device.

    Returns:
        ``{"contrastive": scalar, "invariance": scalar}``, the second already times ``alpha``.

    Raises:
        TypeError: a dtype that is not floating, or an alpha that is no number.
        ValueError: no target view, fewer online than target views, one view against itself only, or shapes,
            devices and values that do not fit.
    """
    large, views = len(target_views), len(online_views)
    if large == 0 or views < large:
        raise ValueError(
            "online_views must start with the large crops that target_views holds: got "
            f"{views} online and {large} target views; at least 1 target is needed, and no fewer online views"
        )
    pairs = [(v, t) for v in range(views) for t in range(large) if include_same_crop or v != t]
    if not pairs:
        raise ValueError("one view and include_same_crop=False leave no pair; pass a second view")
    named = {f"online_views[{v}]": x for v, x in enumerate(online_views)}
    named |= {f"target_views[{t}]": x for t, x in enumerate(target_views)}
    lifted = paired(**named)
    number("alpha", alpha, at_least=0.0)
    choice("kl_mode", kl_mode, KL_MODES)
    gain = inverse_temperature(temperature, lifted[0])
    online = [unit_rows(x, gain * LOG2E) for x in lifted[:views]]
    target = [unit_rows(x.detach()) for x in lifted[views:]]
    predictions = None
    if num_negatives is not None:
        predictions = _SampledPredictions(online, target, num_negatives, generator)

    contrastive, invariance = [], []
    for v, t in pairs:
        small = v >= large
        if predictions is not None:
            contrastive.append(predictions.nll(v, t))
            if alpha > 0 and v != t:
                a, b = ((t, t), (v, t)) if small else ((v, t), (t, v))
                invariance.append(predictions.kl(a, b, kl_mode))
        elif alpha == 0 or v == t:
            contrastive.append(info_nce(lifted[v], target[t], temperature=temperature))
        elif small:
            _, nll, kl, _ = proxy_pair(online[t], target[t], online[v], target[t], kl_mode)
            contrastive.append(nll.mean())
            invariance.append(kl.mean())
        elif v < t:
            nll_vt, nll_tv, kl_vt, kl_tv = proxy_pair(online[v], target[t], online[t], target[v], kl_mode)
            contrastive.append(nll_vt.mean() + nll_tv.mean())
            invariance.append(kl_vt.mean() + kl_tv.mean())
    total = torch.stack(contrastive).sum() / len(pairs)
    if not invariance:
        return {"contrastive": total, "invariance": torch.zeros_like(total)}
    return {"contrastive": total, "invariance": alpha * torch.stack(invariance).sum() / len(pairs)}


class _SampledPredictions:
    """Proxy predictions over the positive (class 0) and a few other images, the same ones for every pair.

    The other images of row i lie at fixed distances, drawn without replacement: each row sees a uniform
    subset of the rest of the batch, without a matrix of N^2 random numbers.
    """

    def __init__(
        self, online: list[Tensor], target: list[Tensor], count: int, generator: torch.Generator | None
    ) -> None:
        n = len(online[0])
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"num_negatives must be an int or None, got {type(count).__name__}")
        if not 1 <= count <= n - 1:
            raise ValueError(f"num_negatives must be from 1 to N - 1 = {n - 1}, got {count}")
        device = online[0].device
        source = device if generator is None else generator.device
        distances = torch.randperm(n - 1, generator=generator, device=source)[:count].to(device) + 1
        index = torch.arange(n, device=device).unsqueeze(1) + torch.cat((distances.new_zeros(1), distances))
        index %= n
        self._online = online
        self._choices = [t[index] for t in target]

    def _log_probs(self, pair: tuple[int, int]) -> Tensor:
        v, t = pair
        logits = torch.bmm(self._choices[t], self._online[v].unsqueeze(2)).squeeze(2)
        return torch.log_softmax(logits * LN2, dim=1)

    def nll(self, v: int, t: int) -> Tensor:
        """Mean cross-entropy of online view v against target view t."""
        return -self._log_probs((v, t))[:, 0].mean()

    def kl(self, a: tuple[int, int], b: tuple[int, int], kl_mode: str) -> Tensor:
        """Mean KL(p(a) || p(b)), with the gradient that ``kl_mode`` names."""
        log_a, log_b = self._log_probs(a), self._log_probs(b)
        if kl_mode == "sg_target":
            log_a = log_a.detach()
        entropy = (log_a.exp() * log_a).sum(1)
        if kl_mode == "sg_entropy":
            entropy = entropy.detach()
        return (entropy - (log_a.exp() * log_b).sum(1)).mean()
