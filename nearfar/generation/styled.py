"""How style transfer is judged, and what it works on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nearfar.evaluation import ssim
from nearfar.generation.data.pictures import PictureBatch
from nearfar.generation.data.styles import ContentsAndStyles, drawn_styles
from nearfar.generation.data.whole import at_own_sizes
from nearfar.generation.evaluation import COUNT
from nearfar.generation.features import features
from nearfar.generation.method import BATCH
from nearfar.generation.stylizing import temporal_error
from nearfar.generation.upscaling import as_pixels
from nearfar.generation.writing import asked
from nearfar.sources.data import Data, Subset, in_order
from nearfar.system import Scores
from nearfar.training import Method
from nearfar.training.embed import to_device


def _in(styled: Callable[[Tensor, Tensor], Tensor], styles: Tensor, images: Tensor) -> Tensor:
    return styled(images, styles)


def style_scores(styled: Callable[[Tensor, Tensor], Tensor], method: Method, data: Data, *, seed: int) -> Scores:
    """Of held-out contents in held-out styles:

    - ``temporal error``: a content and the same moved by 2 pixels with a little noise are made alike, and the mean
      absolute difference of what was made, moved back, is taken on the scale of 0 to 1; lower is better;
    - ``style error``: mean squared difference of the made picture's and the style's statistics in random
      convolutions (:class:`nearfar.generation.features.RandomConvolutions`), lower is better;
    - ``content ssim``: structural similarity to the content.

    Args:
        styled: contents and styles (N, 3, H, W) in [0, 1] to what is made of them.
        method: whose device and frozen state it is worked in.
        data: its held-out part is taken.
        seed: of the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    temporal, style, content = [], [], []
    for _, batch in in_order(asked(data).sample(COUNT), BATCH):
        batch = to_device(batch, method.device)
        images, styles = batch.images.float() / 255, batch.styles.float() / 255
        with method.frozen():
            temporal.append(temporal_error(partial(_in, styled, styles), images, generator))
            made = styled(images, styles)
        pixels, wanted, given = (np.stack([as_pixels(x) for x in each]) for each in (made, styles, images))
        style.append(np.square(features(pixels) - features(wanted)).mean(1))
        content.append(ssim(pixels, given))
    means = (float(torch.cat(temporal).mean()), *(float(np.concatenate(each).mean()) for each in (style, content)))
    names = ("temporal error", "style error", "content ssim")
    return Scores(dict(zip(names, means, strict=True)), lower=names[:2])


def beside_styles(data: Data) -> Data:
    """Contents in files at their own sizes; contents without styles beside drawn textures."""
    if isinstance(data, Subset):
        inside = beside_styles(data.data)
        return data if inside is data.data else Subset(inside, data.indices)
    if isinstance(data, ContentsAndStyles):
        contents = at_own_sizes(data.pictures)
        return data if contents is data.pictures else ContentsAndStyles(contents, data.styles)
    if data.gives is PictureBatch:
        return ContentsAndStyles(at_own_sizes(asked(data)), drawn_styles())
    return data
