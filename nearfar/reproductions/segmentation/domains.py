"""Pictures of four kinds (PACS) for leave-one-domain-out protocols, where the optional data sets are there."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from nearfar.reproductions.arms import shared
from nearfar.vision.data import ImageArray

DOMAINS = ("photo", "art_painting", "cartoon", "sketch")
PICTURES = "pacs/pacs64.npz"


def without_domain(held_out: str, size: int = 32) -> ImageArray | None:
    """The pictures of three kinds to learn from, those of the fourth as the set ``unseen domain``.

    A tenth of the three kinds is held out as well, as ``seen domains``. None without the data set.

    Args:
        held_out: one of :data:`DOMAINS`.
        size: side in pixels; the stored pictures have 64.
    """
    path = shared(PICTURES)
    if path is None:
        return None
    with np.load(path) as stored:
        packed, offsets = stored["buf"], stored["off"]
        labels = stored["classes"][stored["y"]]
        domain = stored["domains"][stored["domain"]]
    pixels = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(packed[a:b])).convert("RGB").resize((size, size), Image.Resampling.BOX))
            for a, b in zip(offsets[:-1], offsets[1:], strict=True)
        ]
    )
    known = np.flatnonzero(domain != held_out)
    order = np.random.default_rng(0).permutation(known)
    test, train = np.sort(order[: len(order) // 10]), np.sort(order[len(order) // 10 :])
    other = np.flatnonzero(domain == held_out)
    splits = {
        "seen domains": ImageArray(pixels[test], labels[test], name="seen domains"),
        "unseen domain": ImageArray(pixels[other], labels[other], name=held_out),
    }
    return ImageArray(pixels[train], labels[train], name=f"PACS without {held_out}", splits=splits)
