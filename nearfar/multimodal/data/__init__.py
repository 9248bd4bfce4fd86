"""Where captioned images, triplets and rows of several modalities come from: tables, and generated sets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nearfar.common.memory import check_room
from nearfar.multimodal.data.beside import beside, parts_beside
from nearfar.multimodal.data.composed import Triplets, are_triplets, read_triplets
from nearfar.multimodal.data.held import pairs_in
from nearfar.multimodal.data.pairs import CaptionedImages
from nearfar.multimodal.data.shards import CaptionedShards, captions_by
from nearfar.multimodal.data.tables import Reading, kinds_of, missing, read_rows, tuples
from nearfar.multimodal.data.tuples import Column, Tuples
from nearfar.sources.archives import read_npz
from nearfar.sources.opening import nothing_there
from nearfar.sources.parquet import schema_of
from nearfar.sources.roles import with_roles
from nearfar.sources.shards.finding import shards_at
from nearfar.sources.skipped import Skipped
from nearfar.sources.splits import by_split
from nearfar.sources.tables import TABLES, Table, labels_of, suffix_of, why_no_text
from nearfar.spelling import one_of
from nearfar.training import Data
from nearfar.vision.data.decode import PictureError, quiet, square
from nearfar.vision.data.folder import has_picture
from nearfar.vision.data.published import LABELS, parquet_files, read_parquet
from nearfar.vision.data.shards import ShardedPictures, in_parts

__all__ = ["EMBEDDED", "CaptionedImages", "CaptionedShards", "Column", "Triplets", "Tuples", "load"]

PARQUET = (".parquet", ".pq")
CAPTIONS = ("caption", "text", "sentence")
PLACE = (("longitude", "lon", "lng"), ("latitude", "lat"))
SOURCES = ("source", "dataset")
FILES = ("image", "file", "filename", "file_name", "path", "filepath")

EMBEDDED = {
    "shape-scenes": "drawn scenes of coloured shapes with captions; 12 of 48 combinations held out",
    "composed-scenes": "drawn scenes, words that change one attribute, and the scenes so changed",
    "scene-views": "the same scenes as four pictures each: luminance, chrominance, edges and depth",
    "sounding-scenes": "drawn scenes with a sound and a caption that say the same of them",
    "scene-sources": "captioned scenes of two sources, pictures and their negatives, which are told apart at a glance",
    "land-tiles": "drawn land seen from above with places on the globe, and captions of what stands on it",
    "xor": "three vectors of bits, the third the exclusive or of the others, so that no two say anything of each other",
}


def load(
    data: str | Path | Data | None = None,
    *,
    modalities: str = "",
    size: int | None = None,
    rate: int = 16000,
    seconds: float = 2.0,
    examples: int = 6000,
    pictures: str | None = None,
    image_column: str | None = None,
    caption_column: str | None = None,
    label_column: str | None = None,
    mix: int = 0,
    strict: bool = False,
    max_bad: float = 0.1,
) -> Data:
    """Captioned images, triplets, or rows of any number of modalities, from wherever they are.

    A table with the columns ``reference``, ``change`` and ``target`` is one of triplets
    (:func:`nearfar.multimodal.data.composed.read_triplets`). It is one of captioned images where it has a column of
    pictures and one of captions, and nothing of sounds or of further pictures; any other is one of rows with several
    modalities, and so is every table with ``modalities``. A folder of tables named ``train``, ``test`` and so on is
    those parts (:mod:`nearfar.sources.splits`). A folder of pictures with a ``.txt`` beside each, a caption in each
    line, is one of captioned images; its folders ``train``, ``test`` and so on are its parts. So are tar and zip
    archives of pictures and texts, as img2dataset writes them (:class:`CaptionedShards`), here or at a URL. A picture
    may have several captions, in rows of their own or, in parquet, in a list: an epoch draws one of them, so that two
    of one picture never meet as negatives.

    Args:
        data: a ``.parquet`` table with a column of encoded images and a column ``caption`` (or ``text``), a ``.csv``,
            ``.tsv``, ``.json`` or ``.jsonl`` table with a column ``image`` (or ``file``, ``filename``, ``path``) of
            files, relative to its own folder, and such a column of captions, an ``.npz`` file with ``images`` and
            ``captions``, or an embedded name; ``shape-scenes`` when nothing is given. A table of several modalities has
            a column for each: picture files, sound files, texts, numbers; cells may be missing. Columns ``longitude``
            and ``latitude`` beside pictures and captions say where they were taken, a column ``source`` (or
            ``dataset``) from which collection they come.
        modalities: columns that are the modalities, between commas; columns of numbers joined by ``+`` are one. All
            columns but labels and ids when not given, those of single numbers together.
        size: side in pixels; 32 for embedded scenes, 24 for their views, 96 for tables.
        rate: samples per second to which sounds are brought.
        seconds: length of a sound; its middle is taken, and silence put behind a shorter one.
        examples: number of scenes, changes or rows that embedded sets generate for training.
        pictures: the folder of the picture files of triplets, if not their table's own.
        image_column: the column of pictures; of archives the ending of their names, where examples have several.
        caption_column: the column of captions; of archives the ending of the files that hold them, or their key in
            ``.json``.
        label_column: the column of labels of a table; ``label``, ``labels``, ``class`` or ``target`` when not given.
        mix: archives whose pairs are mixed at a time in an epoch's order; 0 for all, and for 16 of those at URLs.
        strict: stop at the first pair that cannot be used, instead of leaving it out and listing it.
        max_bad: largest share of pairs that may lack a readable picture or a caption, in [0, 1]; more stop the run.
    """
    if isinstance(data, Data):
        return data
    if data is None or str(data) in EMBEDDED:
        return _embedded(str(data or "shape-scenes"), size, examples)
    checks: dict[str, Any] = {"strict": strict, "max_bad": max_bad}
    if not isinstance(data, str | os.PathLike):
        return pairs_in(data, size, image=image_column, caption=caption_column, embedded=EMBEDDED)
    archives = shards_at(data, mix, unless=has_picture)
    if archives is not None:
        also = captions_by(caption_column)
        named = {"image": image_column, "mix": archives.mix, "also": also}
        return captioned(in_parts(archives.shards, archives.name, size or 96, **named, **checks))
    path = Path(data)
    if not path.exists():
        raise nothing_there(path, EMBEDDED)
    if path.suffix == ".npz":
        arrays = read_npz(path)
        if "images" not in arrays or "captions" not in arrays:
            raise ValueError(f"{path} holds {', '.join(arrays)}; expected images and captions")
        try:
            return CaptionedImages(arrays["images"], np.ravel(arrays["captions"]).tolist(), name=path.stem)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    reading, columns = Reading(size or 96, rate, seconds), Named(image_column, caption_column, label_column)
    if path.is_dir():
        return _parts(path, modalities, pictures, reading, columns, **checks)
    if suffix_of(path) in TABLES:
        return _table([path], modalities, pictures, reading, columns, **checks)
    raise ValueError(f"{path} is no collection of captioned images this reads; accepted are .npz, {', '.join(TABLES)}")


class Named(NamedTuple):
    """The columns of pictures, of captions and of labels that a user names, if any."""

    image: str | None
    caption: str | None
    label: str | None = None

    def of_captions(self, names: Sequence[str]) -> str | None:
        """The column of captions among these, or ``None``."""
        accepted = CAPTIONS if self.caption is None else (self.caption,)
        return next((name for name in names if name in accepted), None)


def _parquet(paths: Sequence[Path], size: int, named: Named, **checks: Any) -> CaptionedImages:
    schema = schema_of(paths[0])
    names = schema.names
    column = named.of_captions(names)
    if column is None or (named.image is not None and named.image not in names):
        what = f"{named.image!r}" if column is not None else f"{named.caption!r}" if named.caption else "captions"
        raise ValueError(f"{paths[0]} has no column of {what}: its columns are {', '.join(names)}")
    label = next((n for n in ((named.label,) if named.label else LABELS) if n in names), None)
    if named.label and label is None:
        known = one_of(named.label, names, are="its columns are")
        raise ValueError(f"{paths[0]} has no column {named.label!r}{known}")
    placed = [next((n for n in names if n.lower() in accepted), None) for accepted in PLACE]
    source = next((n for n in names if n.lower() in SOURCES), None)
    several = "list" in str(schema.field(column).type)
    others = [name for name in (label, source, *placed, *((column,) if several else ())) if name is not None]
    images, columns, skipped = read_parquet(
        paths, size, text=None if several else column, image=named.image, others=others, **checks
    )
    name = paths[0].stem if len(paths) == 1 else paths[0].parent.name
    rows = np.arange(len(images))
    captions, shows = columns[column], None
    if several:  # a pair for each caption of a picture
        told = [[text for text in found or () if not why_no_text(text)] for found in captions]
        skipped.set_aside([(f"picture {row}", "it has no caption") for row in rows if not told[row]], name)
        rows = np.repeat(rows, [len(texts) for texts in told])
        captions, shows = [text for texts in told for text in texts], rows
        if not len(rows):
            raise ValueError(f"{paths[0]}: column {column!r} holds no caption")
    labels = labels_of(None if label is None else columns[label])
    places = _places(paths[0], *(None if each is None else columns[each] for each in placed))
    return CaptionedImages(
        images if shows is None else images[rows],
        captions,
        labels if labels is None else labels[rows],
        name=name,
        skipped=skipped,
        places=None if places is None else places[rows],
        sources=None if source is None else [columns[source][row] for row in rows],
        shows=shows,
    )


def captioned(pictures: ShardedPictures) -> CaptionedShards:
    """Pictures in shards with their captions, and so their held-out sets."""
    held = {name: captioned(part) for name, part in pictures.splits().items() if isinstance(part, ShardedPictures)}
    return CaptionedShards(pictures, splits=held)


def _parts(path: Path, modalities: str, pictures: str | None, reading: Reading, named: Named, **checks: Any) -> Data:
    """A folder of tables named after the parts of one data set, or of pictures with their captions beside them."""
    tables = [p for p in path.iterdir() if p.is_file() and suffix_of(p) in TABLES] or parquet_files(path)
    parts, rest = by_split(tables)
    if not parts and rest and all(p.suffix in PARQUET for p in rest):
        parts = {"train": rest}
    if parts:
        found = {name: _table(of, modalities, pictures, reading, named, **checks) for name, of in parts.items()}
    else:
        folders = parts_beside(path)
        found = {name: _files(of, beside(of), reading.size, named, root=of, **checks) for name, of in folders.items()}
    train = found.pop("train")
    train._splits = dict[str, Data](found)
    return train


def _table(
    paths: Sequence[Path], modalities: str, pictures: str | None, reading: Reading, named: Named, **checks: Any
) -> CaptionedImages | Triplets | Tuples:
    """Triplets, pairs or rows of several modalities, by the columns of a table; of parquet, all files of it."""
    path = paths[0]
    if path.suffix in PARQUET and not modalities:
        names = schema_of(path).names
        if "reference" not in names and (named.caption or named.of_captions([name.lower() for name in names])):
            return _parquet(paths, reading.size, named, **checks)
    table = read_rows(path)
    if not modalities and are_triplets(table):
        return read_triplets(table, path, reading.size, pictures=pictures, **checks)
    if not modalities and (named.caption or named.image or _is_pairs(table)):
        return _files(path, table, reading.size, named, **checks)
    return tuples(path, table, modalities, reading, **checks)


def _is_pairs(table: Table) -> bool:
    """Whether a table has a column of pictures and one of captions by their usual names, and no other such column."""
    kinds = kinds_of(table)
    others = [n for n, kind in kinds.items() if kind in ("picture", "sound") and n not in FILES]
    return table.first(*CAPTIONS) is not None and table.first(*FILES) is not None and not others


def _files(
    path: Path, table: Table, size: int, named: Named, *, root: Path | None = None, **checks: Any
) -> CaptionedImages:
    names = [*table.columns]
    roles = {"pictures": (FILES, named.image), "captions": (CAPTIONS, named.caption), "labels": (LABELS, named.label)}
    table, taken = with_roles(table, str(path), roles)
    captions, files = table.first(*CAPTIONS), table.first(*FILES)
    if captions is None or files is None:
        raise ValueError(
            f"{path} has the columns {', '.join(names)}; expected one of {', '.join(CAPTIONS)} (or --caption-column) "
            f"and one of {', '.join(FILES)} (or --image-column)"
        )
    count = len(table.places)
    check_room(3 * count * size**2, f"{path}, with {count:,} pictures at {size} x {size} pixels,")
    images: list[np.ndarray] = []

    def why(row: int) -> str:
        if reason := why_no_text(captions[row]):
            return reason
        if why_no_text(files[row]):
            return "it names no picture"
        try:
            images.append(square((root or path.parent) / files[row], size))
        except PictureError as error:
            return f"{files[row]}: {error}"
        return ""

    with quiet():
        kept = table.without(why)
    skipped = Skipped(len(kept.places) + len(kept.bad), kind="pairs", **checks)
    if not images:
        raise ValueError(f"{path} holds no pair of a picture and a caption; {': '.join(kept.bad[0])}")
    skipped.set_aside(kept.bad, str(path))
    found, shows = kept.first(*CAPTIONS), kept.first(*FILES)
    assert found is not None
    labels = labels_of(kept.first(*LABELS))
    places = _places(path, *(kept.first(*names) for names in PLACE))
    sources = kept.first(*SOURCES)
    pairs = CaptionedImages(
        np.stack(images), found, labels, name=path.stem, skipped=skipped, places=places, sources=sources, shows=shows
    )
    pairs.taken = taken
    return pairs


def _places(path: Path, longitudes: Any, latitudes: Any) -> np.ndarray | None:
    """Longitude and latitude of every row (N, 2), NaN where a cell is empty; ``None`` without both columns."""
    if longitudes is None or latitudes is None:
        return None
    found = np.full((len(longitudes), 2), np.nan)
    for column, cells in enumerate((longitudes, latitudes)):
        for row, cell in enumerate(cells):
            if missing(cell):
                continue
            try:
                found[row, column] = float(cell)
            except (TypeError, ValueError):
                raise ValueError(f"{path}: {cell!r} is no {PLACE[column][0]}; degrees as a number are needed") from None
    return found


def _embedded(name: str, size: int | None, examples: int) -> Data:
    from nearfar.multimodal.data.generated import scene_sources, scene_views, sounding_scenes, xor

    if name == "composed-scenes":
        return _changes(size or 32, examples)
    if name == "land-tiles":
        from nearfar.multimodal.data.land_tiles import land_tiles

        return land_tiles(examples, size=size or 32, held_out=max(min(400, examples // 5), 2))
    if name == "xor":
        return xor(examples)
    if name == "scene-sources":
        return scene_sources(examples, size=size or 32)
    if name == "sounding-scenes":
        return sounding_scenes(examples, size=size or 24, held_out=max(min(400, examples // 5), 2))
    return scene_views(examples, size=size or 24) if name == "scene-views" else _scenes(size or 32, examples)


def _changes(size: int, examples: int) -> Triplets:
    from nearfar.multimodal.data.composed_scenes import composed_scenes

    test = composed_scenes(80, seed=1, split="test_seen", size=size, distinct=True).triplets("test")
    made = composed_scenes(max(examples // 2, 1), seed=0, edits=2, size=size)
    return made.triplets("composed-scenes", {"test": test})


def _scenes(size: int, examples: int) -> CaptionedImages:
    from nearfar.multimodal.data.shape_scenes import class_prompts, retrieval_gallery, shape_scenes

    prompts = class_prompts()
    held_out = {"seen combinations": False, "held-out combinations": True}
    splits: dict[str, Data] = {}
    for name, held in held_out.items():
        scenes = shape_scenes(600, seed=1, split="test_heldout" if held else "test_seen", size=size)
        classes = dict(enumerate(prompts.prompts))
        labels = scenes.classes[:, 0]
        splits[name] = CaptionedImages(scenes.images, scenes.captions, labels, name=name, classes=classes)
    gallery = retrieval_gallery(200, seed=2, size=size)
    splits["gallery"] = CaptionedImages(gallery.images, gallery.captions, name="gallery", gallery=True)
    train = shape_scenes(examples, seed=0, size=size)
    return CaptionedImages(train.images, train.captions, train.classes[:, 0], name="shape-scenes", splits=splits)
