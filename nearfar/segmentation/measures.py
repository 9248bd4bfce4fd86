"""What can be measured on scenes beside accuracy, by name: ``nearfar evaluate <run> --also classes layers``."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from nearfar.segmentation.evaluation import count, held_out_sets, scenes
from nearfar.segmentation.method import SegmentationMethod
from nearfar.system import Scores
from nearfar.training import Data, Method


def classes(method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """``<set>: <class>``, the intersection over union of every class that is labelled or predicted in a held-out
    set, over all appearances together."""
    found: dict[str, float] = {}
    for name, held_out in held_out_sets(data).items():
        iou = count(method, held_out).total.matrix.iou
        known = getattr(held_out, "classes", None)
        names = known.names if known is not None else [str(i) for i in range(len(iou))]
        found |= {f"{name}: {each}": float(v) for each, v in zip(names, iou, strict=True) if v == v}
    return found


def appearances(method: Method, data: Data, *, seed: int = 0) -> Scores:
    """``miou <set>: <appearance>`` and ``ece <set>: <appearance>`` of every appearance of every held-out set."""
    found = {}
    for name, held_out in held_out_sets(data).items():
        for appearance, counts in count(method, held_out).appearances.items():
            found[f"miou {name}: {appearance}"] = counts.matrix.miou
            found[f"ece {name}: {appearance}"] = counts.ece
    return Scores(found, lower=[name for name in found if name.startswith("ece ")])


@torch.no_grad()
def layers(method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """How far the backbone's features of a scene agree whatever its appearance, depth by depth (0 the finest).

    ``<set>: depth d`` is the mean cosine of the features of one place in two appearances less that of two random
    places of the same pictures, over all pairs of appearances and places: 0 when appearance tells as much as
    content, up to 2. The mean cosine alone would reward features that all point the same way. Sets with one
    appearance are left out.
    """
    if not isinstance(method, SegmentationMethod):
        raise TypeError(f"only a segmenter has feature maps; {type(method).__name__} has none")
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, float] = {}
    for name, held_out in held_out_sets(data).items():
        sums: dict[int, float] = {}
        pairs = 0
        for _, images, _ in scenes(held_out, method.device):
            count_of = images.shape[1]
            with method.frozen():
                maps = [method.encoder.maps(images[:, column]) for column in range(count_of)]
            for a in range(count_of):
                for b in range(a + 1, count_of):
                    pairs += 1
                    for depth, (x, y) in enumerate(zip(maps[a], maps[b], strict=True)):
                        sums[depth] = sums.get(depth, 0.0) + _advantage(x, y, generator)
        found |= {f"{name}: depth {depth}": total / pairs for depth, total in sums.items()}
    return found


def _advantage(a: torch.Tensor, b: torch.Tensor, generator: torch.Generator) -> float:
    x, y = (F.normalize(m.float().flatten(2), dim=1) for m in (a, b))
    shuffled = y[:, :, torch.randperm(y.shape[2], generator=generator).to(y.device)]
    return ((x * y).sum(1) - (x * shuffled).sum(1)).mean().item()


MEASURES: dict[str, Callable[..., dict[str, float]]] = {
    "appearances": appearances,
    "classes": classes,
    "layers": layers,
}
"""Each takes ``(method, data, *, seed)`` and gives named numbers; see its docstring."""
