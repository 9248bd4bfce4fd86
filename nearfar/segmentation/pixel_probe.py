"""What a linear map can read from the cells of a frozen map: the pixel probe of dense pre-training."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from nearfar.evaluation import ConfusionMatrix, LinearProbe, effective_rank, feature_std
from nearfar.losses import dense_correspondence
from nearfar.segmentation.classes import IGNORE
from nearfar.segmentation.dense import DensePretraining, deepest_map, grid_of, to_cells
from nearfar.segmentation.places import cell_centres
from nearfar.sources.data import in_order
from nearfar.training import Data, embed
from nearfar.training.embed import to_device

PIXELS = 32
"""Pixels drawn from every training image for the probe's fit."""
C_GRID = (1e-3, 1e-2, 1e-1)


def pixel_probe(
    method: DensePretraining, data: Data, *, seed: int = 0, train_images: int = 400, max_iter: int = 150
) -> dict[str, float]:
    """Of every held-out set of ``data``:

    - ``pixel miou <set>``: mean intersection over union of a linear classifier of pixels on the frozen map,
      brought to the images' size bilinearly. It is fitted to random pixels of at most ``train_images`` training
      images; its regularisation is chosen among those;
    - ``presence map <set>``: mean average precision of linear classifiers of the pooled map for which classes a
      picture shows; classes that every picture or none shows are left out;
    - ``matched <set>``: the share of labelled objects' cells whose most similar cell in another random crop shows
      the same class (the cell's centre decides), class 0 being the background and left out.

    And of the first held-out set ``effective_rank`` and ``std`` of the pooled map. All but the rank in [0, 1]
    (``std`` near 1 when healthy). Without label maps only the last two are measured.
    """
    held_out = dict(data.splits())
    geometry = embed(method, next(iter(held_out.values()), data)).array
    scores: dict[str, float] = {}
    if "num_classes" in data.facts and held_out:
        train = data.sample(train_images, seed)
        pixels, labels = _sampled_pixels(method, train, np.random.default_rng(seed))
        probe = LinearProbe(C_grid=C_GRID, seed=seed, max_iter=max_iter).fit(pixels, labels)
        for name, split in held_out.items():
            scores[f"pixel miou {name}"] = _miou(method, probe, split, int(data.facts["num_classes"]))
            found = _presence(method, train, split)
            if found is not None:
                scores[f"presence map {name}"] = found
            scores[f"matched {name}"] = match_accuracy(method, split, seed=seed)
    scores["effective_rank"] = effective_rank(geometry)
    scores["std"] = feature_std(geometry, relative=True)
    return scores


def _full_size(method: DensePretraining, images: torch.Tensor) -> torch.Tensor:
    """Features (N, C, H, W) of images, every appearance of a scene by itself."""
    flat = to_device(images.flatten(0, 1), method.device)
    with method.frozen():
        found = deepest_map(method.encoder, flat).float()
    return F.interpolate(found, size=flat.shape[2:], mode="bilinear", align_corners=False).cpu()


def _sampled_pixels(method: DensePretraining, data: Data, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    features, classes = [], []
    for _, batch in in_order(data, 32):
        maps = _full_size(method, batch.images).flatten(2)
        labels = batch.labels.flatten(1).repeat_interleave(batch.images.shape[1], 0)
        drawn = torch.from_numpy(rng.integers(labels.shape[1], size=(len(labels), PIXELS)))
        features.append(maps.gather(2, drawn.unsqueeze(1).expand(-1, maps.shape[1], -1)).mT.flatten(0, 1).numpy())
        classes.append(labels.gather(1, drawn).flatten().numpy())
    y = np.concatenate(classes)
    return np.concatenate(features)[y != IGNORE], y[y != IGNORE]


def _miou(method: DensePretraining, probe: LinearProbe, data: Data, num_classes: int) -> float:
    matrix = ConfusionMatrix(num_classes, ignore_index=IGNORE)
    for _, batch in in_order(data, 8):
        maps = _full_size(method, batch.images)
        predicted = probe.predict(maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]).numpy())
        labels = batch.labels.repeat_interleave(batch.images.shape[1], 0)
        matrix.update(predicted.reshape(labels.shape), labels.numpy())
    return matrix.miou


def _presence(method: DensePretraining, train: Data, test: Data) -> float | None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score

    x, z = embed(method, train).array, embed(method, test).array
    mean, std = x.mean(0), x.std(0) + 1e-6
    shown, truth = _classes_shown(train), _classes_shown(test)
    precisions = []
    for c in range(1, min(shown.shape[1], truth.shape[1])):
        if len(np.unique(shown[:, c])) == 2 and len(np.unique(truth[:, c])) == 2:
            model = LogisticRegression(C=0.1, max_iter=300).fit((x - mean) / std, shown[:, c])
            precisions.append(average_precision_score(truth[:, c], model.decision_function((z - mean) / std)))
    return float(np.mean(precisions)) if precisions else None


def _classes_shown(data: Data) -> np.ndarray:
    """(N, classes) booleans: which classes each picture shows."""
    maps = np.concatenate([batch.labels.flatten(1).numpy() for _, batch in in_order(data, 64)])
    return np.stack([(maps == c).any(1) for c in range(int(data.facts["num_classes"]))], 1)


def match_accuracy(method: DensePretraining, data: Data, *, seed: int = 0) -> float:
    """The share of object cells of one random crop whose most similar cell of another shows the same class."""
    right = total = 0
    device = method.device
    with method.frozen():
        method.seed_step(seed, 0)
        for _, batch in in_order(data, 64):
            views = method.views(to_device(batch, device))
            maps = [method.map(view) for view in (views.first, views.second)]
            match = dense_correspondence(*(to_cells(m) for m in maps))
            labels = batch.labels.to(device)
            shown = [_at(labels, cell_centres(c, grid_of(maps[0]))) for c in (views.corners1, views.corners2)]
            found = shown[1].gather(1, match)
            asked = (shown[0] > 0) & (shown[0] != IGNORE)
            right += int((found == shown[0])[asked].sum())
            total += int(asked.sum())
    return right / max(total, 1)


def _at(labels: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Labels (N, S) at centres (N, S, 2) in the coordinates of :mod:`nearfar.segmentation.places`."""
    height, width = labels.shape[1:]
    column = (centres[..., 0] * (width - 1)).round().long().clamp(0, width - 1)
    row = (centres[..., 1] * (height - 1)).round().long().clamp(0, height - 1)
    return labels.flatten(1).gather(1, row * width + column)
