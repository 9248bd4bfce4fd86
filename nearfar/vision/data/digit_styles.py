"""The styles in which digits are drawn: families of ranges, disjoint where claims need it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GROUNDS", "STYLES", "TEXTURES", "StyleFamily"]

TEXTURES = ("plain", "stripes", "dots", "checks", "noise", "rings")
"""Patterns laid on backgrounds and strokes."""

GROUNDS = ("flat", "linear", "radial")
"""Shadings of the background under its pattern."""

Range = tuple[float, float]


@dataclass(frozen=True)
class StyleFamily:
    """The ranges from which the style of one image is drawn, every property uniformly and independently.

    Attributes
    ----------
    hues
        Intervals of hue in turns, within [0, 1]; strokes and backgrounds draw from them independently.
    saturation
        Range in [0, 1].
    stroke_luma, ground_luma
        Ranges of luma (Rec. 709 weights on sRGB values, 0 black, 1 white). The stroke range must lie above
        the background range, so that contrast never changes sign.
    textures
        Patterns laid on the background, out of plain, stripes, dots, checks, noise and rings.
    grounds
        Shading under the texture, out of flat, linear and radial.
    texture_strength
        Opacity of the texture in [0, 1].
    stroke_texture
        Greatest opacity of a texture on the stroke itself, in [0, 1].
    scale
        Side of the digit's 8 x 8 box as a share of the image side, in (0, 1.25].
    shift
        Greatest displacement of the box's centre along each axis, as a share of the image side, in [0, 0.5].
    clutter
        Range of the number of pen fragments in the background.
    noise
        Range of the standard deviation of additive Gaussian noise, on values in [0, 1].
    """

    hues: tuple[Range, ...] = ((0.0, 1.0),)
    saturation: Range = (0.5, 1.0)
    stroke_luma: Range = (0.65, 0.95)
    ground_luma: Range = (0.05, 0.4)
    textures: tuple[str, ...] = ("plain",)
    grounds: tuple[str, ...] = ("flat",)
    texture_strength: Range = (0.5, 1.0)
    stroke_texture: float = 0.0
    scale: Range = (1.0, 1.0)
    shift: float = 0.0
    clutter: tuple[int, int] = (0, 0)
    noise: Range = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name, values, known in (
            ("textures", self.textures, TEXTURES),
            ("grounds", self.grounds, GROUNDS),
        ):
            unknown = [value for value in values if value not in known]
            if unknown or not values:
                raise ValueError(f"{name} must be a non-empty choice from {known}, got {values!r}")
        bounds = {
            "saturation": (self.saturation, 1.0),
            "stroke_luma": (self.stroke_luma, 1.0),
            "ground_luma": (self.ground_luma, 1.0),
            "texture_strength": (self.texture_strength, 1.0),
            "scale": (self.scale, 1.25),
            "clutter": (self.clutter, 64),
            "noise": (self.noise, 1.0),
            "stroke_texture": ((self.stroke_texture, self.stroke_texture), 1.0),
            "shift": ((self.shift, self.shift), 0.5),
            **{f"hues[{i}]": (hue, 1.0) for i, hue in enumerate(self.hues)},
        }
        for name, ((low, high), top) in bounds.items():
            if not 0 <= low <= high <= top:
                raise ValueError(f"{name} must satisfy 0 <= low <= high <= {top}, got low={low}, high={high}")
        if not self.hues:
            raise ValueError("hues must hold at least one interval")
        if self.scale[0] <= 0:
            raise ValueError(f"scale must be positive, got {self.scale}")
        if self.stroke_luma[0] <= self.ground_luma[1]:
            raise ValueError(
                "strokes must be lighter than backgrounds: stroke_luma must start above ground_luma's end, "
                f"got stroke_luma={self.stroke_luma}, ground_luma={self.ground_luma}"
            )


STYLES: dict[str, StyleFamily] = {
    "clean": StyleFamily(saturation=(0.0, 0.0), stroke_luma=(1.0, 1.0), ground_luma=(0.0, 0.0)),
    "seen": StyleFamily(
        hues=((0.00, 0.16), (0.50, 0.66)),
        textures=("plain", "stripes", "dots"),
        grounds=("flat", "linear"),
        stroke_texture=0.3,
        scale=(0.80, 1.00),
        shift=0.06,
        noise=(0.0, 0.03),
    ),
    "shifted": StyleFamily(
        hues=((0.00, 0.21), (0.45, 0.71)),
        textures=("plain", "stripes", "dots", "noise"),
        grounds=("flat", "linear", "radial"),
        stroke_luma=(0.60, 0.95),
        ground_luma=(0.05, 0.42),
        stroke_texture=0.4,
        scale=(0.72, 1.04),
        shift=0.09,
        clutter=(0, 2),
        noise=(0.0, 0.05),
    ),
    "unseen": StyleFamily(
        hues=((0.25, 0.41), (0.75, 0.91)),
        textures=("checks", "noise", "rings"),
        grounds=("radial",),
        stroke_luma=(0.60, 0.90),
        ground_luma=(0.05, 0.42),
        stroke_texture=0.4,
        scale=(0.64, 0.78),
        shift=0.08,
        clutter=(1, 4),
        noise=(0.03, 0.05),
    ),
}
"""The named families. "seen" and "unseen" share no hue, texture, shading, scale or clutter count; "shifted"
contains "seen" and goes moderately beyond it; "clean" is white on black, centred, full size."""
