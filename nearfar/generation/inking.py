"""Networks of handwriting: from an ink to its style, and from a text and a style to an ink, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from nearfar.losses.generation.ink import mixture

SCALE = 4.0
"""Offsets are multiplied by this: those of letters of height 1 are then about 1."""
PER_LETTER = 16
"""Points after which a letter is taken to have failed."""
BLOCK = 32
"""Steps whose random numbers are drawn together."""


def offsets(points: Tensor) -> Tensor:
    """(P, 4) steps of the pen from points (P, 3): the way from the point before, multiplied by :data:`SCALE`, whether
    it rises, whether the ink ends. The first step is from (0, 0)."""
    ways = torch.diff(points[:, :2], dim=0, prepend=torch.zeros_like(points[:1, :2])) * SCALE
    ends = torch.zeros_like(points[:, :1])
    ends[-1] = 1
    return torch.cat([ways, points[:, 2:], ends], 1)


def padded_offsets(points: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """:func:`offsets` of N inks (P, 3) as (N, longest, 4), and which of them are there (N, longest) bool."""
    steps = [offsets(each) for each in points]
    there = pad_sequence([torch.ones(len(each), dtype=torch.bool, device=each.device) for each in steps], True)
    return pad_sequence(steps, batch_first=True), there


def style_retrieval(first: Tensor, second: Tensor, writers: Tensor) -> float:
    """How often what is nearest to the style of a first half (N, D) among all second halves (N, D) is by its writer
    (N,), or, where that is unknown and below 0, its own."""
    nearest = (first @ second.T).argmax(1)
    own = nearest == torch.arange(len(nearest), device=nearest.device)
    return float(torch.where(writers < 0, own, writers[nearest] == writers).float().mean())


def points_along(steps: Tensor) -> Tensor:
    """The points (P, 3) of steps (P, 4)."""
    return torch.cat([steps[:, :2].cumsum(0) / SCALE, steps[:, 2:3]], 1)


def read_both_ways(lstm: nn.LSTM, rows: Tensor, lengths: Tensor) -> Tensor:
    """(N, T, 2 width) of padded rows (N, T, D); what lies behind an end is not read."""
    packed = pack_padded_sequence(rows, lengths.cpu(), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=rows.shape[1])[0]


class StyleEncoder(nn.Module):
    """Both ways over the steps of an ink, the mean over steps, and a linear layer to its style."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, width, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, dim)
        self.out_features = dim

    def forward(self, points: Sequence[Tensor]) -> Tensor:
        """(N, dim) of N inks (P, 3)."""
        # How an ink begins, from (0, 0), says nothing of its hand.
        steps = [offsets(each)[1:, :3] if len(each) > 1 else offsets(each)[:, :3] for each in points]
        lengths = torch.tensor([len(each) for each in steps])
        read = read_both_ways(self.lstm, pad_sequence(steps, batch_first=True), lengths)
        inside = (torch.arange(read.shape[1]) < lengths[:, None]).to(read)[..., None]
        return self.out((read * inside).sum(1) / inside.sum(1))


class Letters(nn.Module):
    """Texts read both ways, with one sign more for their end."""

    def __init__(self, alphabet: str, width: int) -> None:
        super().__init__()
        self.number = {letter: n + 2 for n, letter in enumerate(alphabet)}
        self.embed = nn.Embedding(len(alphabet) + 2, width)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)

    def forward(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(N, U, 2 width) and (N, U) bool, which of them are letters; a letter outside of the alphabet is 0."""
        device = self.embed.weight.device
        rows = [torch.tensor([*(self.number.get(letter, 0) for letter in text), 1]) for text in texts]
        lengths = torch.tensor([len(row) for row in rows])
        there = torch.arange(int(lengths.max())) < lengths[:, None]
        read = read_both_ways(self.lstm, self.embed(pad_sequence(rows, batch_first=True).to(device)), lengths)
        return read, there.to(device)


class InkWriter(nn.Module):
    """Graves' handwriting (2013, arXiv 1308.0850, section 5): a soft window slides over the letters, and says to the
    next step where the text is; a second layer says how likely each next step of the pen is.

    Args:
        alphabet: letters that texts have.
        style: width of the style, which every step is told.
        width: of both LSTMs.
        parts: Gaussians of each step.
        windows: of the sliding window.
    """

    def __init__(self, alphabet: str, style: int, width: int, parts: int, windows: int) -> None:
        super().__init__()
        told = max(width // 4, 8)
        self.letters = Letters(alphabet, told)
        self.first = nn.LSTMCell(3 + 2 * told + style, width)
        self.window = nn.Linear(width, 3 * windows)
        self.second = nn.LSTM(3 + 2 * told + style + width, width, batch_first=True)
        self.head = nn.Linear(2 * width + 2 * told, 6 * parts + 2)
        nn.init.constant_(self.window.bias[2 * windows :], -1.8)  # a letter takes some steps

    def slide(self, hidden: Tensor, place: Tensor, read: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """What is seen through the window (N, 2 told), and its new place (N, windows)."""
        height, narrow, ahead = self.window(hidden).clamp(-8, 4).exp().chunk(3, 1)
        place = place + ahead
        at = torch.arange(read.shape[1], device=read.device)
        seen = (height[..., None] * (-narrow[..., None] * (place[..., None] - at).square()).exp()).sum(1) * there
        return torch.bmm(seen[:, None], read)[:, 0], place

    def forward(self, steps: Tensor, texts: Sequence[str], style: Tensor) -> Tensor:
        """What is said of each step (N, T, 6 parts + 2), given those before it: padded steps (N, T, 4), N texts and
        styles (N, style)."""
        read, there = self.letters(texts)
        before = torch.cat([torch.zeros_like(steps[:, :1, :3]), steps[:, :-1, :3]], 1)
        state = None
        seen, place = read.new_zeros(len(read), read.shape[2]), read.new_zeros(len(read), self.window.out_features // 3)
        hidden, windows = [], []
        for t in range(steps.shape[1]):
            state = self.first(torch.cat([before[:, t], seen, style], 1), state)
            seen, place = self.slide(state[0], place, read, there)
            hidden.append(state[0])
            windows.append(seen)
        h, w = torch.stack(hidden, 1), torch.stack(windows, 1)
        told = style[:, None].expand(-1, steps.shape[1], -1)
        return self.head(torch.cat([self.second(torch.cat([before, w, told, h], 2))[0], h, w], 2))

    @torch.no_grad()
    def sample(
        self, texts: Sequence[str], style: Tensor, generators: Sequence[torch.Generator], bias: float
    ) -> list[Tensor]:
        """Inks (P, 3) of N texts, each with the random numbers of a generator of its own.

        Args:
            bias: at least 0: how much likelier steps are preferred (Graves, equation 61).
        """
        read, there = self.letters(texts)
        most = torch.tensor([PER_LETTER * (len(text) + 1) for text in texts], device=read.device)
        last = read.new_zeros(len(read), 1, 3)
        seen, place = read.new_zeros(len(read), read.shape[2]), read.new_zeros(len(read), self.window.out_features // 3)
        state = after = None
        going = torch.ones(len(read), dtype=torch.bool, device=read.device)
        made: list[Tensor] = []
        lengths = torch.zeros(len(read), dtype=torch.long, device=read.device)
        while going.any():
            if len(made) % BLOCK == 0:
                drawn = torch.stack([torch.rand(BLOCK, 5, generator=each) for each in generators]).to(read)
            state = self.first(torch.cat([last[:, 0], seen, style], 1), state)
            seen, place = self.slide(state[0], place, read, there)
            h, after = self.second(torch.cat([last, seen[:, None], style[:, None], state[0][:, None]], 2), after)
            step = _drawn(self.head(torch.cat([h[:, 0], state[0], seen], 1)), drawn[:, len(made) % BLOCK], bias)
            made.append(step)
            lengths += going
            going &= (step[:, 3] < 0.5) & (lengths < most)
            last = step[:, None, :3]
        steps = torch.stack(made, 1)
        return [points_along(each[:n]) for each, n in zip(steps, lengths.tolist(), strict=True)]


def _drawn(parameters: Tensor, uniform: Tensor, bias: float) -> Tensor:
    """Steps (N, 4) drawn from what is said of them (N, 6 K + 2) by numbers (N, 5) in [0, 1)."""
    weights, means, scales, tilts, switches = mixture(parameters)
    shares = (weights * (1 + bias)).softmax(-1).cumsum(-1)
    part = (shares <= uniform[:, :1] * shares[:, -1:]).sum(-1).clamp_max(shares.shape[-1] - 1)
    rows = torch.arange(len(part), device=part.device)
    mean, scale, tilt = means[rows, part], (scales[rows, part] - bias).exp(), tilts[rows, part]
    a, b = torch.special.ndtri(uniform[:, 1:3].clamp(1e-6, 1 - 1e-6)).unbind(1)
    normal = torch.stack([a, tilt * a + (1 - tilt.square()).sqrt() * b], 1)
    return torch.cat([mean + scale * normal, (uniform[:, 3:] < switches.sigmoid()).to(mean)], 1)


class InkModel(nn.Module):
    """What a run keeps: style, writer, and how long a text is written in one go."""

    longest: Tensor

    def __init__(self, style: StyleEncoder, writer: InkWriter) -> None:
        super().__init__()
        self.style, self.writer = style, writer
        self.out_features = style.out_features
        self.register_buffer("longest", torch.tensor(16))

    def forward(self, points: Sequence[Tensor]) -> Tensor:
        return self.style(points)
