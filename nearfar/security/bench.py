"""The test bench of a model's security: what was tried on an encoder, and what succeeded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.encoders import ImageEncoder, image_encoder
from nearfar.evaluation import LinearProbe, cka, detection
from nearfar.security.attacks import (
    Model,
    extracted,
    flip_labels,
    inverted,
    membership_scores,
    misclassified,
    moved_away,
    pgd,
)
from nearfar.security.poison import backdoor_zscore, outlier_scores
from nearfar.security.triggers import trigger
from nearfar.system import Procedure, Scores
from nearfar.training import Data
from nearfar.vision.views import gentle


class Pictures(NamedTuple):
    """Pictures (N, 3, H, W) in [0, 1] and class numbers (N,)."""

    images: Tensor
    labels: np.ndarray


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Attributes:
        test: its name.
        value: what was measured.
        unit: what the value is, in words.
        succeeded: whether the attacker got what they wanted.
    """

    test: str
    value: float
    unit: str
    succeeded: bool


def audit(
    encode: Model, members: Pictures, others: Pictures, *, seed: int = 0, eps: tuple[float, ...] = (2, 8, 32)
) -> list[Finding]:
    """Evasion, label flips, extraction, membership, inversion and traces of a backdoor, on one encoder.

    The encoder must be in evaluation mode and is attacked through its gradients; a linear probe, fitted to
    ``members``, is the classifier over it.

    Args:
        encode: pictures in [0, 1] to representations (N, D), with gradients.
        members: pictures that it was trained on, with labels.
        others: held-out pictures of the same kind.
        eps: radii of evasion, in 255ths.
    """
    with torch.no_grad():
        z, z_other = (np.concatenate([encode(x).cpu().numpy() for x in p.images.split(256)]) for p in (members, others))
    probe = LinearProbe(seed=seed).fit(z, members.labels)
    clean = float(probe.score(z_other, others.labels))
    chance = float(np.bincount(others.labels).max() / len(others.labels))
    found = [Finding("no attack", clean, "accuracy of a linear probe", False)]
    found += _evasion(encode, probe, z, members, others, clean, chance, eps, seed)
    found += _flips(z, z_other, members, others, clean, seed)
    found += _extraction(encode, probe, members, others, z_other, chance, seed)
    found.append(_membership(encode, members, others, seed))
    found.append(_inversion(encode, others, seed))
    marked = trigger(others.images, "patch", torch.Generator().manual_seed(seed))
    with torch.no_grad():
        z_marked = encode(marked).cpu().numpy()
    score = backdoor_zscore(z_marked, z_other)
    found.append(Finding("yellow patch", score, "z-score of similarity under a trigger", score > 1.0))
    lonely = outlier_scores(z)
    share = float((lonely > 1.5).mean())
    found.append(Finding("lonely training pictures", share, "share with an outlier factor above 1.5", share > 0.01))
    return found


def _evasion(
    encode: Model,
    probe: LinearProbe,
    z: np.ndarray,
    members: Pictures,
    others: Pictures,
    clean: float,
    chance: float,
    eps: tuple[float, ...],
    seed: int,
) -> list[Finding]:
    head = imitation(probe, z)
    few = Pictures(others.images[:200], others.labels[:200])
    labels = torch.from_numpy(few.labels)

    def classify(x: Tensor) -> Tensor:
        return head(encode(x))

    found = []
    for radius in eps:
        generator = torch.Generator().manual_seed(seed)
        moved = {
            "FGSM": pgd(few.images, misclassified(classify, labels), eps=radius / 255, steps=1),
            "PGD": pgd(few.images, misclassified(classify, labels), eps=radius / 255, generator=generator),
        }
        for name, images in moved.items():
            with torch.no_grad():
                right = float((classify(images).argmax(1) == labels).float().mean())
            succeeded = right < (clean + chance) / 2
            found.append(Finding(f"{name}, eps {radius:g}/255", right, "accuracy under attack", succeeded))
    away = pgd(few.images, moved_away(encode, few.images), eps=8 / 255, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        cosine = float((F.normalize(encode(away), dim=1) * F.normalize(encode(few.images), dim=1)).sum(1).mean())
    found.append(Finding("PGD without labels, eps 8/255", cosine, "cosine with the picture's own vector", cosine < 0.5))
    return found


def imitation(probe: LinearProbe, z: np.ndarray) -> nn.Linear:
    """A differentiable layer that names what the probe names, fitted to the probe's probabilities by least squares."""
    logits = np.log(np.clip(probe.predict_proba(z), 1e-6, 1))
    design = np.concatenate([z, np.ones((len(z), 1))], axis=1)
    weights = np.linalg.lstsq(design, logits - logits.mean(1, keepdims=True), rcond=None)[0]
    layer = nn.Linear(z.shape[1], logits.shape[1]).requires_grad_(False)
    layer.weight.copy_(torch.from_numpy(weights[:-1].T))
    layer.bias.copy_(torch.from_numpy(weights[-1]))
    return layer


def _flips(
    z: np.ndarray, z_other: np.ndarray, members: Pictures, others: Pictures, clean: float, seed: int
) -> list[Finding]:
    found = []
    for rate in (0.2, 0.4):
        wrong = flip_labels(members.labels, rate, seed=seed)
        right = float(LinearProbe(seed=seed).fit(z, wrong).score(z_other, others.labels))
        name = f"{rate:.0%} of the probe's labels wrong"
        found.append(Finding(name, right, "accuracy of a linear probe", right < clean - 0.1))
    return found


def _extraction(
    encode: Model, probe: LinearProbe, members: Pictures, others: Pictures, z: np.ndarray, chance: float, seed: int
) -> list[Finding]:
    told, found = probe.predict(z), []
    for queries in (100, 400):
        torch.manual_seed(seed)
        body = image_encoder("small-conv")
        clone = nn.Sequential(body, nn.Linear(body.out_features, z.shape[1]))
        thief = extracted(encode, clone, members.images[:queries], seed=seed)
        with torch.no_grad():
            copied = thief(others.images).numpy()
        scale = np.linalg.norm(z, axis=1).mean() / max(np.linalg.norm(copied, axis=1).mean(), 1e-12)
        agreement = float((probe.predict(copied * scale) == told).mean())
        name = f"extraction, {queries} queries"
        found.append(Finding(name, agreement, "agreement with the victim's probe", agreement > (1 + chance) / 2))
        found.append(Finding(name, float(cka(copied, z)), "CKA with the victim", False))
    return found


def _membership(encode: Model, members: Pictures, others: Pictures, seed: int) -> Finding:
    count, recipe = min(len(members.images), len(others.images), 300), gentle()
    generator = torch.Generator().manual_seed(seed)

    def views(x: Tensor) -> Tensor:
        return recipe((x * 255).round().to(torch.uint8), generator)

    scores = [membership_scores(encode, views, p.images[:count]) for p in (members, others)]
    truth = np.repeat([1, 0], count)
    auroc = float(detection(np.concatenate(scores), truth)["auroc"])
    return Finding("membership", auroc, "AUROC of members by the likeness of their views", auroc > 0.6)


def _inversion(encode: Model, others: Pictures, seed: int) -> Finding:
    cosines = []
    for row in range(min(4, len(others.images))):
        x = others.images[[row]]
        with torch.no_grad():
            target = encode(x)
        made = inverted(encode, target, tuple(x.shape[1:]))
        true, own = ((p - p.mean()).flatten() for p in (x, made))
        cosines.append(float(F.cosine_similarity(true, own, dim=0)))
    value = float(np.mean(cosines))
    return Finding("inversion", value, "correlation of the picture made from a vector with the true one", value > 0.5)


class SecurityBench(Procedure):
    """The attacks of "Deep Learning Model Security: Threats and Defenses", 2024, arXiv 2412.08969, as a bench.

    It trains a small victim by cross-entropy on the data and audits it; ``nearfar audit RUN`` audits a finished run's
    encoder instead. An attack that fails here may succeed with more effort: a table without successes is no proof.

    Args:
        encoder: of the victim, by name or as a module.
        steps: of the victim's training, at least 1.
        adversarial: train the victim on pictures attacked by three steps of PGD at 8/255, the standard defence.
        pictures: how many training and held-out pictures are attacked, at most.
    """

    verbs = ()

    def __init__(
        self,
        encoder: str | nn.Module = "small-conv",
        *,
        steps: int = 300,
        adversarial: bool = False,
        pictures: int = 600,
    ) -> None:
        if steps < 1 or pictures < 32:
            raise ValueError(f"steps must be at least 1 and pictures at least 32, got {steps} and {pictures}")
        self.encoder, self.steps, self.adversarial, self.pictures = encoder, steps, adversarial, pictures

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """Every finding of :func:`audit` on a victim trained here, as numbers by test and unit."""
        members, others = both(data, self.pictures)
        victim = self.victim(members, seed)
        found = Scores(named(audit(victim, members, others, seed=seed)))
        protective = [name for name in found if "accuracy" not in name and "cosine" not in name]
        return found.direct(lower=protective)

    def victim(self, members: Pictures, seed: int) -> ImageEncoder:
        """A network trained on the pictures by cross-entropy, in evaluation mode."""
        torch.manual_seed(seed)
        encoder = image_encoder(self.encoder)
        head = nn.Linear(encoder.out_features, int(members.labels.max()) + 1)
        both_parts = nn.Sequential(encoder, head)
        optimizer = torch.optim.Adam(both_parts.parameters(), lr=2e-3)
        labels, generator = torch.from_numpy(members.labels), torch.Generator().manual_seed(seed)
        for _ in range(self.steps):
            rows = torch.randint(len(labels), (64,), generator=generator)
            images = members.images[rows]
            if self.adversarial:
                both_parts.eval()
                images = pgd(images, misclassified(both_parts, labels[rows]), eps=8 / 255, steps=3)
                both_parts.train()
            optimizer.zero_grad()
            F.cross_entropy(both_parts(images), labels[rows]).backward()
            optimizer.step()
        return both_parts.eval().requires_grad_(False)[0]  # type: ignore[return-value]


def named(findings: list[Finding]) -> dict[str, float]:
    return {f"{f.test}: {f.unit}": f.value for f in findings}


def both(data: Data, count: int) -> tuple[Pictures, Pictures]:
    """Members and others of a collection, at most so many of each, with labels.

    Raises:
        ValueError: no labels, no held-out set.
    """
    held_out = next(iter(data.splits().values()), None)
    if held_out is None or data.labels is None or held_out.labels is None:
        raise ValueError(f"an audit needs labelled training and held-out pictures, and {data.name} lacks them")
    names = np.unique(data.labels)
    return pictures_of(data, count, names), pictures_of(held_out, count, names)


def pictures_of(data: Data, count: int, names: np.ndarray) -> Pictures:
    part = data.sample(count)
    batch: Any = part.batch(np.arange(len(part)))
    batch = getattr(batch, "pictures", batch)
    if not hasattr(batch, "images"):
        raise ValueError(f"an audit needs pictures, and {data.name} gives {type(batch).__name__}")
    images = batch.images[:, 0] if batch.images.ndim == 5 else batch.images
    return Pictures(images.float() / 255, np.searchsorted(names, np.asarray(part.labels)))
