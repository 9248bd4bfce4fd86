"""Checkpoints cut, emptied and with flipped bits: all noticed, and the one before used."""

from __future__ import annotations

import random
import shutil
import warnings
from pathlib import Path
from typing import Any

from nearfar.training import latest_checkpoint
from tests.training.kills import uninterrupted


def measure(scratch: Path) -> dict[str, Any]:
    folder = uninterrupted(scratch / "whole") / "checkpoints"
    newest = sorted(folder.glob("*.ckpt"))[-1]
    older = sorted(folder.glob("*.ckpt"))[-2]
    content = newest.read_bytes()
    chance = random.Random(11)
    noticed = named = 0
    total = 300
    for number in range(total):
        damaged = bytearray(content)
        if number % 3 == 0:
            del damaged[chance.randrange(len(damaged)) :]
        elif number % 3 == 1:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        else:
            start = chance.randrange(len(damaged))
            damaged[start : start + 4096] = bytes(min(4096, len(damaged) - start))
            if bytes(damaged) == content:
                damaged[start] ^= 1
        newest.write_bytes(bytes(damaged))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            noticed += latest_checkpoint(folder) == older
        named += any(newest.name in str(w.message) and older.name in str(w.message) for w in said)
    shutil.rmtree(folder)
    return {"damaged": total, "noticed": noticed, "warned_with_both_names": named}
