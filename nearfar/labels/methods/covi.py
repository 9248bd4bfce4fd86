"""CoVi: contrastive vicinal space for unsupervised domain adaptation."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.labels.data import LabelledImages
from nearfar.labels.method import LabelMethod, Seen
from nearfar.losses import mixed_cross_entropy, vicinal_contrast
from nearfar.training import Data, Optimization, Phase
from nearfar.vision.method import together

TENTHS = torch.arange(1, 10)


class CoVi(LabelMethod):
    """Na et al., 2022, ECCV, arXiv 2111.13353.

    Between a labelled picture of one domain and an unlabelled one of another lies a mix at which the network is least
    sure. It learns to be sure there, and just above and below, where one label should give way to the other, that the
    two mixes contradict each other as they must; mixes that are nearly all source keep its label. The first part of the
    run learns the source alone, without which pseudo labels are noise. Where the domains are labelled take SupCon.

    The released code picks the mix by the largest output of a network that gets no gradient; here the point of largest
    entropy is found on the grid of tenths (``search="grid"``). ``lower_weights="code"`` gives the target's pseudo label
    its small share on the target's side, as released; mixes of 0.2 to 0.8 source have both neighbours (the released
    code loses 0.8 to rounding).

    Args:
        encoder: image encoder, by name or as a module.
        num_classes: taken from the data.
        hidden: width of the layer before the classifier.
        warmup: share of the run that learns the source alone, in (0, 1).
        search: ``grid``, ``random`` tenths, or ``half``: always one half, which is plain mixup.
        confidence: pairs count whose pseudo label is surer than the batch's mean less so many standard deviations.
        lower_weights: ``code`` or ``consistent``.
        views: recipe of random views.
        optimization: SGD as released.
    """

    verbs = ("embeds", "predicts")
    needs = ("domain",)

    def __init__(
        self,
        encoder: str | nn.Module = "resnet50",
        *,
        num_classes: int | None = None,
        hidden: int = 256,
        warmup: float = 0.3,
        search: Literal["grid", "random", "half"] = "grid",
        confidence: float = 1.0,
        lower_weights: Literal["code", "consistent"] = "code",
        views: str = "gentle",
        optimization: Optimization = Optimization("sgd", lr=0.002, weight_decay=5e-4, decay_all=True),
    ) -> None:
        super().__init__(encoder, views, optimization)
        if num_classes is None:
            raise ValueError("num_classes is needed: the number of classes of the source")
        if not 0 < warmup < 1:
            raise ValueError(f"warmup is a share of the run in (0, 1), got {warmup}")
        self.head = nn.Sequential(nn.Linear(self.features, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))
        self.phases = (Phase("source", warmup), Phase("vicinal"))
        self.search, self.confidence, self.lower_weights = search, confidence, lower_weights

    def order(self, data: Data, rng: np.random.Generator) -> np.ndarray:
        """Source and target in turns, the smaller one repeated, so that halves of a batch pair up."""
        domain = getattr(data, "marks", {}).get("domain")
        if domain is None or not 0 < domain.mean() < 1:
            return data.order(rng)
        half = len(data) // 2
        drawn = [np.resize(rng.permutation(np.flatnonzero(domain == d)), half) for d in (0, 1)]
        rest = data.order(rng)[: len(data) - 2 * half]
        return np.concatenate([np.stack(drawn, axis=1).ravel(), rest])

    def begin(self, data: Any) -> None:
        super().begin(data)
        if isinstance(data, LabelledImages) and not 0 < data.marks["domain"].mean() < 1:
            raise ValueError(f"{data.name} has pictures of one domain only; CoVi needs source and target")

    def loss(self, seen: Seen) -> dict[str, Tensor]:  # type: ignore[override]
        first, _ = seen.views
        source = (seen.marks["domain"] == 0) & (seen.labels >= 0)
        if self.phase == "source":
            logits = [self.network(view[source]) for view in seen.views]
            y = seen.labels[source]
            return {"source": torch.stack([F.cross_entropy(x, y) for x in logits]).mean()}
        target = seen.marks["domain"] == 1
        count = min(int(source.sum()), int(target.sum()))
        return self.vicinal(first[source][:count], seen.labels[source][:count], first[target][:count])

    def vicinal(self, xs: Tensor, ys: Tensor, xt: Tensor) -> dict[str, Tensor]:
        """The terms of pairs of source pictures (N, 3, H, W) with labels (N,), and target pictures."""
        with torch.no_grad():
            sure, pseudo = self.network(xt).softmax(1).max(1)
        tenths = self.balance(xs, xt)
        terms = {"balance": self._at(tenths, xs, xt, ys, pseudo).mean()}
        kept = (tenths >= 2) & (tenths <= 8)
        if len(xs) > 1:
            kept &= sure >= sure.mean() - self.confidence * sure.std()
        if int(kept.sum()) > 1:
            above, below = (tenths[kept] + 1) / 10, (tenths[kept] - 1) / 10
            upper, lower = together(self.network, [_mixed(xs[kept], xt[kept], s) for s in (above, below)])
            terms["contrast"] = vicinal_contrast(
                upper, lower, ys[kept], pseudo[kept], (above, below), lower_weights=self.lower_weights
            )
        others = xt[torch.randperm(len(xt), generator=self.generator, device=xt.device)]
        agreeing = [self.network(0.9 * xs + 0.1 * x) for x in (xt, others)]
        terms["consensus"] = torch.stack([F.cross_entropy(x, ys) for x in agreeing]).mean()
        return terms

    def _at(self, tenths: Tensor, xs: Tensor, xt: Tensor, ys: Tensor, pseudo: Tensor) -> Tensor:
        share = tenths / 10
        return mixed_cross_entropy(self.network(_mixed(xs, xt, share)), ys, pseudo, share)

    @torch.no_grad()
    def balance(self, xs: Tensor, xt: Tensor) -> Tensor:
        """Tenths (N,) of source at which each pair's mix is least sure, by :attr:`search`."""
        if self.search == "half":
            return torch.full((len(xs),), 5, device=xs.device)
        if self.search == "random":
            return torch.randint(1, 10, (len(xs),), generator=self.generator, device=xs.device)
        entropies = []
        for tenth in TENTHS.tolist():
            p = self.network(tenth / 10 * xs + (1 - tenth / 10) * xt).softmax(1)
            entropies.append(-torch.xlogy(p, p).sum(1))
        return TENTHS.to(xs.device)[torch.stack(entropies, dim=1).argmax(1)]

    def predict(self, batch: Any) -> Tensor:
        return self.head(self.encode(batch)).argmax(1)

    def kept(self) -> nn.Module:
        return self.network


def _mixed(xs: Tensor, xt: Tensor, share: Tensor) -> Tensor:
    r = share.to(xs)[:, None, None, None]
    return r * xs + (1 - r) * xt
