"""Whether a world model knows what a change of colours does to its latents."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nearfar.evaluation import mrr
from nearfar.training import Data, Method
from nearfar.vision.evaluation import split
from nearfar.vision.methods.iwm import IWM
from nearfar.vision.views import Recipe, apply
from nearfar.vision.world_model import photometric_action

PICTURES, CANDIDATES, QUERIES = 48, 64, 8


def equivariance(method: Method, data: Data, *, seed: int = 0) -> dict[str, float]:
    """How well a world model (:class:`nearfar.vision.methods.IWM`) predicts the latents of pictures in other colours.

    48 held-out pictures, 64 random colour jitters of each. From some patches of the picture as it is and one of the
    jitters the predictor says the hidden patches' latents; the 64 jittered pictures, of which the teacher sees
    everything, are ranked by their distance at those patches. 8 jitters of each picture are asked for.

    Returns:
        ``mrr``, the mean reciprocal rank (:func:`nearfar.evaluation.mrr`): near 1 for an equivariant world model, about
        0.074 for one that does not know the action or has become invariant.

    Raises:
        ValueError: another method.
    """
    if not isinstance(method, IWM):
        raise ValueError(f"equivariance is measured of a predictor that is told an action (iwm), not of {type(method)}")
    held_out = next(iter(split(data, seed)[1].values()), data).sample(PICTURES, seed=seed)
    batch = held_out.batch(np.arange(len(held_out)))
    images = batch.images[:, 0] if batch.images.ndim == 5 else batch.images
    found = [mrr(*candidates(method, image, seed + row)) for row, image in enumerate(images)]
    return {"mrr": float(np.mean(found))}


def candidates(method: IWM, image: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions (QUERIES, D), banks (QUERIES, CANDIDATES, D) and the right positions, of one image (3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    images = image[None].expand(CANDIDATES, -1, -1, -1).contiguous()
    colours = method.recipes[0].with_(scale=None, flip=0.0, jitter_p=1.0)
    height, width = images.shape[2:]
    changed = colours.draw(CANDIDATES, height, width, generator)
    plain = Recipe(scale=None).draw(CANDIDATES, height, width, generator)
    targets = apply(images, changed).to(method.device)
    method.seed_step(0, seed)
    with method.frozen():
        latents = method.latents(targets)
        source = images[:QUERIES].to(method.device)
        grid = method.grid(source)
        kept, hidden = method.mask(1, grid)
        action = photometric_action(plain, changed)[:QUERIES].to(method.device)
        kept = kept.expand(QUERIES, -1)
        said = method.predictor(method.seen(source, kept), kept, grid, action)
        bank = latents[:, hidden[0]].flatten(1).cpu().expand(QUERIES, -1, -1)
        return said[:, hidden[0]].flatten(1).cpu(), bank, torch.arange(QUERIES)
