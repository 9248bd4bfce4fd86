"""Small files such as users have, for the commands of the pages: each made by its name in ``<!-- files: NAME -->``."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"red": (200, 40, 40), "green": (40, 170, 60), "blue": (50, 70, 210)}
SHAPES = ("circle", "square")
MAKERS: dict[str, Callable[[Path], None]] = {}


def maker(name: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register what makes a file or folder of a name; it is given the path."""

    def keep(function: Callable[[Path], None]) -> Callable[[Path], None]:
        MAKERS[name] = function
        return function

    return keep


def make(name: str, folder: Path) -> None:
    """Make a file where it is not there already.

    Raises:
        KeyError: nothing makes a file of that name.
    """
    if not (folder / name).exists():
        MAKERS[name](folder / name)


def table(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    rows = list(rows)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def lines(path: Path, rows: Iterable[Any]) -> None:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))


def picture(shape: str, colour: str, rng: np.random.Generator, size: tuple[int, int] = (48, 40)) -> Image.Image:
    made = Image.fromarray(rng.integers(180, 256, (size[1], size[0], 3), dtype=np.uint8))
    x, y = rng.integers(4, 14, 2)
    box = [x, y, x + 20, y + 20]
    draw = ImageDraw.Draw(made)
    (draw.ellipse if shape == "circle" else draw.rectangle)(box, fill=COLOURS[colour])
    return made


def things(count: int) -> list[tuple[str, str]]:
    """So many pairs of a shape and a colour, in turn."""
    return [(SHAPES[i % 2], [*COLOURS][i % 3]) for i in range(count)]


@maker("photos")
def _photos(path: Path) -> None:
    rng = np.random.default_rng(0)
    for i, (shape, colour) in enumerate(things(48)):
        (path / shape).mkdir(parents=True, exist_ok=True)
        picture(shape, colour, rng).save(path / shape / f"{i}.jpg")


@maker("few.csv")
def _few(path: Path) -> None:
    table(path, [{"path": f"photos/{shape}/{i}.jpg", "label": shape} for i, (shape, _) in enumerate(things(12))])


@maker("images.npy")
def _images(path: Path) -> None:
    rng = np.random.default_rng(1)
    np.save(path, np.stack([np.asarray(picture(*thing, rng, (32, 32))) for thing in things(48)]))


@maker("scenes")
def _scenes(path: Path) -> None:
    from nearfar.cli import main

    assert main(["data", "export", "street", "--out", str(path), "--scenes", "6", "--size", "32"]) == 0


@maker("pairs.csv")
def _pairs(path: Path) -> None:
    rng = np.random.default_rng(2)
    place = path.parent / "pictures"
    place.mkdir(exist_ok=True)
    rows = []
    for i, (shape, colour) in enumerate(things(48)):
        picture(shape, colour, rng).save(place / f"{i}.png")
        rows.append({"image": f"pictures/{i}.png", "caption": f"a {colour} {shape} on paper"})
    table(path, rows)


@maker("tiles.csv")
def _tiles(path: Path) -> None:
    rng = np.random.default_rng(3)
    place = path.parent / "tiles"
    place.mkdir(exist_ok=True)
    rows = []
    for i, (shape, colour) in enumerate(things(48)):
        picture(shape, colour, rng).save(place / f"{i}.png")
        where = {"longitude": 10 + i % 8, "latitude": 45 + i // 8}
        rows.append({"image": f"tiles/{i}.png", "caption": f"a {colour} {shape} from above", **where})
    table(path, rows)


@maker("changes.csv")
def _changes(path: Path) -> None:
    rng = np.random.default_rng(4)
    place = path.parent / "changed"
    place.mkdir(exist_ok=True)
    rows = []
    for i, (shape, colour) in enumerate(things(36)):
        other = [*COLOURS][(i + 1) % 3]
        picture(shape, colour, rng).save(place / f"{i}-before.png")
        picture(shape, other, rng).save(place / f"{i}-after.png")
        said = {"reference_caption": f"a {colour} {shape}", "edited_caption": f"a {other} {shape}"}
        places = {"reference": f"changed/{i}-before.png", "target": f"changed/{i}-after.png"}
        rows.append({**places, "change": f"make it {other}", **said})
    table(path, rows)


@maker("classes.txt")
def _classes(path: Path) -> None:
    lines(path, SHAPES)


def wave(count: int, period: float, rng: np.random.Generator) -> np.ndarray:
    return np.sin(2 * np.pi * np.arange(count) / period) + 0.2 * rng.standard_normal(count)


@maker("sensor.csv")
def _sensor(path: Path) -> None:
    """One long series of two channels."""
    rng = np.random.default_rng(5)
    first, second = wave(600, 24, rng), wave(600, 50, rng)
    table(path, [{"time": i, "flow": a, "heat": b} for i, (a, b) in enumerate(zip(first, second, strict=True))])


@maker("many.csv")
def _many(path: Path) -> None:
    """Series of the same channels, by their id."""
    rng = np.random.default_rng(6)
    rows = []
    for one in range(6):
        first, second = wave(80, 24, rng), wave(80, 50, rng)
        rows += [{"id": one, "time": i, "flow": first[i], "heat": second[i]} for i in range(80)]
    table(path, rows)


@maker("load.csv")
def _load(path: Path) -> None:
    rng = np.random.default_rng(7)
    table(path, [{"time": i, "load": value} for i, value in enumerate(10 + wave(700, 24, rng))])


def payments(count: int, rng: np.random.Generator, strange: float = 0.1) -> list[dict[str, Any]]:
    rows = []
    for _ in range(count):
        fraud = rng.random() < strange
        rows.append(
            {
                "amount": round(float(rng.lognormal(6 if fraud else 3)), 2),
                "hour": int(rng.integers(0, 6) if fraud else rng.integers(7, 22)),
                "country": str(rng.choice(["at", "de", "fr"])),
                "fraud": int(fraud),
            }
        )
    return rows


@maker("payments.csv")
def _payments(path: Path) -> None:
    table(path, payments(400, np.random.default_rng(8)))


@maker("new.csv")
def _new(path: Path) -> None:
    rows = payments(60, np.random.default_rng(9))
    table(path, [{name: value for name, value in row.items() if name != "fraud"} for row in rows])


@maker("people")
def _people(path: Path) -> None:
    """People of two circles of friends."""
    rng = np.random.default_rng(10)
    path.mkdir()
    nodes = [
        {
            "id": f"p{i}",
            "age": int(rng.integers(20, 60)),
            "town": ("Oslo", "Bergen")[i % 2],
            "label": ("buys", "")[i % 2],
        }
        for i in range(60)
    ]
    table(path / "nodes.csv", nodes)
    ends = [(int(a), int(a + 2 * rng.integers(1, 9)) % 60) for a in rng.integers(0, 60, 200)]
    table(path / "edges.csv", [{"source": f"p{a}", "target": f"p{b}"} for a, b in ends])
