"""Views with plain torch operations: for accelerators, and to check the compiled kernel against.

The whole batch goes through every operation and nothing is read back, so an accelerator never waits for the
host. Sums of shifted or gathered tensors stand where matrix products or convolutions could, because those
may be run in TF32 or bfloat16.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nearfar.vision.views.draws import Draws

LUMA = (0.299, 0.587, 0.114)
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


def render(images: Tensor, draws: Draws, height: int, width: int, radius: int) -> Tensor:
    """See :func:`nearfar.vision.views.apply`, which has checked the arguments."""
    with torch.no_grad():
        views = crop(images, draws, height, width)
        if draws.factors is not None and draws.order is not None:
            views = jitter(views, draws.factors, draws.order)
        if draws.gray is not None:
            views = torch.where(column(draws.gray), luma(views).expand_as(views), views)
        if draws.sigma is not None and radius > 0:
            views = blur(views, draws.sigma, radius)
        if draws.solarize is not None:
            views = torch.where(views >= column(draws.solarize), 1 - views, views)
        return views.contiguous(memory_format=torch.channels_last)


def column(values: Tensor) -> Tensor:
    """One value per image, shaped to meet (N, 3, H, W)."""
    return values.view(-1, 1, 1, 1)


def crop(images: Tensor, draws: Draws, height: int, width: int) -> Tensor:
    """Crop, mirror and resize to (N, 3, height, width) float32 in [0, 1]."""
    top, left, crop_height, crop_width = draws.boxes.unbind(1)
    across, weight = taps(left, crop_width, width, images.shape[3])
    down, weight_down = taps(top, crop_height, height, images.shape[2])
    if draws.flip is not None:
        mirrored = draws.flip[:, None, None]
        across = torch.where(mirrored, across.flip(1), across)
        weight = torch.where(mirrored, weight.flip(1), weight)
    views = torch.zeros((), device=images.device)
    rows = images.expand(-1, 3, -1, -1)
    for k in range(across.shape[2]):
        index = across[:, None, None, :, k].expand(-1, 3, images.shape[2], -1)
        views = views + rows.gather(3, index) * (weight[:, None, None, :, k] / 255)
    rows, views = views, torch.zeros((), device=images.device)
    for k in range(down.shape[2]):
        index = down[:, None, :, k, None].expand(-1, 3, -1, width)
        views = views + rows.gather(2, index) * weight_down[:, None, :, k, None]
    return views


def taps(start: Tensor, length: Tensor, size: int, whole: int) -> tuple[Tensor, Tensor]:
    """Triangle-filter taps from crops of an axis of ``whole`` pixels to ``size`` ones.

    Returns indices and weights (N, size, K).

    K follows from the sizes, not from the drawn crops, so that it is known without reading them.
    """
    count = 2 * max(-(-whole // size), 1)
    scale = (length / size)[:, None]
    support = scale.clamp_min(1.0)
    centre = (torch.arange(size, device=start.device) + 0.5) * scale
    low = (centre - support + 0.5).floor().clamp_min(0)
    position = low[..., None] + torch.arange(count, device=start.device)
    weight = (1 - (position + 0.5 - centre[..., None]).abs() / support[..., None]).clamp_min(0)
    weight = weight * (position < length[:, None, None])
    index = (position.long() + start[:, None, None]).clamp(0, whole - 1)
    return index, weight / weight.sum(2, keepdim=True)


def luma(views: Tensor) -> Tensor:
    """(N, 1, H, W)."""
    red, green, blue = views.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


def jitter(views: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Colour jitter, each image in its own order.

    Brightness, contrast and saturation are one form, clip(f x + (1 - f) other), with other = 0, the mean
    luma or the luma, so that each step of the order is one blend and one turn of the hue, whatever the image
    needs.
    """
    for step in order.unbind(1):
        factor = column(factors.gather(1, step[:, None]))
        operation = column(step)
        gray = luma(views)
        other = torch.where(operation == CONTRAST, gray.mean((2, 3), keepdim=True), gray)
        other = other * (operation != BRIGHTNESS)
        blended = (factor * views + (1 - factor) * other).clamp(0, 1)
        views = torch.where(operation == HUE, turn_hue(views, factor), blended)
    return views


def turn_hue(views: Tensor, turn: Tensor) -> Tensor:
    """Move the hue of HSV by ``turn`` of the colour circle; value and chroma stay."""
    red, green, blue = views.unbind(1)
    value, low = views.amax(1), views.amin(1)
    chroma = value - low
    inverse = chroma.clamp_min(1e-12).reciprocal()
    from_green = torch.where(value == green, (blue - red) * inverse + 2, (red - green) * inverse + 4)
    hue = torch.where(value == red, (green - blue) * inverse, from_green)
    hue = (hue + 6 * turn[:, 0]) % 6
    weights = torch.stack([(hue - 3).abs() - 1, 2 - (hue - 2).abs(), 2 - (hue - 4).abs()], 1)
    return low[:, None] + chroma[:, None] * weights.clamp(0, 1)


def blur(views: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Gaussian blur of 2 radius + 1 taps per axis, mirrored about border pixels; none where sigma is 0."""
    distance = torch.arange(radius + 1, device=views.device)
    weight = torch.exp(-0.5 * (distance / sigma.clamp_min(1e-6)[:, None]) ** 2)
    weight = weight / (2 * weight.sum(1, keepdim=True) - weight[:, :1])
    for axis, padding in ((3, (radius, radius, 0, 0)), (2, (0, 0, radius, radius))):
        padded = functional.pad(views, padding, mode="reflect")
        size = views.shape[axis]
        views = views * column(weight[:, 0])
        for k in range(1, radius + 1):
            pair = padded.narrow(axis, radius - k, size) + padded.narrow(axis, radius + k, size)
            views = views + pair * column(weight[:, k])
    return views
