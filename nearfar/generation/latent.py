"""A small network that learns how codes are distributed, by a diffusion of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.generation.unet import sines

STEP_WIDTH = 64


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
