"""Windows of series and their codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nearfar.series.encoders import standardised
from nearfar.series.views import rows_from

__all__ = ["WindowEncoder", "consecutive", "near_and_far"]

# Distant windows are at least so many times the neighbourhood away.
DISTANT = 5


class WindowEncoder(nn.Module):
    """A bidirectional GRU over a window; a linear map of its last output is the code.

    As in the release, the reversed direction has read one step by then.

    Args:
        in_channels: numbers at a step.
        hidden: width of each direction.
        out_features: width of the code.
        centre, spread: of the channels; 0 and 1 when not given.
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_features: int,
        *,
        centre: Sequence[float] | None = None,
        spread: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("centre", torch.tensor(centre or [0.0] * in_channels))
        self.register_buffer("spread", torch.tensor(spread or [1.0] * in_channels))
        self.recurrent = nn.GRU(in_channels, hidden, batch_first=True, bidirectional=True)
        self.code = nn.Linear(2 * hidden, out_features)

    def forward(self, windows: Tensor) -> Tensor:
        """(N, w, C) to (N, D)."""
        filled = standardised(windows, self.centre, self.spread).nan_to_num(0.0)
        return self.code(self.recurrent(filled)[0][:, -1])


def consecutive(values: Tensor, window: int) -> Tensor:
    """(B, K, window, C), the windows of values (B, T, C) side by side from the first step on.

    Raises:
        ValueError: the series are shorter than a window.
    """
    count = values.shape[1] // window
    if not count:
        raise ValueError(f"the series have {values.shape[1]} steps, fewer than a window of {window}")
    return values[:, : count * window].unflatten(1, (count, window))


def near_and_far(
    values: Tensor, window: int, samples: int, neighbourhood: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """TNC's windows of every series: one anywhere, near ones, distant ones.

    The middle of near windows is normal around the first's, with ``neighbourhood`` windows of deviation; distant ones
    are uniform on the longer side, at least five times as far away, or at its end where there is no room.

    Args:
        values: (B, T, C).
        window: steps of a window.
        samples: near windows for each, and distant ones.

    Returns:
        (B, 1, window, C), (B, samples, window, C) twice.
    """
    batch, steps = values.shape[:2]
    last = steps - window

    def uniform(size: tuple[int, ...]) -> Tensor:
        return torch.rand(size, generator=generator, device=values.device)

    here = (uniform((batch, 1)) * (last + 1)).long()
    spread = torch.randn((batch, samples), generator=generator, device=values.device)
    near = (here + neighbourhood * window * spread).long().clamp(0, last)
    gap = int(DISTANT * neighbourhood * window)
    late = here > last // 2
    low = torch.where(late, 0, (here + gap).clamp(max=last))
    high = torch.where(late, (here - gap).clamp(min=0), last)
    far = low + (uniform((batch, samples)) * (high - low + 1)).long()
    found = []
    for starts in (here, near, far):
        count = starts.shape[1]
        repeated = values.repeat_interleave(count, 0)
        found.append(rows_from(repeated, starts.flatten(), window).unflatten(0, (batch, count)))
    return found[0], found[1], found[2]
