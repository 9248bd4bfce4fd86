"""Files of scanners and satellites: DICOM, and TIFF of any number of bits and bands.

They need the extra ``medical``. What a file says of itself is not trusted: sizes are checked before memory is taken,
and packed parts are unpacked to the size that they must have and no further.
"""

from __future__ import annotations

import io
import lzma
import math
import warnings
import zlib
from typing import Any

import numpy as np
from PIL import TiffImagePlugin

from nearfar.common.extras import needed
from nearfar.vision.data.deep import Shown

__all__ = ["dicom", "is_dicom", "is_tiff", "tiff", "tiff_facts"]

BIG_TIFF = (b"II+\0", b"MM\0+")
TIFF = (b"II*\0", b"MM\0*", *BIG_TIFF)
DEFLATED, LZMA = (8, 32946), 34925
DEFLATED_FILE = b"1.2.840.10008.1.2.1.99"


def is_tiff(content: bytes) -> bool:
    """Whether a file begins as TIFF or BigTIFF."""
    return content[:4] in TIFF


def is_dicom(content: bytes) -> bool:
    """Whether a file begins as DICOM files do."""
    return content[128:132] == b"DICM"


class TiffFacts:
    """What the first page of a TIFF file says of its numbers."""

    def __init__(self, content: bytes) -> None:
        file = io.BytesIO(content)
        tags = TiffImagePlugin.ImageFileDirectory_v2(
            file.read(16 if content[2] in (43, 0) and 43 in content[2:4] else 8)
        )
        file.seek(tags.next)
        tags.load(file)
        self.width, self.height = int(tags.get(256, 0)), int(tags.get(257, 0))
        bits = tags.get(258, 1)
        self.bits = max(map(int, bits)) if isinstance(bits, tuple) else int(bits)
        kinds = tags.get(339, 1)
        self.kind = int(max(kinds)) if isinstance(kinds, tuple) else int(kinds)
        self.bands = int(tags.get(277, 1))
        self.apart = self.bands > 1 and int(tags.get(284, 1)) == 2
        extra = tags.get(338, ())
        self.extra = tuple(map(int, extra)) if isinstance(extra, tuple) else (int(extra),)
        self.photometric = int(tags.get(262, 1))

    @property
    def alpha(self) -> bool:
        """Whether the last band is transparency: it is said so, or colours have one band more and nothing is said."""
        if self.extra:
            return self.extra[-1] in (1, 2)
        return self.photometric == 2 and self.bands == 4

    @property
    def plain(self) -> bool:
        """Whether PIL reads it as it is meant."""
        if self.kind == 1 and self.bits <= 8 and not self.apart:
            return self.bands in (1, 3) or self.photometric in (5, 6, 8) or (self.bands in (2, 4) and self.alpha)
        # PIL takes whole numbers of 32 bits for signed ones.
        grey = self.bands == 1 and self.photometric in (0, 1)
        return grey and (self.kind, self.bits) in ((1, 16), (2, 16), (2, 32), (3, 32))


def tiff_facts(content: bytes) -> TiffFacts:
    """What the first page says of its numbers, read without an extra."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TiffFacts(content)


def tiff(content: bytes, facts: TiffFacts, shown: Shown) -> np.ndarray:
    """The first page of a TIFF file as (H, W, 3) uint8.

    Raises:
        ValueError: bands of which nothing says which to show, a way of packing that is not read, damage.
        ImportError: the extra is not installed.
    """
    tifffile = needed("tifffile", "medical", "a TIFF file of these bits and bands")
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page = file.pages[0]
        if page.shape != (facts.height, facts.width, facts.bands)[: 2 + (facts.bands > 1)] and not facts.apart:
            raise ValueError(f"its sizes do not fit together: {page.shape}")
        _check_packing(page, content)
        values = np.asarray(page.asarray())
    if values.ndim == 2:
        values = values[..., None]
    elif facts.apart:
        values = np.moveaxis(values, 0, -1)
    if values.dtype.kind not in "uifb":
        raise ValueError(f"it holds {values.dtype}; whole numbers and fractions are read")
    pixels = shown.colours(values, alpha=facts.alpha)
    return 255 - pixels if facts.photometric == 0 else pixels


def _check_packing(page: Any, content: bytes) -> None:
    """No packed part holds more than it must, and none is packed in a way whose memory nothing bounds."""
    compression = int(page.compression)
    if compression == 1:
        return
    if compression not in (*DEFLATED, LZMA):
        raise ValueError(
            f"its {page.samplesperpixel} bands of {page.bitspersample} bits are packed by "
            f"{getattr(page.compression, 'name', compression)}; unpacked ones and those by deflate are read"
        )
    most = math.prod(page.chunks) * page.dtype.itemsize
    for start, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        packed = content[start : start + size]
        if compression == LZMA:
            held = len(lzma.LZMADecompressor(memlimit=1 << 28).decompress(packed, max_length=most + 1))
        else:
            held = len(zlib.decompressobj().decompress(packed, most + 1))
        if held > most:
            raise ValueError("a packed part of it holds more than the picture has")


def dicom(content: bytes, shown: Shown, most: int) -> np.ndarray:
    """The first frame of a DICOM file as (H, W, 3) uint8.

    Stored numbers become the file's units (Hounsfield and others) by its slope and intercept or its table. They are
    shown by ``shown.window``, else by the file's first window or table of values of interest, else by
    :func:`to_bytes`, for which padding counts as the smallest value. ``MONOCHROME1`` is inverted, so that more is
    brighter in the picture as on a screen.

    Args:
        most: pixels that a frame may have.

    Raises:
        ValueError: no picture in it, more pixels, a way of packing that is not read. ImportError: no ``pydicom``.
    """
    pydicom = needed("pydicom", "medical", "a DICOM file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if DEFLATED_FILE in content:  # pydicom would unpack it whole, whatever it becomes
            raise ValueError("it is packed as a whole (deflated DICOM), which is not read")
        found = pydicom.dcmread(io.BytesIO(content))
        if not any(name in found for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
            raise ValueError("this DICOM file holds no picture")
        try:
            height, width = int(found.get("Rows", 0)), int(found.get("Columns", 0))
            int(found.get("NumberOfFrames", 1) or 1)
        except (TypeError, ValueError) as error:
            raise ValueError(f"its header is damaged: {error}") from error
        if not height * width:
            raise ValueError("this DICOM file holds no picture")
        if height * width > most:
            raise ValueError(f"it claims {width} x {height} pixels; up to {most:,} are read")
        values = _frame(pydicom, found)
        photometric = str(found.get("PhotometricInterpretation", "MONOCHROME2"))
        if photometric == "PALETTE COLOR":
            values = pydicom.pixels.apply_color_lut(values, found)
        if values.ndim == 3:
            return shown.colours(values)
        grey = _grey(pydicom, values, found, shown)
    grey = 255 - grey if photometric == "MONOCHROME1" else grey
    return np.repeat(grey[..., None], 3, axis=-1)


def _frame(pydicom: Any, found: Any) -> np.ndarray:
    try:
        values = np.asarray(pydicom.pixels.pixel_array(found, index=0))
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        name = str(found.file_meta.TransferSyntaxUID.name) if "TransferSyntaxUID" in found.file_meta else "no known way"
        reason = " ".join(str(error).split())
        if "missing dependencies" in reason:
            reason = "pip install pylibjpeg pylibjpeg-libjpeg pyjpegls adds what decodes it"
        raise ValueError(f"its pixels, kept as {name}, cannot be decoded: {reason}") from error
    if values.ndim not in (2, 3) or values.dtype.kind not in "uifb":
        raise ValueError(f"its pixels have the shape {values.shape} of {values.dtype}")
    return values


def _grey(pydicom: Any, stored: np.ndarray, found: Any, shown: Shown) -> np.ndarray:
    values = np.asarray(pydicom.pixels.apply_modality_lut(stored, found), dtype=np.float64)
    if shown.window is None and "VOILUTSequence" in found:
        bits = int(found.VOILUTSequence[0].LUTDescriptor[2])
        seen = np.asarray(pydicom.pixels.apply_voi_lut(values.astype(np.int64), found), dtype=np.float64)
        return np.clip(seen / (2.0**bits - 1) * 255, 0, 255).astype(np.uint8)
    centre, width = (_first(found.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if shown.window is None and centre is not None and width is not None and width > 0:
        function = str(found.get("VOILUTFunction", "LINEAR") or "LINEAR")
        if function == "SIGMOID":
            return (255 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))).astype(np.uint8)
        # The standard's functions of a window: PS3.3, C.11.2.1.2.
        exact = function == "LINEAR_EXACT" or width <= 1
        low = centre - width / 2 if exact else centre - 0.5 - (width - 1) / 2
        return shown.bytes_of(values, whole=True, window=(low, low + (width if exact else width - 1)))
    padding = _first(found.get("PixelPaddingValue"))
    if padding is not None and shown.window is None and (stored != padding).any():
        values = np.where(stored == padding, values[stored != padding].min(), values)
    if stored.dtype == np.uint8 and np.array_equal(stored, values) and shown.window is None:
        bits = min(max(int(found.get("BitsStored", 8)), 1), 8)
        return stored if bits == 8 else np.clip(values / (2.0**bits - 1) * 255, 0, 255).astype(np.uint8)
    return shown.bytes_of(values, whole=bool((values == np.round(values)).all()))


def _first(value: Any) -> float | None:
    """The first of one or several numbers."""
    several = isinstance(value, list | tuple) or (hasattr(value, "__getitem__") and not isinstance(value, str | bytes))
    value = (value[0] if len(value) else None) if several else value
    try:
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError):
        return None
