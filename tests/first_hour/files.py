"""Files as people have them: out of cameras, spreadsheets and notebooks, with what lies around beside them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

UPRIGHT, TURNED = 1, 6
"""EXIF's orientations: as it is, and to be turned clockwise by a quarter."""
ORIENTATION = 0x0112
NAMES = (
    "IMG_{:04d}.JPG",
    "IMG {:04d} (1).jpg",
    "Été à Zürich {:02d}.jpeg",
    "家族 {:02d}.png",
    "scan-{:03d}.webp",
    "whatsapp image 2024-05-{:02d} at 10.00.00.jpg",
)


def picture(number: int, wide: int, high: int) -> Image.Image:
    """One of four kinds of scene: patches of colour on a ground that goes from one colour to another."""
    rng = np.random.default_rng(number)
    kind = number % 4
    ground = np.linspace(0, 1, 16)[:, None, None] * rng.uniform(60, 160, 3) + np.eye(3)[kind % 3] * 80
    small = np.repeat(ground, 16, axis=1)
    for _ in range(kind + 2):
        top, left = rng.integers(0, 11, 2)
        small[top : top + 5, left : left + (5, 2, 8, 3)[kind]] = rng.uniform(0, 255, 3)
    pixels = np.clip(small + rng.normal(0, 6, small.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((wide, high), Image.Resampling.BICUBIC)


def photos(folder: Path, count: int, *, camera: int, classes: bool = False) -> list[str]:
    """A folder of pictures out of phones and cameras; returns the names of those that can be read.

    Beside them lie what file managers leave, a film, a note, a picture whose end is missing and one that is empty.
    ``camera`` of them are as large as a camera makes them; of JPEG files half are turned by their EXIF. With
    ``classes`` they lie in folders by what they show.
    """
    readable = []
    for number in range(count):
        name = NAMES[number % len(NAMES)].format(number)
        below = folder / ("beach", "cat", "Grandma's house", "snow")[number % 4] if classes else folder
        below.mkdir(parents=True, exist_ok=True)
        wide, high = (4032, 3024) if number < camera else (320 + 16 * (number % 5), 240)
        image = picture(number, wide, high)
        if number == 3:
            image = image.convert("L")
        if number == 4:
            image.putalpha(128)
        if name.lower().endswith(("jpg", "jpeg")):
            exif = Image.Exif()
            exif[ORIENTATION] = TURNED if number % 2 else UPRIGHT
            shape = {"exif": exif, "quality": 85}
            (image.convert("CMYK") if number == 11 else image).save(below / name, **shape)
        else:
            image.save(below / name)
        readable.append(str((below / name).relative_to(folder)))
    whole = (folder / readable[0]).read_bytes()
    (folder / "IMG_9998.JPG").write_bytes(whole[: len(whole) // 2])
    (folder / "IMG_9999.JPG").write_bytes(b"")
    (folder / "._IMG_0000.JPG").write_bytes(b"\0\5\x16\7")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (folder / "MVI_0007.MOV").write_bytes(b"\0\0\0\x14ftypqt  ")
    (folder / "notes to self.txt").write_text("print the best ones\n")
    (folder / ".thumbnails").mkdir()
    image.resize((40, 30)).convert("RGB").save(folder / ".thumbnails" / "1.png")
    return readable


def table(path: Path, rows: Sequence[Sequence[object]], *, mark: bool = True, separator: str = ",") -> Path:
    """A table as spreadsheets write it: with a byte order mark, ends of lines of Windows, and cells in quotes."""
    with path.open("w", encoding="utf-8-sig" if mark else "utf-8", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return path


INTENTS = {
    "card arrival": ("where is my new card", "my card has not come yet", "when will the card I ordered arrive"),
    "lost card": ("I lost my card", "my card was stolen", "somebody took my wallet with the card in it"),
    "exchange rate": ("what is your exchange rate", "how do you convert euros", "which rate applies abroad"),
    "top up": ("how do I top up", "can I add money by transfer", "my top up did not arrive"),
}
OPENINGS = ("", "Hello, ", "please: ", "Hi there! ", "quick question, ", "Sorry, but ")


def messages(count: int) -> list[tuple[str, str]]:
    """What customers write, and what it is about."""
    made = []
    for number in range(count):
        about = [*INTENTS][number % len(INTENTS)]
        text = INTENTS[about][number // len(INTENTS) % 3]
        made.append((f"{OPENINGS[number % len(OPENINGS)]}{text}, no. {number}", about))
    return made


def graph(nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words of papers (N, 24), links (E, 2) that name each once, and subjects (N,) of a small library."""
    rng = np.random.default_rng(0)
    subject = np.arange(nodes) % 3
    words = (rng.random((nodes, 24)) < np.where(np.arange(24) // 8 == subject[:, None], 0.4, 0.05)).astype(np.float32)
    pairs = rng.integers(0, nodes, (12 * nodes, 2))
    same = subject[pairs[:, 0]] == subject[pairs[:, 1]]
    kept = pairs[(same | (rng.random(len(pairs)) < 0.1)) & (pairs[:, 0] != pairs[:, 1])]
    return words, np.unique(np.sort(kept, 1), axis=0), subject


def streets(folder: Path, count: int) -> None:
    """Frames of a drive as JPEG files and their label maps as PNG, in CamVid's folders."""
    for part, many in (("train", count), ("val", 2), ("test", 2)):
        for kind in (part, f"{part}annot"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(many):
            picture(number, 120, 90).save(folder / part / f"0006R0_f{number:05d}.jpg", quality=90)
            labels = np.zeros((90, 120), np.uint8)
            labels[40:] = 3
            labels[50:70, 10 * number % 80 : 10 * number % 80 + 20] = 8
            Image.fromarray(labels).save(folder / f"{part}annot" / f"0006R0_f{number:05d}.png")
