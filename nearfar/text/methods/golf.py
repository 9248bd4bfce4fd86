"""GOLF: relations of discourse under a hierarchy of labels, seen as a whole and at every pair of examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.encoders import text_encoder
from nearfar.encoders.tokens import PairTokens
from nearfar.losses import weighted_supcon
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.text.data.arguments import ArgumentBatch, Arguments
from nearfar.text.hierarchy import CoAttention, Hierarchy, LabelGraph
from nearfar.text.trees import dice_of_paths
from nearfar.training import Data, Method, Optimization
from nearfar.training.steps import Terms

Views = tuple[PairTokens, Tensor]


class GOLF(Method):
    """Jiang, Zhang and Wang, 2023, Findings of ACL, arXiv 2211.13873.

    Two texts are read as one sequence, attend to each other, and are classified at every level of a hierarchy, each
    level knowing the logits of the one above: ``loss = CE + global_weight * G + local_weight * L``. G: a graph network
    over all labels gives each a vector, and at each level the pair's own is to have the largest cosine. L: two dropout
    views of the batch, in which pairs attract as much as their paths of labels have in common
    (:func:`nearfar.text.trees.dice_of_paths`, over every run of adjacent levels).

    The release splits the two views as if they stood side by side, where they follow one another, and so takes
    neighbours in the batch for views of one pair; here a pair's views are its own. Levels that are not labelled, and
    labels that the hierarchy has not, take no part. Token types are not told apart, which RoBERTa does not do either.

    Args:
        encoder: a text encoder that reads pairs, by name (``hf:<model>`` for a pretrained one) or as a ``TextEncoder``.
        hierarchy: every path of labels from the top down; those of the data when not given.
        heads, rounds: of the attention between the texts.
        label_width: of the labels' vectors in the graph.
        label_layers: graph convolutions.
        global_weight, local_weight: weights of G and L, at least 0.
        temperature: divides the cosines, above 0.
        max_length: tokens of both texts together.
        dropout: of the encoder, its own when not given; without it the two views are equal.
        optimization: AdamW with linear decay.
    """

    verbs = ("embeds", "predicts")
    takes = ArgumentBatch
    can_collapse = False

    def __init__(
        self,
        encoder: str | nn.Module = "hf:roberta-base",
        *,
        hierarchy: Sequence[Sequence[str]] | None = None,
        heads: int = 12,
        rounds: int = 2,
        label_width: int = 100,
        label_layers: int = 2,
        global_weight: float = 0.1,
        local_weight: float = 1.0,
        temperature: float = 0.1,
        max_length: int = 100,
        dropout: float | None = None,
        optimization: Optimization = Optimization(
            "adamw", lr=1e-5, weight_decay=0.01, warmup=0.05, schedule="linear", clip=1.0
        ),
    ) -> None:
        super().__init__(optimization)
        if min(global_weight, local_weight) < 0:
            raise ValueError(f"weights must be at least 0, got {global_weight} and {local_weight}")
        if hierarchy is None:
            raise ValueError("GOLF needs the hierarchy of labels; data with labels at several levels brings it along")
        self.encoder = text_encoder(encoder, pooling="cls", max_length=max_length, dropout=dropout)
        width = int(self.encoder.out_features)  # type: ignore[arg-type]
        self.hierarchy = Hierarchy(hierarchy)
        self.attention = CoAttention(width, heads, rounds)
        above = [0, *self.hierarchy.sizes[:-1]]
        self.classifiers = nn.ModuleList(
            nn.Linear(width + more, size) for more, size in zip(above, self.hierarchy.sizes, strict=True)
        )
        self.label_graph = LabelGraph(self.hierarchy, label_width, width, label_layers)
        self.to_labels, self.to_pairs = (nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(2))
        self.weights, self.temperature = (global_weight, local_weight), temperature

    def kept(self) -> nn.Module:
        return nn.ModuleDict({n: getattr(self, n) for n in ("encoder", "attention", "classifiers")})

    def views(self, batch: ArgumentBatch) -> Views:
        """The tokens of every pair twice, one pass after the other, and label numbers (N, levels)."""
        tokens: PairTokens = self.encoder.tokenize_pairs(batch.firsts * 2, batch.seconds * 2)  # type: ignore[operator]
        return tokens, self.hierarchy.numbers(batch.paths).to(tokens.input_ids.device)

    def loss(self, views: Views) -> Terms:
        return self.terms(self.read(views[0]), views[1])

    def read(self, tokens: PairTokens) -> Tensor:
        """The first token's state (N, D) once the two texts have looked at each other."""
        states = self.encoder.hidden(tokens)  # type: ignore[operator]
        return self.attention(states, tokens.attention_mask - tokens.second, tokens.second)[:, 0]

    def terms(self, states: Tensor, numbers: Tensor) -> dict[str, Tensor]:
        """The three parts of the loss, of the states (2N, D) of both passes and label numbers (N, levels)."""
        once = states[: len(numbers)]
        labels = F.normalize(self.label_graph(), dim=1).split(self.hierarchy.sizes)
        pairs = F.normalize(self.to_labels(once), dim=1)
        cosines = [pairs @ level.t() / self.temperature for level in labels]
        first, second, everyone = self.gather(*self.to_pairs(states).chunk(2), numbers)
        shared = dice_of_paths(everyone, runs(numbers.shape[1]))
        local = weighted_supcon(first, second, shared, temperature=self.temperature, divide_by="none")
        return {
            "classes": levels_loss(self.logits(once), numbers),
            "global": self.weights[0] * levels_loss(cosines, numbers),
            "local": self.weights[1] * local,
        }

    def logits(self, states: Tensor) -> list[Tensor]:
        """At each level (N, labels)."""
        found: list[Tensor] = []
        for classifier in self.classifiers:
            found.append(classifier(torch.cat([states, *found[-1:]], 1)))
        return found

    def encode(self, batch: Any) -> Tensor:
        return self.read(self.encoder.tokenize_pairs(batch.firsts, batch.seconds))  # type: ignore[operator]

    def predict(self, batch: Any) -> list[tuple[str, ...]]:
        """Of each pair the likeliest label at every level, each level by itself."""
        best = [logits.argmax(1).tolist() for logits in self.logits(self.encode(batch))]
        return [tuple(self.hierarchy.names[level][k] for level, k in enumerate(row)) for row in zip(*best, strict=True)]

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """``accuracy <level>`` and ``macro-f1 <level>`` (of the labels that occur) from 1 at the top down, and
        ``consistent``: the share of predicted paths that the hierarchy has.

        Raises:
            TypeError: data without pairs and paths of labels. ValueError: nothing held out is labelled.
        """
        from sklearn.metrics import f1_score

        held = data.splits().get("test", data)
        if not isinstance(held, Arguments):
            raise TypeError(f"{held.name} has no pairs of texts with labels")
        with self.frozen():
            found = np.array([path for _, batch in in_order(held, 64) for path in self.predict(batch)])
        right, scores = np.array(held.paths), Scores()
        for level in range(found.shape[1]):
            known = right[:, level] != ""
            if known.any():
                gold, said = right[known, level], found[known, level]
                scores[f"accuracy {level + 1}"] = float((gold == said).mean())
                scores[f"macro-f1 {level + 1}"] = float(
                    f1_score(gold, said, labels=np.unique(gold), average="macro", zero_division=0)
                )
        known_paths = self.hierarchy.paths
        paths = [tuple(row) for row in self.hierarchy.numbers(found.tolist()).tolist()]
        scores["consistent"] = float(np.mean([path in known_paths for path in paths]))
        return scores


def runs(levels: int) -> list[list[int]]:
    """Every run of adjacent levels."""
    return [[*range(a, b)] for a in range(levels) for b in range(a + 1, levels + 1)]


def levels_loss(logits: Sequence[Tensor], numbers: Tensor) -> Tensor:
    """The sum over levels of the cross-entropy of logits (N, labels) with label numbers (N, levels), -1 left out."""
    total = logits[0].new_zeros(())
    for level, scores in enumerate(logits):
        known = (numbers[:, level] >= 0).sum().clamp_min(1)
        total = total + F.cross_entropy(scores, numbers[:, level], ignore_index=-1, reduction="sum") / known
    return total
