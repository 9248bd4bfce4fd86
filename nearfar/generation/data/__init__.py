"""Where things to learn from and to work on come from: embedded sets, folders and tables of pictures, nothing.

Each kind of thing is a :class:`Kind` in :data:`KINDS`: which embedded names it has, which files are its own. Pictures
come last and take whatever vision reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.generation.data import drawn
from nearfar.generation.data.blank import Blank, BlankBatch
from nearfar.generation.data.drawn_ink import inks
from nearfar.generation.data.ink import holds_ink, read_inks
from nearfar.generation.data.photos import photos
from nearfar.generation.data.pictures import PictureBatch, Pictures, pictures_of
from nearfar.generation.data.speech import holds_speech, read_speech, speech
from nearfar.generation.data.styles import styled_photos, with_styles
from nearfar.sources.opening import nothing_there
from nearfar.sources.tables import TABLES, suffix_of
from nearfar.training import Data

__all__ = ["EMBEDDED", "KINDS", "Blank", "BlankBatch", "Kind", "Options", "PictureBatch", "Pictures", "load"]


@dataclass(frozen=True)
class Options:
    """What a loader was asked for besides the data; see :func:`load`."""

    size: int | None = None
    examples: int | None = None
    seed: int = 0
    strict: bool = False
    max_bad: float = 0.1
    image_column: str | None = None
    caption_column: str | None = None
    label_column: str | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of thing that data can hold.

    Attributes:
        embedded: names of embedded sets, each with what it is.
        make: an embedded set by its name.
        reads: whether a path is of this kind.
        read: the collection at a path.
    """

    embedded: Mapping[str, str]
    make: Callable[[str, Options], Data]
    reads: Callable[[Path], bool]
    read: Callable[[Path, Options], Data]


def _make_pictures(name: str, options: Options) -> Data:
    if name == "digits":
        return drawn.digits(options.size or 8)
    if name == "tinted-digits":
        return drawn.tinted_digits(options.size or 8)
    if name == "styled-photos":
        return styled_photos(options.size, options.examples, options.seed)
    if name == "photos":
        return photos(options.size, options.examples, options.seed)
    return drawn.sprites(options.size or 16, options.examples or drawn.TRAIN, options.seed)


def _read_pictures(path: Path, options: Options) -> Data:
    """Pictures, with captions where a table has some."""
    checks: dict[str, Any] = {"strict": options.strict, "max_bad": options.max_bad}
    checks |= {"image_column": options.image_column, "label_column": options.label_column}
    if path.is_file() and suffix_of(path) in TABLES and (options.caption_column or _has_captions(path)):
        from nearfar.multimodal.data import load as captioned

        return pictures_of(captioned(path, size=options.size, caption_column=options.caption_column, **checks))
    from nearfar.vision.data import load as images

    return pictures_of(images(path, size=options.size, **checks))


def _has_captions(path: Path) -> bool:
    from nearfar.sources.parquet import schema_of
    from nearfar.sources.tables import read_table

    names = schema_of(path).names if path.suffix in (".parquet", ".pq") else read_table(path).columns
    return any(name.lower() in ("caption", "text", "sentence") for name in names)


PICTURES = Kind(
    embedded={
        "sprites": "pictures of one coloured shape each, with five factors and a caption; 400 others held out",
        "photos": "cuttings of two photographs, textures and letters at 48 pixels; 60 others held out",
        "styled-photos": "the same beside textures whose style they are to have; other pictures and textures held out",
        "digits": "real handwriting (scikit-learn's digits) at 8 pixels; the last 300 held out",
        "tinted-digits": "the same, each in a light colour of its own on a dark one",
    },
    make=_make_pictures,
    reads=lambda path: True,
    read=_read_pictures,
)

INKS = Kind(
    embedded={"inks": "drawn handwriting of twelve letters by 60 writers, as a pen's path; 20 other writers held out"},
    make=lambda name, options: inks(options.examples, options.seed),
    reads=holds_ink,
    read=lambda path, options: read_inks(path, strict=options.strict, max_bad=options.max_bad),
)

SPEECH = Kind(
    embedded={"speech": "drawn spectra of ten phonemes by 20 voices, half of them written down; 4 voices held out"},
    make=lambda name, options: speech(options.examples, options.seed),
    reads=holds_speech,
    read=lambda path, options: read_speech(path, strict=options.strict, max_bad=options.max_bad),
)

KINDS: tuple[Kind, ...] = (SPEECH, INKS, PICTURES)
"""Kinds in the order in which they are asked whether a path is theirs."""

EMBEDDED: dict[str, str] = {name: text for kind in reversed(KINDS) for name, text in kind.embedded.items()}
EMBEDDED["new"] = "nothing: new things are made from noise, as many as --count says"


def load(
    data: Any = None,
    *,
    size: int | None = None,
    examples: int | None = None,
    data_seed: int = 0,
    image_column: str | None = None,
    caption_column: str | None = None,
    label_column: str | None = None,
    strict: bool = False,
    max_bad: float = 0.1,
    styles: str | Path | None = None,
) -> Data:
    """Pictures, and what else this field's systems learn from, from wherever they are.

    Args:
        data: a folder of pictures, a table of picture files with captions or labels, whatever else vision reads, an
            array of pictures, lines of JSON with ``text`` and ``strokes`` (inks) or with ``audio``
            (speech), ``new`` for nothing at all, or an embedded name; ``sprites`` when nothing is given.
        size: side in pixels to which pictures are brought; embedded sets have their own, files 96.
        examples: number of examples that drawn sets have for training.
        data_seed: of drawn sets; another gives other examples of the same kind.
        image_column, caption_column, label_column: the columns of a table of pictures, if not called so.
        strict: stop at the first example that cannot be read, instead of leaving it out and listing it.
        max_bad: largest share of examples that may be unreadable, in [0, 1]; more stop the run.
        styles: pictures whose style those of ``data`` are to have: a folder or whatever else ``data`` can be.
    """
    if styles is not None:
        given = {"size": size, "strict": strict, "max_bad": max_bad}
        contents = load(data, examples=examples, data_seed=data_seed, **given)  # type: ignore[arg-type]
        found = load(styles, **given)  # type: ignore[arg-type]
        if not isinstance(contents, Pictures) or not isinstance(found, Pictures):
            raise ValueError(f"{styles} is a style for pictures; {contents.name} or {found.name} holds none")
        return with_styles(contents, found)
    options = Options(size, examples, data_seed, strict, max_bad, image_column, caption_column, label_column)
    if size is not None and size < 8:
        raise ValueError(f"size must be at least 8 pixels, got {size}")
    if examples is not None and examples < 2:
        raise ValueError(f"examples must be at least 2, got {examples}")
    if isinstance(data, Data):
        return pictures_of(data) if hasattr(data, "images") else data
    if data is not None and not isinstance(data, str | Path):
        from nearfar.vision.data import load as images

        return pictures_of(images(data, size=size))
    name = "sprites" if data is None else str(data)
    if name == "new":
        return Blank()
    for kind in KINDS:
        if name in kind.embedded:
            return kind.make(name, options)
    path = Path(name)
    if not path.exists():
        raise nothing_there(path, EMBEDDED)
    return next(kind for kind in KINDS if kind.reads(path)).read(path, options)
