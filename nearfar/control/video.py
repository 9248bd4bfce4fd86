"""Pictures in a row as a film."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from nearfar.common.extras import needed
from nearfar.common.files import atomic_write


def write_video(pictures: Sequence[np.ndarray], path: Path, *, fps: int = 15) -> None:
    """Write (H, W, 3) uint8 pictures of one size as ``.gif``, or as ``.mp4`` where PyAV is installed."""
    if not pictures:
        raise ValueError("there is nothing to film")
    if fps < 1:
        raise ValueError(f"fps must be at least 1, got {fps}")
    small = max(128 // min(pictures[0].shape[:2]), 1)  # tiny worlds are shown larger
    frames = [np.ascontiguousarray(p.repeat(small, 0).repeat(small, 1)) for p in pictures]
    if path.suffix == ".gif":
        images = [Image.fromarray(frame) for frame in frames]
        with atomic_write(path) as file:
            images[0].save(file, "GIF", save_all=True, append_images=images[1:], duration=1000 // fps, loop=0)
        return
    av = needed("av", "video", "Writing .mp4")
    with atomic_write(path) as file, av.open(file, "w", format="mp4") as film:
        stream = film.add_stream("libx264", rate=Fraction(fps))
        # The codec takes even sides only.
        stream.height, stream.width = (side - side % 2 for side in frames[0].shape[:2])
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            shown = av.VideoFrame.from_ndarray(frame[: stream.height, : stream.width], format="rgb24")
            film.mux(stream.encode(shown))
        film.mux(stream.encode())
