"""From longitude and latitude to an embedding: spherical harmonics and a network of sines."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["LocationEncoder", "spherical_harmonics"]


def spherical_harmonics(places: Tensor, degrees: int, *, satclip_scaling: bool = False) -> Tensor:
    r"""Real orthonormal spherical harmonics of degrees 0 to L - 1, in the order of degree and then of m from -l to l.

    Associated Legendre functions come from their normalised recurrence, which is stable beyond degree 1,000 in float64;
    factorials would overflow near 80. There is no Condon-Shortley sign, as in the default branch of SatCLIP's release.

    Args:
        places: (N, 2), longitude in [-180, 180] and latitude in [-90, 90], in degrees.
        degrees: L.
        satclip_scaling: make columns of m = 0 pi times as large, as a slip of that branch did; its released weights
            expect it.

    Returns:
        (N, L^2) float64; their squares integrate to 1 over the sphere, unless scaled as SatCLIP does.
    """
    if degrees < 1:
        raise ValueError(f"degrees must be at least 1, got {degrees}")
    places = places.double()
    azimuth, polar = torch.deg2rad(places[:, 0] + 180), torch.deg2rad(places[:, 1] + 90)
    x, s = polar.cos(), polar.sin()
    found = places.new_empty(places.shape[0], degrees * degrees)
    top = torch.full_like(x, math.sqrt(1 / (4 * math.pi)))
    for m in range(degrees):
        if m:
            top = math.sqrt((2 * m + 1) / (2 * m)) * s * top
        before, now = torch.zeros_like(x), top
        for degree in range(m, degrees):
            if degree > m:
                a = math.sqrt((4 * degree**2 - 1) / (degree**2 - m**2))
                b = math.sqrt(((degree - 1) ** 2 - m**2) / (4 * (degree - 1) ** 2 - 1))
                before, now = now, a * (x * now - b * before)
            middle = degree * degree + degree
            if m == 0:
                found[:, middle] = now * math.pi if satclip_scaling else now
            else:
                found[:, middle + m] = math.sqrt(2) * now * torch.cos(m * azimuth)
                found[:, middle - m] = math.sqrt(2) * now * torch.sin(m * azimuth)
    return found


class LocationEncoder(nn.Module):
    """Spherical harmonics, then layers sin(w (Wx + b)) with dropout before the sine, then a linear map; all in float64.

    Args:
        degrees: L of the harmonics.
        hidden: width of the layers.
        layers: number of layers of sines.
        out_features: width of the embedding.
        first_frequency: w of the first layer; 1 in the others.
        dropout: in [0, 1).
    """

    def __init__(
        self, degrees: int, hidden: int, layers: int, out_features: int, *, first_frequency: float, dropout: float
    ) -> None:
        super().__init__()
        self.degrees = degrees
        widths = [degrees * degrees, *[hidden] * layers]
        self.frequencies = [first_frequency, *[1.0] * (layers - 1)]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.last = nn.Linear(widths[-1], out_features)
        self.dropout = nn.Dropout(dropout)
        for i, layer in enumerate([*self.layers, self.last]):
            fan = layer.in_features
            bound = 1 / fan if i == 0 else math.sqrt(6 / fan)
            nn.init.uniform_(layer.weight, -bound, bound)  # type: ignore[arg-type]
            nn.init.uniform_(layer.bias, -bound, bound)  # type: ignore[arg-type]
        self.double()

    def forward(self, places: Tensor) -> Tensor:
        """(N, 2) degrees to (N, D)."""
        with torch.autocast(places.device.type, enabled=False):
            return self.sines(spherical_harmonics(places, self.degrees))

    def sines(self, x: Tensor) -> Tensor:
        """The network behind the harmonics, (N, L^2) to (N, D)."""
        for frequency, layer in zip(self.frequencies, self.layers, strict=True):
            x = torch.sin(frequency * self.dropout(layer(x)))
        return self.last(x)
