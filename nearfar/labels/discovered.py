"""Groups of pictures for people: names, and a page of pictures."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from PIL import Image

from nearfar.labels.data import LabelledImages

SHOWN, SIDE = 12, 64


def group_names(numbers: np.ndarray, data: LabelledImages) -> dict[int, tuple[str, bool]]:
    """Of each group its name and whether it is new: known classes by theirs, new ones as ``new 1`` and so on, the
    largest first.

    Args:
        numbers: (N,) the group of each picture; numbers of labelled classes are the classes' own.
        data: the labelled collection that the groups were found in.
    """
    seen = data.seen
    known = set(np.unique(seen[seen >= 0]).tolist())
    groups, sizes = np.unique(numbers, return_counts=True)
    by_size = [int(g) for g in groups[np.argsort(-sizes, kind="stable")]]
    new = [g for g in by_size if g not in known]
    named = {g: (str(data.classes[g]), False) for g in by_size if g in known}
    return named | {g: (f"new {place}", True) for place, g in enumerate(new, 1)}


def page(data: LabelledImages, numbers: np.ndarray, names: dict[int, tuple[str, bool]]) -> str:
    """A self-contained page with the first pictures of every group."""
    parts = []
    for number, (name, new) in sorted(names.items(), key=lambda item: (not item[1][1], item[1][0])):
        rows = np.flatnonzero(numbers == number)
        pictures = data.batch(rows[:SHOWN]).pictures.images
        pictures = pictures[:, 0] if pictures.ndim == 5 else pictures
        shown = "".join(_picture(image) for image in pictures.permute(0, 2, 3, 1).numpy())
        kind = "new" if new else "known"
        parts.append(f"<h2>{html.escape(name)}</h2><p>{len(rows)} pictures, {kind}</p><p>{shown}</p>")
    style = "body{font:15px system-ui;margin:32px auto;max-width:1040px}img{image-rendering:pixelated;margin:2px}"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Groups of {html.escape(data.name)}</title>"
        f"<style>{style}</style><h1>Groups of {html.escape(data.name)}</h1>{''.join(parts)}"
    )


def _picture(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f"<img width={SIDE} src='data:image/png;base64,{encoded}' alt=''>"
