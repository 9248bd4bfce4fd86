"""Triplets: a reference picture, words for what is to be different, a target picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nearfar.common.memory import check_room
from nearfar.multimodal.composed import ComposedBatch
from nearfar.sources.fingerprint import digest_of
from nearfar.sources.order import apart
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import Table, why_no_text
from nearfar.training import Data
from nearfar.vision.data import ImageArray
from nearfar.vision.data.decode import PictureError, quiet, square

__all__ = ["TEMPLATES", "Triplets", "are_triplets", "read_triplets", "template_triplets"]

REFERENCES = ("reference", "candidate")
CHANGES = ("change", "instruction", "modification", "relative_caption", "captions", "caption")
TARGETS = ("target", "target_hard")
CAPTIONS = ("reference_caption",)
EDITED = ("target_caption", "edited_caption", "edited")
ENDINGS = ("", ".png", ".jpg", ".jpeg", ".webp")

TEMPLATES = ("{target} instead of {reference}", "unlike {reference}, i want {target}", "{target}")
"""How two captions become words for a change (SPN4CIR)."""


class Triplets(Data):
    """T changes among M pictures.

    Args:
        images: (M, H, W, 3) uint8, or as :class:`nearfar.vision.data.ImageArray` takes them; each picture once.
        references: (T,) numbers of pictures.
        changes: T strings.
        targets: (T,) numbers of pictures; ``None`` where only captions say what is wanted.
        captions: T captions of the references, if known.
        edited: T captions of the targets, if known.
        name: what to call the set.
        splits: held-out sets by name.
        skipped: what the source held besides.

    Raises:
        ValueError: lengths that do not agree, numbers that are no picture's, or texts that are none.
    """

    gives = ComposedBatch

    def __init__(
        self,
        images: np.ndarray,
        references: np.ndarray,
        changes: Sequence[str],
        targets: np.ndarray | None = None,
        *,
        captions: Sequence[str] | None = None,
        edited: Sequence[str] | None = None,
        name: str = "triplets",
        splits: Mapping[str, Data] | None = None,
        skipped: Skipped | None = None,
    ) -> None:
        self.images = ImageArray(images).images
        self.references = _numbers("references", references, len(changes), len(self.images))
        self.targets = None if targets is None else _numbers("targets", targets, len(changes), len(self.images))
        self.changes = _texts("changes", changes, len(changes))
        self.captions = None if captions is None else _texts("captions", captions, len(changes))
        self.edited = None if edited is None else _texts("edited", edited, len(changes))
        self.name, self.skipped = name, skipped
        self._splits = dict(splits or {})

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def ids(self) -> np.ndarray:
        return np.arange(len(self))

    def splits(self) -> Mapping[str, Data]:
        return self._splits

    def contents(self) -> Mapping[str, str]:
        found = {"images": digest_of(self.images), "changes": digest_of(self.changes)}
        return {
            **found,
            "places": digest_of(self.references, self.targets),
            "captions": digest_of(self.captions, self.edited),
        }

    def order(self, rng: np.random.Generator) -> np.ndarray:
        """Every triplet once; those of one target are kept apart, see :func:`nearfar.sources.order.apart`."""
        wanted = self.edited if self.targets is None else self.targets.astype(str)
        return rng.permutation(len(self)) if wanted is None else apart([*wanted], rng)

    def batch(self, indices: np.ndarray) -> ComposedBatch:
        of = self.references[indices]
        to = np.full(len(indices), -1) if self.targets is None else self.targets[indices]
        return ComposedBatch(
            self.pixels(of),
            [self.changes[i] for i in indices],
            None if self.targets is None else self.pixels(to),
            torch.from_numpy(np.stack([of, to], 1)),
            [] if self.captions is None else [self.captions[i] for i in indices],
            [] if self.edited is None else [self.edited[i] for i in indices],
            torch.as_tensor(indices),
        )

    def pixels(self, numbers: np.ndarray) -> torch.Tensor:
        """Pictures (N, 3, H, W) uint8 by number."""
        return torch.from_numpy(self.images[numbers]).permute(0, 3, 1, 2)

    def first_of_equals(self) -> np.ndarray:
        """(M,) for each picture the number of the first one with the same pixels, mostly its own."""
        first: dict[bytes, int] = {}
        return np.array([first.setdefault(picture.tobytes(), i) for i, picture in enumerate(self.images)])

    def joined(self, others: Triplets) -> Triplets:
        """These triplets and others with targets among the same pictures, without captions; held-out sets stay."""
        if self.targets is None or others.targets is None or len(self.images) != len(others.images):
            raise ValueError("triplets are joined where both name targets among the same pictures")
        return Triplets(
            self.images,
            np.concatenate([self.references, others.references]),
            [*self.changes, *others.changes],
            np.concatenate([self.targets, others.targets]),
            name=self.name,
            splits=self._splits,
            skipped=self.skipped,
        )


def template_triplets(
    captions: Sequence[str],
    features: np.ndarray,
    *,
    window: tuple[int, int],
    templates: Sequence[str] = TEMPLATES,
    each: int = 1,
    seed: int = 0,
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Triplets from captioned pictures: SPN4CIR's way to more positives (its released ``get_cir_data.py``).

    Each picture is a reference; its target is drawn from a window of the order of all others by similarity, so that it
    is deliberately no near duplicate. The change is a template with both captions.

    Args:
        captions: M strings.
        features: (M, D), what tells how similar two pictures are, by cosine.
        window: first and last rank of targets, from 0, the last excluded; [10,000, 20,000) in the paper. It is moved
            to the end of the order where there are fewer pictures.
        templates: words with ``{reference}`` and ``{target}``; one is drawn for each triplet.
        each: triplets of every picture.
        seed: of what is drawn.

    Returns:
        References (T,), T changes and targets (T,).

    Raises:
        ValueError: fewer than two pictures, lengths that differ, an empty window.
    """
    count = len(captions)
    if count < 2 or len(features) != count:
        raise ValueError(f"two or more captioned pictures are needed, got {count} captions of {len(features)} pictures")
    first, last = window
    if not 0 <= first < last:
        raise ValueError(f"window must be ranks (first, last) with 0 <= first < last, got {window}")
    last = min(last, count - 1)
    first = max(0, min(first, last - (window[1] - window[0])))
    rng = np.random.default_rng([seed, 7])
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    references = np.repeat(np.arange(count), each)
    targets, changes = [], []
    for row in range(count):
        near = np.argsort(-(unit @ unit[row]), kind="stable")
        for target in rng.choice(near[near != row][first:last], each, replace=last - first < each).tolist():
            template = templates[int(rng.integers(len(templates)))]
            targets.append(target)
            changes.append(template.format(target=captions[target], reference=captions[row]))
    return references, changes, np.array(targets, dtype=np.int64)


def are_triplets(table: Table) -> bool:
    """Whether the columns of a table are those of triplets."""
    return table.first(*REFERENCES) is not None and table.first(*CHANGES) is not None


def read_triplets(table: Table, path: Path, size: int, *, pictures: str | None = None, **checks: Any) -> Triplets:
    """The triplets of a table whose pictures are files.

    Columns are ``reference`` (``candidate`` in FashionIQ), ``change`` (``caption`` in CIRR, ``captions`` in FashionIQ,
    where a list is joined by "and", as its released baselines do), ``target`` (``target_hard`` in CIRR), and
    ``reference_caption`` and ``target_caption`` where known. Names of pictures may lack their ending.

    Args:
        table: the rows.
        path: of the table.
        size: side to which pictures are brought.
        pictures: their folder, if not the table's own.
        checks: ``strict`` and ``max_bad``.
    """
    folder = path.parent if pictures is None else Path(pictures)
    columns = {
        name: table.first(*names)
        for name, names in {
            "reference": REFERENCES,
            "change": CHANGES,
            "target": TARGETS,
            "caption": CAPTIONS,
            "edited": EDITED,
        }.items()
    }
    if columns["target"] is None and columns["edited"] is None:
        raise ValueError(
            f"{path} says of no change what it leads to: a column {' or '.join(TARGETS)} of pictures or "
            f"{' or '.join(EDITED)} of captions is needed beside {', '.join(table.columns)}"
        )
    found: dict[str, int] = {}
    refused: dict[str, str] = {}
    images: list[np.ndarray] = []

    def picture(name: Any) -> str:
        if why_no_text(name):
            return "it names no picture"
        if name not in found and name not in refused:
            try:
                images.append(square(_file(folder, name), size))
                found[name] = len(images) - 1
                check_room(len(images) * images[0].nbytes, f"{path} with its pictures")
            except PictureError as error:
                refused[name] = f"{name}: {error}"
        return refused.get(name, "")

    def why(row: int) -> str:
        said = {name: values[row] for name, values in columns.items() if values is not None}
        for name in ("change", "edited", "caption"):
            if name in said and (reason := why_no_text(_sentence(said[name]))):
                return f"{name}: {reason}"
        return next((r for name in ("reference", "target") if name in said and (r := picture(said[name]))), "")

    with quiet():
        kept = table.without(why)
    skipped = Skipped(len(kept.places) + len(kept.bad), kind="triplets", **checks)
    if not kept.places:
        raise ValueError(f"{path} holds no triplet that can be used; {': '.join(kept.bad[0])}")
    skipped.set_aside(kept.bad, str(path))

    def column(names: Sequence[str]) -> list[Any] | None:
        return kept.first(*names)

    references = np.array([found[name] for name in column(REFERENCES) or ()], dtype=np.int64)
    wanted, told = column(TARGETS), column(EDITED)
    targets = None if wanted is None else np.array([found[name] for name in wanted], dtype=np.int64)
    return Triplets(
        np.stack(images),
        references,
        [_sentence(text) for text in column(CHANGES) or ()],
        targets,
        captions=column(CAPTIONS),
        edited=told,
        name=path.stem,
        skipped=skipped,
    )


def _file(folder: Path, name: str) -> Path:
    """The file of a picture whose name may lack its ending."""
    return next((p for ending in ENDINGS if (p := folder / f"{name}{ending}").is_file()), folder / name)


def _sentence(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return " and ".join(each.strip().rstrip(".") for each in value)
    return value


def _numbers(name: str, values: np.ndarray, count: int, pictures: int) -> np.ndarray:
    found = np.asarray(values)
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise ValueError(f"{name} must be whole numbers of shape ({count},), one for each change, got {found.shape}")
    if count and (found.min() < 0 or found.max() >= pictures):
        raise ValueError(f"{name} must be numbers of the {pictures} pictures, got {found.min()} to {found.max()}")
    return found.astype(np.int64)


def _texts(name: str, texts: Sequence[str], count: int) -> list[str]:
    if len(texts) != count:
        raise ValueError(f"{name} has {len(texts)} entries, {count} are needed")
    for row, text in enumerate(texts):
        if reason := why_no_text(text):
            raise ValueError(f"{name}, entry {row}: {reason}")
    return [*texts]
