"""docs/nearfar.png, the README's picture: what a demo run finds alike before and after training, and a street.

python tools/readme_picture.py runs/demo-relic
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nearfar import workflow
from nearfar.segmentation.classes import CARLA4AGT_16, colorize
from nearfar.segmentation.street import APPEARANCES, StreetScenes
from nearfar.training import Method, embed
from nearfar.vision.data import ImageArray

WIDTH, MARGIN, ROWS, NEIGHBOURS, SIDE = 1200, 24, 4, 7, 64
INK, SOFT, PAPER = (29, 36, 51), (102, 112, 133), (255, 255, 255)


def neighbours(method: Method, queries: ImageArray, bank: ImageArray) -> np.ndarray:
    """Rows of a query and its nearest images, (ROWS * SIDE, (1 + NEIGHBOURS) * SIDE, 3)."""
    similar = embed(method, queries).normalized().array @ embed(method, bank).normalized().array.T
    nearest = np.argsort(-similar, axis=1)[:, :NEIGHBOURS]
    rows = [np.concatenate([queries.images[i], *bank.images[nearest[i]]], axis=1) for i in range(len(queries.images))]
    sheet = Image.fromarray(np.concatenate(rows))
    return np.asarray(sheet.resize((SIDE * (1 + NEIGHBOURS), SIDE * ROWS), Image.Resampling.NEAREST))


def main(run: Path, out: Path) -> None:
    system, trained, opened = workflow.load_run(run)
    _, untrained, _, _ = workflow.run_parts(opened)
    data = workflow.run_data(system, opened.config["data"])
    unseen = data.splits()["unseen styles"]
    assert isinstance(unseen, ImageArray)
    assert isinstance(data, ImageArray)
    chosen = [int(np.flatnonzero(unseen.labels == digit)[1]) for digit in (3, 6, 8, 2)]
    queries = ImageArray(unseen.images[chosen])
    bank = ImageArray(data.images)

    font = ImageFont.load_default(size=17)
    sheet_width = SIDE * (1 + NEIGHBOURS)
    height = 2 * MARGIN + 30 + SIDE * ROWS + 46 + 2 * 140 + MARGIN
    picture = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(picture)
    right = WIDTH - MARGIN - sheet_width
    for left, method, title in (
        (MARGIN, untrained, "untrained: nearest to a digit in an unseen style"),
        (right, trained, "after half a minute of ReLIC, without labels"),
    ):
        draw.text((left, MARGIN), title, INK, font)
        picture.paste(Image.fromarray(neighbours(method.eval(), queries, bank)), (left, MARGIN + 28))
    top = MARGIN + 28 + SIDE * ROWS + 18
    draw.text((MARGIN, top), "one embedded street, one label map, six appearances (two held out)", INK, font)
    street = StreetScenes(size=(140, 280))
    images, labels = street.batch([43], APPEARANCES)
    tiles = [*images[0], colorize(labels[0], CARLA4AGT_16)]
    step = (WIDTH - 2 * MARGIN - 280) // 3
    for position, tile in enumerate(tiles[:8]):
        x, y = MARGIN + (position % 4) * step, top + 28 + (position // 4) * 146
        picture.paste(Image.fromarray(tile), (x, y))
    picture.save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).resolve().parent.parent / "docs" / "nearfar.png")
