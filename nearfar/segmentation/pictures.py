"""Pictures for a run's page: held-out scenes, their labels, and what the segmenter sees in every appearance."""

from __future__ import annotations

import numpy as np
import torch

from nearfar.segmentation.classes import CLASS_SETS, colorize
from nearfar.segmentation.data.adaptation import AdaptationScenes
from nearfar.segmentation.evaluation import held_out_sets
from nearfar.segmentation.method import SegmentationMethod
from nearfar.segmentation.methods.dacs import DACS
from nearfar.training import Data, Method
from nearfar.training.embed import to_device

SCENES, APPEARANCES, GAP = 3, 4, 2


def pictures(method: Method, data: Data) -> list[tuple[str, np.ndarray]]:
    """Captioned RGB arrays, one for every held-out set."""
    if not isinstance(method, SegmentationMethod):
        return []
    found = [(caption(name, held_out), panel(method, held_out)) for name, held_out in held_out_sets(data).items()]
    if isinstance(method, DACS) and isinstance(data, AdaptationScenes):
        found.append(("Source pictures, mixtures with the target, and what these are labelled", mixtures(method, data)))
    return found


def caption(name: str, data: Data) -> str:
    shown = ", ".join(getattr(data, "appearances", ())[:APPEARANCES])
    return f"{name}: label, then each appearance above what is predicted for it{f' ({shown})' if shown else ''}"


def panel(method: SegmentationMethod, data: Data, count: int = SCENES) -> np.ndarray:
    """One band for each of ``count`` scenes: pictures in every appearance above, predictions below, the label left.

    The class set is the data's; for one that has none, colours are those of Cityscapes.
    """
    batch = data.batch(np.linspace(0, len(data) - 1, min(count, len(data))).round().astype(np.int64))
    images = batch.images[:, :APPEARANCES]
    with method.frozen():
        predicted = torch.stack([method.predict(images[:, a].to(method.device)) for a in range(images.shape[1])], 1)
    known = getattr(data, "classes", None) or CLASS_SETS["cityscapes19"]
    rows = []
    for scene in range(len(images)):
        seen = [each.permute(1, 2, 0).numpy() for each in images[scene]]
        found = [colorize(each.cpu().numpy().astype(np.uint8), known) for each in predicted[scene]]
        label = colorize(batch.labels[scene].numpy().astype(np.uint8), known)
        rows += [_row([np.full_like(label, 255), *seen]), _row([label, *found])]
    return _stack(rows, axis=0)


def mixtures(method: DACS, data: AdaptationScenes, count: int = SCENES) -> np.ndarray:
    """Source scenes, their mixtures as training sees them, and the mixed labels; one row for each of ``count`` scenes.

    The teacher of a finished run is not kept, so its student, which it followed, labels the target.
    """
    method.start_teacher()
    method.generator.manual_seed(0)
    indices = np.resize(data.order(np.random.default_rng(0)), min(count, len(data)))
    with method.frozen():
        views = method.views(to_device(data.batch(indices), method.device))
    known = data.classes or CLASS_SETS["cityscapes19"]
    rows = []
    for scene in range(len(indices)):
        source = views.source[0, scene].permute(1, 2, 0).cpu().numpy()
        mixed = (views.mixed[0, scene] * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        label = colorize(views.mixed_labels[scene].cpu().numpy().astype(np.uint8), known)
        rows.append(_row([source, mixed, label]))
    return _stack(rows, axis=0)


def _row(tiles: list[np.ndarray]) -> np.ndarray:
    return _stack(tiles, axis=1)


def _stack(parts: list[np.ndarray], axis: int) -> np.ndarray:
    shape = list(parts[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 255, np.uint8)
    return np.concatenate([piece for part in parts for piece in (part, gap)][:-1], axis)
