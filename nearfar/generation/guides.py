"""What says how near a picture is to a text, with gradients in the pixels: CLIP, or, where none is at hand, colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.extras import needed
from nearfar.encoders.causal import without_bars

COLOURS: dict[str, tuple[float, float, float]] = {
    "black": (0.0, 0.0, 0.0),
    "white": (1.0, 1.0, 1.0),
    "grey": (0.5, 0.5, 0.5),
    "red": (0.9, 0.1, 0.1),
    "orange": (1.0, 0.55, 0.0),
    "yellow": (0.95, 0.9, 0.1),
    "green": (0.1, 0.7, 0.2),
    "cyan": (0.1, 0.8, 0.8),
    "blue": (0.1, 0.2, 0.9),
    "purple": (0.55, 0.15, 0.75),
    "pink": (1.0, 0.5, 0.75),
    "brown": (0.45, 0.27, 0.12),
}
"""Colours that :class:`ColourGuide` knows, red, green and blue in [0, 1]."""
BROAD = 0.35
"""Distance of two colours, each value in [0, 1], at which they are about two thirds alike to it."""


@runtime_checkable
class Guide(Protocol):
    """Embeds pictures and texts in one space.

    Attributes:
        side: of the pictures it looks at.
    """

    side: int

    def images(self, x: Tensor) -> Tensor:
        """(N, D) of pictures (N, 3, side, side) in [-1, 1], with gradients."""

    def texts(self, texts: Sequence[str]) -> Tensor:
        """(M, D) of texts."""


class ColourGuide(nn.Module):
    """Understands of a picture how much of each colour is in it, and of a text which colours it names.

    It stands where CLIP does in tests and demonstrations. A picture's embedding is the mean over its pixels of their
    likenesses, :math:`e^{-|p - c|^2 / 2 b^2}`, to the twelve colours of :data:`COLOURS`; a text's is the mean over the
    colours that it names, or over all of them.
    """

    side = 8
    palette: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("palette", torch.tensor([*COLOURS.values()]), persistent=False)

    def images(self, x: Tensor) -> Tensor:
        return self._alike((x + 1).flatten(2).mT / 2).mean(1)

    def _alike(self, colours: Tensor) -> Tensor:
        """(..., 12) of colours (..., 3)."""
        far = (colours.unsqueeze(-2) - self.palette).square().sum(-1)
        return torch.exp(-far / (2 * BROAD**2))

    def texts(self, texts: Sequence[str]) -> Tensor:
        names = [*COLOURS]
        found = []
        for text in texts:
            words = text.lower().replace(",", " ").split()
            known = [names.index(word) for word in words if word in COLOURS] or [*range(len(names))]
            found.append(self._alike(self.palette[known]).mean(0))
        return torch.stack(found)


class ClipGuide(nn.Module):
    """A CLIP of transformers, frozen.

    Args:
        model: a ``CLIPModel``.
        tokenizer: of its texts.
        mean, std: statistics of its pixels.
    """

    MEAN = (0.48145466, 0.4578275, 0.40821073)
    STD = (0.26862954, 0.26130258, 0.27577711)
    mean: Tensor
    std: Tensor

    def __init__(self, model: Any, tokenizer: Any, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> None:
        super().__init__()
        self.model, self.tokenizer = model.requires_grad_(False).eval(), tokenizer
        self.side = int(model.config.vision_config.image_size)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def images(self, x: Tensor) -> Tensor:
        pixels = ((x + 1) / 2 - self.mean) / self.std
        return self.model.visual_projection(self.model.vision_model(pixel_values=pixels).pooler_output)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        given = self.tokenizer([*texts], padding=True, truncation=True, return_tensors="pt").to(self.model.device)
        return self.model.text_projection(self.model.text_model(**given).pooler_output)


def open_guide(guide: str | Path | Guide) -> Guide:
    """A guide by name or as an object.

    Args:
        guide: ``colours`` for :class:`ColourGuide`; a folder of transformers with a CLIP, or ``hf:<model>``.

    Raises:
        ValueError: no such guide. ImportError: transformers is not installed.
    """
    if isinstance(guide, Guide):
        return guide
    name = str(guide)
    if name == "colours":
        return ColourGuide()
    hub = name.startswith("hf:")
    if not hub and not (Path(name).expanduser() / "config.json").is_file():
        raise ValueError(f"there is no guide {name!r}; accepted are colours, a folder with a CLIP, and hf:<model>")
    transformers = needed("transformers", "all", "a CLIP")
    place = name.removeprefix("hf:") if hub else Path(name).expanduser()
    kind = transformers.AutoConfig.from_pretrained(place).model_type
    if kind != "clip":
        raise ValueError(f"{name} is a {kind}; accepted is a clip")
    with without_bars():
        model = transformers.CLIPModel.from_pretrained(place, use_safetensors=True)
    return ClipGuide(model, transformers.AutoTokenizer.from_pretrained(place))


def patches(x: Tensor, draws: Tensor, side: int, scale: tuple[float, float]) -> Tensor:
    r"""Random pieces of pictures, turned, shifted and seen from aside.

    Of each a square whose area is a share of the picture drawn from ``scale``, at a random place; turned by up to 15
    degrees, shifted by up to a tenth of its side, and each corner moved inwards by up to 0.35 of it (a perspective of
    distortion 0.7). Beyond the border the picture goes on with its last pixels. One interpolation for all of it.

    Args:
        x: (B, C, H, W).
        draws: (B, P, 14) uniform numbers in [0, 1).
        side: of the pieces.
        scale: smallest and largest share, in (0, 1].

    Returns:
        (B P, C, side, side), a picture's P pieces one after another.
    """
    flat = draws.flatten(0, 1).to(x)
    size = (scale[0] + (scale[1] - scale[0]) * flat[:, 0]).sqrt()
    centre = (2 * flat[:, 1:3] - 1) * (1 - size)[:, None]
    angle = (2 * flat[:, 3] - 1) * (15 * torch.pi / 180)
    shift = (2 * flat[:, 4:6] - 1) * 0.2
    corners = x.new_tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    moved = corners * (1 - 0.7 * flat[:, 6:14].view(-1, 4, 2))
    line = (torch.arange(side, device=x.device, dtype=x.dtype) * 2 + 1) / side - 1
    places = torch.stack([line.repeat(side), line.repeat_interleave(side), torch.ones(side * side).to(x)])
    seen = homography(corners, moved) @ places
    plane = (seen[:, :2] / seen[:, 2:]).mT
    turn = torch.stack([torch.stack([angle.cos(), angle.sin()], 1), torch.stack([-angle.sin(), angle.cos()], 1)], 1)
    grid = centre[:, None] + size[:, None, None] * (plane @ turn + shift[:, None])
    every = x.repeat_interleave(draws.shape[1], 0)
    found = F.grid_sample(
        every, grid.unflatten(1, (side, side)), mode="bilinear", padding_mode="border", align_corners=False
    )
    return found


def homography(given: Tensor, wanted: Tensor) -> Tensor:
    """(N, 3, 3) matrices of the plane that take four points (4, 2) to others (N, 4, 2)."""
    x, y = given.to(wanted).expand_as(wanted).unbind(2)
    u, v = wanted.unbind(2)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    across = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], 2)
    down = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], 2)
    found = torch.linalg.solve(torch.cat([across, down], 1), torch.cat([u, v], 1))
    return torch.cat([found, one[:, :1]], 1).view(-1, 3, 3)
