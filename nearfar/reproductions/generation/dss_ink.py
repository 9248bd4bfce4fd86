"""DSS: joined inks, styles and pieces make long handwriting that a reader can read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from nearfar.generation.data import load
from nearfar.generation.data.drawn_ink import LETTERS, some_text, written_by
from nearfar.generation.inking import offsets, read_both_ways
from nearfar.generation.method import Draws
from nearfar.generation.methods.dss_ink import DSSInk
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.harness import Claim, Reproduction

STEPS, READING = 220, 220
LONG, COUNT = 24, 60
SIGNS = {sign: n + 1 for n, sign in enumerate([*LETTERS, " "])}


class Reader(nn.Module):
    """What an ink says: an LSTM in both directions and connectionist temporal classification."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, width, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, len(SIGNS) + 1)

    def forward(self, points: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        steps = [offsets(each)[:, :3] for each in points]
        lengths = torch.tensor([len(each) for each in steps])
        read = read_both_ways(self.lstm, pad_sequence(steps, batch_first=True), lengths)
        return self.out(read).log_softmax(2), lengths

    @classmethod
    def taught(cls, seed: int) -> Reader:
        """A reader of inks by writers of its own."""
        torch.manual_seed(seed)
        reader, data = cls(), written_by(60, 1200, seed + 77, "for the reader", (3, 16))
        rng, optimizer = np.random.default_rng(seed), torch.optim.Adam(reader.parameters(), lr=1e-2)
        for step in range(READING):
            for group in optimizer.param_groups:
                group["lr"] = 1e-2 * (1 - step / READING)
            batch = data.batch(rng.integers(len(data), size=16))
            logs, lengths = reader(batch.points)
            signs = [torch.tensor([SIGNS[sign] for sign in text]) for text in batch.texts]
            many = torch.tensor([len(each) for each in signs])
            loss = F.ctc_loss(logs.transpose(0, 1), torch.cat(signs), lengths, many, zero_infinity=True)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimizer.step()
        return reader.eval()

    @torch.no_grad()
    def read(self, points: Sequence[Tensor]) -> list[str]:
        logs, lengths = self(points)
        signs, found = ["", *SIGNS], []
        for best, length in zip(logs.argmax(2), lengths.tolist(), strict=True):
            found.append("".join(signs[n] for n in torch.unique_consecutive(best[:length]).tolist()))
        return found

    def errors(self, points: Sequence[Tensor], texts: Sequence[str]) -> dict[str, float]:
        """Letters that are wrong, as a share of all."""
        wrong = sum(edits(a, b) for a, b in zip(self.read(points), texts, strict=True))
        rate = wrong / sum(map(len, texts))
        return {"cer": rate, "log2 cer": math.log2(max(rate, 1e-3))}


def edits(a: str, b: str) -> int:
    """Letters to put in, to take out or to change until ``a`` is ``b``."""
    row = [*range(len(b) + 1)]
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def run(seed: int) -> dict[str, dict[str, float]]:
    data, reader = load("inks", data_seed=seed), Reader.taught(seed)
    test = data.splits()["test"].sample(COUNT, seed)
    examples = test.batch(np.arange(len(test)))
    rng = np.random.default_rng(seed)
    texts = [some_text(rng, LONG) for _ in range(len(test))]
    found = {}
    arms: dict[str, dict[str, Any]] = {"dss": {}, "base": {"join": 0.0, "style_weight": 0.0}}
    for name, changes in arms.items():
        method = build("dss-ink", data, seed, **changes)
        assert isinstance(method, DSSInk)
        train("dss-ink", method, data, seed, steps=STEPS)
        for split in (True, False):
            method.split = split
            with method.frozen():
                made = method.write(texts, method.encode(examples), Draws(seed, examples.rows))
            arm = name if split == (name == "dss") else f"{name}, {'in pieces' if split else 'in one go'}"
            found[arm] = reader.errors(made, texts)
        if name == "dss":
            found[name]["style retrieval"] = method.evaluate(data, seed=seed)["style retrieval"]
            plain = build("dss-ink", data, seed)
            assert isinstance(plain, DSSInk)
            found["untrained"] = {"style retrieval": plain.eval().evaluate(data, seed=seed)["style retrieval"]}
    real = written_by(20, COUNT, seed + 5, "real", (LONG, LONG))
    found["real inks"] = reader.errors([torch.from_numpy(each) for each in real.points], real.texts)
    return found


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""900 drawn inks of 3 to 8 letters by 60 writers; {COUNT} texts of {LONG} letters are written in the hands
    of 20 others and read by a network that was taught on inks of any length by 60 writers of its own. Every arm is
    Graves' network of width 96 with 5 Gaussians, {STEPS} steps of 16 inks, Adam 5e-3. "Base" has no joined inks, no
    style and writes a text in one go; "dss" joins up to 2 inks, is told a style learned from halves of inks, and writes
    pieces. The other arms are the same two networks the other way.""",
    claims=(
        Claim("Long texts of DSS are read with fewer errors than the base network's", "dss", "base", "cer", "lower"),
        Claim(
            "Its error is less than half of the base network's",
            "dss",
            "base",
            "log2 cer",
            better="lower",
            margin=1.0,
            role="ablation",
        ),
        Claim("Pieces are read better than one go", "dss", "dss, in one go", "cer", better="lower", role="ablation"),
        Claim(
            "Joined inks help where a text is written in one go",
            "dss, in one go",
            "base",
            "cer",
            better="lower",
            role="ablation",
        ),
        Claim(
            "A half of an ink finds its writer better than by an untrained encoder",
            "dss",
            "untrained",
            "style retrieval",
            role="sanity",
        ),
    ),
)
