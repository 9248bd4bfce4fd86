"""Pictures as the world leaves them: files that hold one clean picture in every disguise, and files that hold none."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 24, 40
SUFFIX = {
    "JPEG": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "TIFF": "tif",
    "PPM": "ppm",
}
# What each format may change of the picture, in mean gray levels.
TOLERANCE = {"JPEG": 4.0, "WEBP": 4.0, "GIF": 10.0}
ORIENTATION = 0x0112


def clean(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A smooth picture whose four corners differ."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([40 + 170 * x, 220 - 180 * y, 60 + 150 * x * y], -1).round().astype(np.uint8)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    memory = io.BytesIO()
    picture.save(memory, kind, **({"quality": 95} if kind in ("JPEG", "WEBP") else {}), **options)
    return memory.getvalue()


def grey(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(Image.fromarray(pixels).convert("L"))[..., None], 3, -1)


Good = tuple[bytes, np.ndarray, float]


def good() -> Iterator[tuple[str, Good]]:
    """Name, content, the picture it holds, and how far the decoded one may be from it on average."""
    base = clean()
    picture = Image.fromarray(base)
    for kind in SUFFIX:  # every format under every name
        for suffix in (*SUFFIX.values(), "jpeg", "tiff", "PNG", "Jpg"):
            yield f"names/{kind} as.{suffix}", (encoded(base, kind), base, TOLERANCE.get(kind, 0))
    yield from _modes(picture, base)
    for turn in range(1, 9):
        for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
            turned = Image.fromarray(np.ascontiguousarray(_turned(base, turn)))
            exif = turned.getexif()
            exif[ORIENTATION] = turn
            yield f"turned/{turn}.{SUFFIX[kind]}", (encoded(turned, kind, exif=exif), base, TOLERANCE.get(kind, 0))
    for turn in (0, 9, 255):
        exif = picture.getexif()
        exif[ORIENTATION] = turn
        yield f"turned/wrong {turn}.jpg", (encoded(base, "JPEG", exif=exif), base, 4)
    yield "turned/garbage.jpg", (encoded(base, "JPEG", exif=b"Exif\0\0" + b"\xff" * 60), base, 4)
    for kind in ("JPEG", "PNG", "WEBP", "GIF"):
        for what, tail in (("text", b"more" * 20), ("zeros", bytes(5000)), ("itself", encoded(base, kind))):
            yield f"tails/{what}.{SUFFIX[kind]}", (encoded(base, kind) + tail, base, TOLERANCE.get(kind, 0))
    for height, width in ((1, 1), (1, 60), (60, 1), (2, 3000), (3000, 2), (7, 5)):
        yield f"sizes/{height}x{width}.png", (encoded(clean(height, width), "PNG"), clean(height, width), 0)
        yield (
            f"sizes/{height}x{width}.jpg",
            (encoded(clean(height, width), "JPEG", subsampling=0), clean(height, width), 4),
        )
    for name in NAMES:
        yield name, (encoded(base, "PNG"), base, 0)
    yield "/".join(["deeper"] * 150) + "/down.png", (encoded(base, "PNG"), base, 0)


def _modes(picture: Image.Image, base: np.ndarray) -> Iterator[tuple[str, Good]]:
    half = np.full((HEIGHT, WIDTH), 128, np.uint8)
    over_white = (base * (128 / 255) + 255 * (127 / 255)).round().astype(np.uint8)
    half_seen = Image.fromarray(np.dstack([base, half]))
    grey16 = grey(base)[..., 0].astype(np.uint16) * 257
    for kind in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
        yield f"modes/alpha.{SUFFIX[kind]}", (encoded(half_seen, kind, **options), over_white, 1)
    yield "modes/grey alpha.png", (encoded(half_seen.convert("LA"), "PNG"), grey(over_white), 1.5)
    for kind in ("JPEG", "PNG", "BMP", "TIFF", "GIF"):
        yield f"modes/grey.{SUFFIX[kind]}", (encoded(picture.convert("L"), kind), grey(base), 2)
    yield "modes/grey.pgm", (encoded(picture.convert("L"), "PPM"), grey(base), 0)
    for kind in ("PNG", "TIFF"):
        yield f"modes/16 bit.{SUFFIX[kind]}", (encoded(Image.fromarray(grey16), kind), grey(base), 1)
    yield "modes/16 bit.pgm", (b"P5 40 24 65535\n" + grey16.astype(">u2").tobytes(), grey(base), 1)
    yield "modes/float.tif", (encoded(Image.fromarray((grey16 / 65535).astype(np.float32)), "TIFF"), grey(base), 1)
    for kind in ("JPEG", "TIFF"):
        yield f"modes/print.{SUFFIX[kind]}", (encoded(picture.convert("CMYK"), kind), base, 5)
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        palette = picture.quantize(64)
        yield f"modes/palette.{SUFFIX[kind]}", (encoded(palette, kind), np.asarray(palette.convert("RGB")), 1)
    clear = Image.new("P", (WIDTH, HEIGHT), 0)
    for kind in ("PNG", "GIF"):
        yield f"modes/clear palette.{SUFFIX[kind]}", (encoded(clear, kind, transparency=0), np.full_like(base, 255), 0)
    two = picture.convert("1")
    for kind in ("PNG", "TIFF", "BMP"):
        yield f"modes/two colours.{SUFFIX[kind]}", (encoded(two, kind), np.asarray(two.convert("RGB")), 0)
    others = [Image.new("RGB", picture.size, colour) for colour in ("red", "blue")]
    for kind, tolerance in (("GIF", 10), ("WEBP", 6), ("PNG", 0), ("TIFF", 0)):
        several = encoded(picture, kind, save_all=True, append_images=others)
        yield f"modes/frames.{SUFFIX[kind]}", (several, base, tolerance)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"modes/{compression}.tiff", (encoded(base, "TIFF", compression=compression), base, 0)
    yield "modes/progressive.jpg", (encoded(base, "JPEG", progressive=True), base, 4)
    yield "modes/full colour.jpg", (encoded(base, "JPEG", subsampling=0), base, 3)


def _turned(pixels: np.ndarray, turn: int) -> np.ndarray:
    """What a camera held that way stores: the inverse of each EXIF orientation."""
    stored: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }
    return stored[turn](pixels)


NAMES = (
    "моё фото.png", "写真.png", "사진.png", "صورة.png", "תמונה.png", "ภาพ.png", "चित्र.png", "φωτό.png", "Größe.png",
    "cafe\u0301.png", "café.png", "👩\u200d👧.png", "\u202egnp.png", " leading.png", "trailing .png", "a\tb.png",
    "a\nb.png", "a\\b.png", "$(reboot).png", "; rm.png", "-rf.png", "'q\"q.png", "50%.png", "#1.png", "a.tar.png",
    "CON.png", "~.png", "*.png", "x" * 240 + ".png", os.fsdecode(b"\xff\xfe\xfd.png"), os.fsdecode(b"n\xe9.png"),
)  # fmt: skip


def bad() -> Iterator[tuple[str, bytes]]:
    """Name and content of files that are no whole picture."""
    base = clean()
    for suffix in (*SUFFIX.values(), "pgm", "tiff"):
        yield f"empty/0.{suffix}", b""
        yield f"empty/1.{suffix}", b"\0"
        yield f"noise/a.{suffix}", np.random.default_rng(len(suffix)).bytes(700)
        yield f"noise/zeros.{suffix}", bytes(4096)
    for kind in SUFFIX:
        whole = encoded(clean(64, 64), kind)
        for percent in (5, 20, 40, 60, 80, 90):
            yield f"cut/{percent}.{SUFFIX[kind]}", whole[: len(whole) * percent // 100]
        if kind not in ("BMP", "PPM", "TIFF", "WEBP"):  # where zeros are as good as any other pixels
            yield f"cut/zeros.{SUFFIX[kind]}", whole[: len(whole) // 2] + bytes(len(whole))
        yield f"cut/no head.{SUFFIX[kind]}", whole[9:]
    for what, content in NO_PICTURES.items():
        yield f"others/{what}.jpg", content
    for number, (name, content) in enumerate(_bombs(base)):
        yield f"bombs/{number}.{name}", content


NO_PICTURES = {
    "text": b"not a picture\n",
    "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "json": b'{"error": "quota exceeded"}',
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
    "pdf": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(written) (w) file\nshowpage\n",
    "archive": b"PK\x03\x04" + bytes(60),
    "program": b"\x7fELF\x02\x01\x01" + bytes(60),
    "icon": b"\0\0\x01\0\x01\0\x10\x10" + bytes(40),
    "pickle": b"\x80\x04\x95\x0b\0\0\0\0\0\0\0",
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
}


def _bombs(base: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """Small files that claim enormous, empty or impossible pictures."""
    for height, width in ((60_000, 60_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (12_000, 12_000), (0, 0), (0, 9)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        yield "png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND")
    jpeg = bytearray(encoded(base, "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    yield "jpg", bytes(jpeg)
    gif = bytearray(encoded(base, "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    yield "gif", bytes(gif)
    yield "ppm", b"P6 999999 999999 255\n" + bytes(90)
    yield "pgm", b"P5 -9 9 255\n" + bytes(90)
    bmp = bytearray(encoded(base, "BMP"))
    bmp[18:26] = struct.pack("<ii", 100_000, 100_000)
    yield "bmp", bytes(bmp)


def chunk(name: bytes, content: bytes = b"") -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def damaged_inside() -> bytes:
    """A PNG whose header and end are right and whose pixels cannot be unpacked: only decoding finds that."""
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    pixels = zlib.compress(clean().tobytes())
    spoilt = pixels[:20] + bytes(len(pixels) - 20)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", spoilt) + chunk(b"IEND")


def write_specials(root: Path) -> set[str]:
    """Things that are no ordinary files, named like pictures; the names that are to be reported."""
    (root / "folder.jpg").mkdir()
    (root / "dangling.jpg").symlink_to("nowhere.jpg")
    (root / "loop.jpg").symlink_to("loop.jpg")
    (root / "endless.jpg").symlink_to("/dev/zero")
    (root / "to a folder.jpg").symlink_to("folder.jpg", target_is_directory=True)
    os.mkfifo(root / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root)  # addresses of sockets are short
        try:
            server.bind("socket.jpg")
        finally:
            os.chdir(here)
    return {"dangling.jpg", "loop.jpg", "endless.jpg", "pipe.jpg", "socket.jpg"}


def write(root: Path) -> tuple[dict[str, Good], set[str]]:
    """All of it below ``root``: the good by name, and the names of the bad."""
    right, wrong = dict(good()), dict(bad())
    root.mkdir(parents=True, exist_ok=True)
    for name, content in [*((n, c[0]) for n, c in right.items()), *wrong.items()]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    base = right["写真.png"]
    os.link(root / "写真.png", root / "again.png")
    (root / "linked.png").symlink_to("写真.png")
    return right | {"again.png": base, "linked.png": base}, {*wrong} | write_specials(root)
