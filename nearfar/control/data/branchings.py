"""Decisions of strong branching, each with the two-sided graph of columns and rows in which it was made."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.common.files import atomic_write
from nearfar.sources.archives import read_npz
from nearfar.sources.data import Data

COLUMN = (
    "binary", "integer", "implied integer", "continuous", "objective", "has lower", "has upper", "at lower", "at upper",
    "fraction", "basis lower", "basic", "basis upper", "basis zero", "reduced cost", "age", "value", "incumbent value",
    "average incumbent value",
)  # fmt: skip
"""What is known of a column (Gasse et al., 2019, arXiv 1906.01629); incumbent values are NaN before there is one."""
ROW = ("objective cosine", "bias", "tight", "dual value", "age")
"""What is known of a side of a row, written as at most its bias."""
CONTINUOUS, MOVED = COLUMN.index("continuous"), tuple(COLUMN.index(n) for n in COLUMN if n.endswith("value"))
BIAS = ROW.index("bias")


class Decision(NamedTuple):
    """What strong branching found at one node.

    Attributes:
        columns: (N, 19) float32, see :data:`COLUMN`.
        rows: (M, 5) float32, see :data:`ROW`.
        edges: (2, E) the column and the row of each coefficient.
        weights: (E,) the coefficients, each row divided by its norm.
        candidates: (K,) the columns that could be branched on.
        scores: (K,) of strong branching, higher is better.
    """

    columns: np.ndarray
    rows: np.ndarray
    edges: np.ndarray
    weights: np.ndarray
    candidates: np.ndarray
    scores: np.ndarray


class DecisionBatch(NamedTuple):
    """Decisions beside each other as one graph of B parts.

    Attributes:
        columns: (N, 19); NaN where there is no incumbent.
        rows: (M, 5).
        edges: (2, E) from columns to rows.
        weights: (E,).
        candidates: (K,) columns that could be branched on, part by part.
        scores: (K,).
        of_columns, of_rows, of_candidates: (N,), (M,) and (K,) to which part each belongs.
        sizes: (B,) columns of each part.
    """

    columns: Tensor
    rows: Tensor
    edges: Tensor
    weights: Tensor
    candidates: Tensor
    scores: Tensor
    of_columns: Tensor
    of_rows: Tensor
    of_candidates: Tensor
    sizes: Tensor


class Branchings(Data):
    """Decisions of strong branching.

    Args:
        decisions: at least two.
        name: what people call them.
        held_out: those of other problems, to be measured on.
    """

    gives = DecisionBatch

    def __init__(
        self, decisions: Sequence[Decision], *, name: str = "branchings", held_out: Branchings | None = None
    ) -> None:
        if len(decisions) < 2:
            raise ValueError(f"decisions are told from each other, so there must be at least 2, got {len(decisions)}")
        self.decisions, self.name, self.held_out = list(decisions), name, held_out

    def __len__(self) -> int:
        return len(self.decisions)

    def splits(self) -> Mapping[str, Data]:
        return {} if self.held_out is None else {"held out": self.held_out}

    def batch(self, indices: np.ndarray) -> DecisionBatch:
        return together([self.decisions[i] for i in indices])

    def save(self, path: Path) -> None:
        """Write them as ``.npz``."""
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(d, name) for d in self.decisions], axis=1 if name == "edges" else 0)
            for name in Decision._fields
        }
        sizes = [[len(d.columns), len(d.rows), len(d.weights), len(d.candidates)] for d in self.decisions]
        with atomic_write(Path(path)) as file:
            np.savez_compressed(file, sizes=np.array(sizes), **arrays)


def together(decisions: Sequence[Decision]) -> DecisionBatch:
    """Decisions as one graph."""
    sizes = np.array([[len(d.columns), len(d.rows), len(d.candidates)] for d in decisions])
    before = np.cumsum(sizes, 0) - sizes
    edges = [d.edges + start[:2, None] for d, start in zip(decisions, before, strict=True)]
    candidates = [d.candidates + start[0] for d, start in zip(decisions, before, strict=True)]
    owners = [np.repeat(np.arange(len(decisions)), sizes[:, part]) for part in range(3)]
    arrays = [
        np.concatenate([d.columns for d in decisions]),
        np.concatenate([d.rows for d in decisions]),
        np.concatenate(edges, 1),
        np.concatenate([d.weights for d in decisions]),
        np.concatenate(candidates),
        np.concatenate([d.scores for d in decisions]),
        *owners,
        sizes[:, 0],
    ]
    return DecisionBatch(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def holds_branchings(path: Path) -> bool:
    """Whether a file holds decisions and not episodes, by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "candidates.npy" in archive.namelist()
    except zipfile.BadZipFile:
        return False


def read_branchings(path: Path) -> Branchings:
    """Decisions of a file that :meth:`Branchings.save` wrote; the last tenth is held out.

    Raises:
        ValueError: an array is missing, or does not fit the others.
    """
    arrays = read_npz(path)
    missing = [name for name in (*Decision._fields, "sizes") if name not in arrays]
    if missing:
        raise ValueError(f"{path} has no {' and no '.join(missing)}: it holds {', '.join(arrays) or 'nothing'}")
    sizes = arrays["sizes"]
    if sizes.ndim != 2 or sizes.shape[1] != 4 or sizes.dtype.kind not in "iu" or (len(sizes) and sizes.min() < 1):
        raise ValueError(f"{path}: sizes must be whole numbers (S, 4) of at least 1, got {sizes.dtype} {sizes.shape}")
    columns, rows, edges, candidates = sizes.sum(0).tolist()
    shapes = {
        "columns": (columns, len(COLUMN)),
        "rows": (rows, len(ROW)),
        "edges": (2, edges),
        "weights": (edges,),
        "candidates": (candidates,),
        "scores": (candidates,),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{path}: {name} must be {shape} by the sizes, got {arrays[name].shape}")
    starts = np.cumsum(sizes, 0) - sizes
    found = []
    for number, ((c, r, e, k), size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
        made = Decision(
            arrays["columns"][c : c + size[0]].astype(np.float32),
            arrays["rows"][r : r + size[1]].astype(np.float32),
            arrays["edges"][:, e : e + size[2]].astype(np.int64),
            arrays["weights"][e : e + size[2]].astype(np.float32),
            arrays["candidates"][k : k + size[3]].astype(np.int64),
            arrays["scores"][k : k + size[3]].astype(np.float32),
        )
        for part, places, count in (
            (0, made.edges[0], size[0]),
            (1, made.edges[1], size[1]),
            (0, made.candidates, size[0]),
        ):
            if len(places) and not 0 <= places.min() <= places.max() < count:
                raise ValueError(
                    f"{path}: decision {number} names {'row' if part else 'column'} {places.max()} of {count}"
                )
        found.append(made)
    kept = max(len(found) - max(len(found) // 10, 2), 2)
    held_out = Branchings(found[kept:], name=f"{path.stem}, held out") if len(found) - kept >= 2 else None
    return Branchings(found[:kept], name=path.stem, held_out=held_out)


def moved_columns(batch: DecisionBatch, shifts: Tensor) -> DecisionBatch:
    r"""The same nodes after every variable has been moved, :math:`x' = x + s`.

    The values of columns rise by :math:`s`, the sides of rows by :math:`A s`; costs, fractions, reduced costs, duals,
    the basis and the gains of strong branching stay (Lin et al., 2024, arXiv 2402.03647). That holds where columns that
    must be whole are moved by whole numbers.

    Args:
        batch: nodes.
        shifts: (N,) s.
    """
    columns, rows = batch.columns.clone(), batch.rows.clone()
    columns[:, list(MOVED)] += shifts[:, None]  # what is missing stays missing
    rows[:, BIAS] += torch.zeros_like(rows[:, BIAS]).index_add_(
        0, batch.edges[1], batch.weights * shifts[batch.edges[0]]
    )
    return batch._replace(columns=columns, rows=rows)


def drawn_shifts(batch: DecisionBatch, span: float, generator: torch.Generator) -> Tensor:
    """(N,) uniform within ``span`` of 0; whole numbers but for continuous columns."""
    chance = torch.rand(len(batch.columns), generator=generator, device=batch.columns.device) * 2 - 1
    real = batch.columns[:, CONTINUOUS] > 0
    return torch.where(real, chance * span, (chance * (int(span) + 0.5)).round())
