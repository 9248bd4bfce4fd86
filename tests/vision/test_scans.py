"""Pictures of more than 8 bits and other than three bands: DICOM, TIFF, HEIC, packed files, windows and bands."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless

from nearfar.sources.found import describe
from nearfar.vision.data import load
from nearfar.vision.data.decode import PictureError, decode, why_unreadable
from nearfar.vision.data.deep import Shown

NUMBERS = np.random.default_rng(0).random((12, 10))


def scan(values: np.ndarray, **tags: Any) -> bytes:
    """A DICOM file of whole numbers, (H, W) or (H, W, 3)."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    found = pydicom.Dataset()
    found.file_meta = meta
    found.SOPClassUID, found.SOPInstanceUID = CTImageStorage, "1.2.3"
    found.Rows, found.Columns = values.shape[:2]
    found.SamplesPerPixel = 1 if values.ndim == 2 else 3
    found.PhotometricInterpretation = "MONOCHROME2" if values.ndim == 2 else "RGB"
    if values.ndim == 3:
        found.PlanarConfiguration = 0
    found.BitsAllocated = found.BitsStored = 8 * values.dtype.itemsize
    found.HighBit, found.PixelRepresentation = found.BitsStored - 1, int(values.dtype.kind == "i")
    for name, value in tags.items():
        setattr(found, name, value)
    found.PixelData = values.tobytes()
    file = io.BytesIO()
    found.save_as(file, enforce_file_format=True)
    return file.getvalue()


def tiff(values: np.ndarray, **how: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **how)
    return file.getvalue()


# Scanners ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("centre", "width", "function"), [(40, 400, None), (600, 1600, "LINEAR_EXACT"), (50, 1, None)])
def test_a_scan_is_shown_by_its_window_in_its_own_units(centre: int, width: int, function: str | None) -> None:
    stored = (NUMBERS * 3000).astype(np.int16)
    tags = {"VOILUTFunction": function} if function else {}
    found = decode(
        scan(stored, WindowCenter=[centre, 1], WindowWidth=[width, 9], RescaleSlope=2, RescaleIntercept=-1024, **tags)
    )
    units = 2.0 * stored - 1024
    exact = function == "LINEAR_EXACT" or width == 1
    seen = (units - centre) / width + 0.5 if exact else (units - (centre - 0.5)) / (width - 1) + 0.5
    np.testing.assert_array_equal(found, np.repeat((np.clip(seen, 0, 1) * 255).astype(np.uint8)[..., None], 3, 2))


def test_a_window_of_ones_own_takes_the_place_of_the_files() -> None:
    stored = (NUMBERS * 400 - 200).astype(np.int16)
    found = decode(scan(stored, WindowCenter=0, WindowWidth=10), shown=Shown(window=(-160, 240)))
    np.testing.assert_array_equal(found[..., 0], (np.clip((stored + 160.0) / 400, 0, 1) * 255).astype(np.uint8))


def test_without_a_window_padding_does_not_stretch_the_range_and_monochrome1_is_inverted() -> None:
    stored = (NUMBERS * 1000 - 500).astype(np.int16)
    plain = decode(scan(stored))
    assert (plain.min(), plain.max()) == (0, 255)
    padded = stored.copy()
    padded[0] = -30000
    assert decode(scan(padded, PixelPaddingValue=-30000))[1:].std() > 50
    np.testing.assert_array_equal(decode(scan(stored, PhotometricInterpretation="MONOCHROME1")), 255 - plain)


def test_scans_in_colour_packed_and_of_several_frames_are_read() -> None:
    colours = (np.random.default_rng(1).random((6, 5, 3)) * 255).astype(np.uint8)
    np.testing.assert_array_equal(decode(scan(colours)), colours)
    grey = (NUMBERS * 255).astype(np.uint8)
    packed = pydicom.dcmread(io.BytesIO(scan(grey)))
    packed.compress(RLELossless)
    file = io.BytesIO()
    packed.save_as(file)
    np.testing.assert_array_equal(decode(file.getvalue())[..., 0], grey)
    frames = np.stack([grey, 255 - grey])
    np.testing.assert_array_equal(decode(scan(frames[0], NumberOfFrames=1))[..., 1], grey)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (scan((NUMBERS * 9).astype(np.uint8))[:-30], "number of bytes of pixel data is less than expected"),
        (scan((NUMBERS * 9).astype(np.uint8), Rows=60000, Columns=60000), "claims 60000 x 60000 pixels"),
        (scan((NUMBERS * 9).astype(np.uint8), Rows=0), "holds no picture"),
        (scan((NUMBERS * 9).astype(np.uint8)).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"), "deflated"),
        (gzip.compress(scan((NUMBERS * 9).astype(np.uint8)), mtime=0)[:40], "ended before"),
    ],
)
def test_scans_that_cannot_be_read_have_a_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=reason):
        decode(content)
    (tmp_path / "x.dcm").write_bytes(content)
    assert reason in why_unreadable(tmp_path / "x.dcm")


# Bits and bands ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "uint16", "uint32", "float16", "float32", "float64"])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_tiff_of_any_numbers_is_the_stated_rule(kind: str, bands: int, below: bool, apart: bool) -> None:
    if below and kind.startswith("u"):
        return
    rng = np.random.default_rng(2)
    top = 1.0 if kind.startswith("float") else 100.0 if kind == "int8" else 4000.0
    values = ((rng.random((9, 8, bands)) - 0.5 * below) * top).astype(kind)
    written = np.moveaxis(values, 2, 0) if apart and bands > 1 else values.squeeze()
    how = {"planarconfig": "separate" if apart else "contig", "photometric": "rgb"} if bands > 1 else {}
    found = decode(tiff(written, **how))
    wide = values.astype(np.float64)
    if below:
        expected = (wide - wide.min()) / (wide.max() - wide.min())
    else:
        expected = wide / {"float": 1.0, "int8": 127.0}.get(kind.rstrip("123468") or kind, 4095.0 if top > 1 else 1.0)
        expected = wide / 127.0 if kind == "int8" else expected
    np.testing.assert_allclose(found, np.broadcast_to(np.floor(expected * 255), found.shape), atol=1)


def test_bands_are_named_or_the_file_is_refused() -> None:
    many = np.random.default_rng(3).integers(0, 256, (7, 6, 8), dtype=np.uint8)
    content = tiff(many, photometric="minisblack", planarconfig="contig")
    with pytest.raises(PictureError, match="it has 8 bands, and nothing says which are to be seen"):
        decode(content)
    np.testing.assert_array_equal(decode(content, shown=Shown(bands=(4, 3, 2))), many[..., [3, 2, 1]])
    np.testing.assert_array_equal(decode(content, shown=Shown(bands=(8,)))[..., 2], many[..., 7])
    with pytest.raises(PictureError, match="it has 8 bands, and band 9 was asked for"):
        decode(content, shown=Shown(bands=(9,)))
    for bad in ((1, 2), (0, 1, 2)):
        with pytest.raises(ValueError, match="bands are three numbers"):
            Shown(bands=bad)
    for window in ((1.0, 1.0), (0.0, float("nan")), (2.0, 1.0)):
        with pytest.raises(ValueError, match="window is the value that becomes black"):
            Shown(window=window)


def test_a_packed_part_that_holds_more_than_the_picture_is_refused() -> None:
    many = np.random.default_rng(5).integers(0, 256, (64, 64, 5), dtype=np.uint8)
    content = tiff(many, photometric="minisblack", planarconfig="contig", compression="zlib", rowsperstrip=64)
    np.testing.assert_array_equal(decode(content, shown=Shown(bands=(1,)))[..., 0], many[..., 0])
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        start, size = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    bomb = zlib.compress(bytes(10**7), 9)
    content = content[:start] + bomb.ljust(size, b"\0") + content[start + size :]
    with pytest.raises(PictureError, match="a packed part of it holds more than the picture has"):
        decode(content, shown=Shown(bands=(1,)))


def test_heic_and_files_packed_by_gzip_are_read(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = Image.fromarray((np.kron(NUMBERS, np.ones((8, 8))) * 255).astype(np.uint8)).convert("RGB")
    file = io.BytesIO()
    pillow_heif.from_pillow(picture).save(file, quality=100)
    assert np.abs(decode(file.getvalue()).astype(int) - np.asarray(picture)).mean() < 3
    plain = io.BytesIO()
    picture.save(plain, "PNG")
    np.testing.assert_array_equal(decode(gzip.compress(plain.getvalue())), np.asarray(picture))
    assert "HEIF" not in Image.OPEN  # nothing was registered for the whole process


# A folder of them -------------------------------------------------------------------------------------------


def test_a_folder_of_scans_says_what_it_holds_and_how_it_is_shown(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    for label in ("ill", "well"):
        (tmp_path / label).mkdir()
        for i in range(3):
            stored = (rng.random((20, 20)) * 2000 - 1000).astype(np.int16)
            # Scanners often give no suffix.
            (tmp_path / label / f"IM{i:04}").write_bytes(scan(stored))
            (tmp_path / label / f"{i}.dcm.gz").write_bytes(gzip.compress(scan(stored, WindowCenter=0, WindowWidth=500)))
    (tmp_path / "ill" / "notes").write_text("not a picture")
    data = load(tmp_path, size=16)
    assert len(data) == 12
    said = "\n".join(describe(data))
    assert "files: 6 .dcm, 6 no suffix" in said
    assert re.search(
        r"in 8 of 8 pictures looked at: shown by the file's own window in \d; from each one's smallest", said
    )
    windowed = load(tmp_path, size=16, window=(-160.0, 240.0))
    assert "-160 is black and 240 white" in "\n".join(describe(windowed))
    assert not np.array_equal(windowed.batch(np.arange(12)).images, data.batch(np.arange(12)).images)
    raw = (rng.random((5, 8, 8)) * 4000).astype(np.int16)
    np.save(tmp_path / "raw.npy", raw)
    with pytest.raises(ValueError, match=r"integer images must lie in \[0, 255\].*window"):
        load(tmp_path / "raw.npy")
    for given in (raw, tmp_path / "raw.npy", [*raw], {"image": [*raw], "label": list("abcde")}):
        images = load(given, window=(0.0, 4000.0)).batch(np.arange(5)).images
        np.testing.assert_array_equal(images[:, 0], (raw / 4000 * 255).astype(np.uint8))
