"""A predictor that is told what was done to a picture, and what is told to it (IWM)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.encoders import Transformer, sine_positions
from nearfar.parts import fill
from nearfar.vision.masked import linear
from nearfar.vision.views import Draws

ACTIONS = 7
"""Numbers of an action."""
CONDITIONINGS = ("feature", "sequence", "none")
UNITS = (0.4, 0.4, 0.2, 0.1)


def photometric_action(source: Draws, target: Draws) -> Tensor:
    """What leads from a source view to a target view of the same crop, (N, 7).

    The target's minus the source's factors of brightness, contrast and saturation and turn of the hue, in units of
    IWM's colour jitter (0.4, 0.4, 0.2, 0.1), then 1 where the source was blurred, turned grey or solarised and the
    target was not, -1 where it is the other way round. In which order colours were changed is not told.
    """
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0], device=source.device).expand(len(source), 4)
    before, after = (neutral if draws.factors is None else draws.factors for draws in (source, target))
    numbers = (after - before) / torch.tensor(UNITS, device=source.device)
    return torch.cat([numbers, _destroyed(source) - _destroyed(target)], 1)


def _destroyed(draws: Draws) -> Tensor:
    nothing = torch.zeros(len(draws), device=draws.device)
    blurred = nothing if draws.sigma is None else (draws.sigma > 0).float()
    grey = nothing if draws.gray is None else draws.gray.float()
    solarised = nothing if draws.solarize is None else (draws.solarize <= 1).float()
    return torch.stack([blurred, grey, solarised], 1)


class WorldModel(nn.Module):
    """Predicts latents of hidden patches from tokens of seen ones and an action: IWM's predictor.

    A transformer on all patches, a learned token with its position in place of each hidden one.

    Args:
        features: width of the encoder's tokens, which are also what is predicted.
        width, depth, heads: of the transformer.
        conditioning: ``feature`` joins the action to every mask token and mixes them by a 3-layer MLP; ``sequence``
            adds a token for each number of the action, by linear maps of their own; ``none`` ignores it.
        actions: numbers of an action.

    Shape: ``(N, 1 + K, features), (N, K), (rows, columns), (N, actions) -> (N, rows * columns, features)``.

    Raises:
        ValueError: another conditioning, or sizes that do not fit.
    """

    def __init__(
        self,
        features: int,
        width: int,
        depth: int,
        heads: int,
        *,
        conditioning: str = "feature",
        actions: int = ACTIONS,
    ) -> None:
        super().__init__()
        if conditioning not in CONDITIONINGS:
            raise ValueError(f"conditioning must be 'feature', 'sequence' or 'none', got {conditioning!r}")
        if width % 4:
            raise ValueError(f"the predictor's width must be divisible by 4 (sines of row and column), got {width}")
        self.conditioning = conditioning
        self.embed = linear(features, width)
        self.mask_token = nn.Parameter(torch.empty(width))
        nn.init.normal_(self.mask_token, std=0.02)
        if conditioning == "feature":
            self.mix = nn.Sequential(
                linear(width + actions, width), nn.GELU(), linear(width, width), nn.GELU(), linear(width, width)
            )
        elif conditioning == "sequence":
            self.told = nn.Parameter(torch.randn(2, actions, width) * 0.02)
        self.blocks = Transformer(width, depth, heads)
        self.predict = linear(width, features)

    def forward(self, tokens: Tensor, kept: Tensor, grid: tuple[int, int], action: Tensor) -> Tensor:
        tokens, length = self.embed(tokens), grid[0] * grid[1]
        position = sine_positions(*grid, tokens.shape[2]).to(tokens)
        asked = (self.mask_token + position).expand(len(tokens), -1, -1)
        if self.conditioning == "feature":
            asked = self.mix(torch.cat([asked, action[:, None].expand(-1, length, -1)], 2))
        patches = fill(tokens[:, 1:] + position[kept], kept, length, asked)
        sequence = [tokens[:, :1], patches]
        if self.conditioning == "sequence":
            sequence.append(action[..., None] * self.told[0] + self.told[1])
        return self.predict(self.blocks(torch.cat(sequence, 1))[:, 1 : 1 + length])
