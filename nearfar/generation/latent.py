"""Networks of codes: from a picture to its code, and one that learns how codes are distributed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.generation.unet import UNet, Widths
from nearfar.parts.diffusion import sines

STEP_WIDTH = 64


class CodeEncoder(nn.Module):
    """A U-net to a map of one channel, and a linear layer to the code a, with mu and log variance made of it."""

    def __init__(self, channels: int, side: int, dim: int, widths: Widths) -> None:
        super().__init__()
        self.net = UNet(channels, 1, widths, start=1.0)
        self.code = nn.Linear(side * side, dim)
        self.mean, self.log_variance = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.out_features = dim

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, side, side) in [-1, 1] to the code (N, dim)."""
        return self.code(self.net(x).flatten(1))


class CodeDenoiser(nn.Module):
    """Linear layers that each see the noised code anew and are scaled by the step (DiffAE's and InfoDiffusion's).

    Args:
        dim: of the codes.
        layers: number of linear layers, at least 2.
        times: width inside, as a multiple of ``dim``.
    """

    def __init__(self, dim: int, layers: int = 10, times: int = 4) -> None:
        super().__init__()
        if layers < 2:
            raise ValueError(f"layers must be at least 2, got {layers}")
        inside = dim * times
        self.step = nn.Sequential(nn.Linear(STEP_WIDTH, dim), nn.SiLU(), nn.Linear(dim, dim), nn.SiLU())
        self.layers = nn.ModuleList(
            nn.Linear(inside + dim if n else dim, inside if n < layers - 1 else dim) for n in range(layers)
        )
        self.scales = nn.ModuleList(nn.Linear(dim, inside) for _ in range(layers - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(inside) for _ in range(layers - 1))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        step, h = self.step(sines(t, STEP_WIDTH)), x
        for n, layer in enumerate(self.layers):
            h = layer(torch.cat([h, x], 1) if n else h)
            if n < len(self.norms):
                h = torch.nn.functional.silu(self.norms[n](h * (1 + self.scales[n](step))))
        return h
