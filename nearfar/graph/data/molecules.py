"""Molecules as collections: from tables with SMILES, with or without what is known around them, and generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.graph.data.chemistry import fingerprints, graph_of, molecule_of, scaffold_of
from nearfar.graph.data.context import ContextGraph, Link
from nearfar.sources.archives import read_npz
from nearfar.sources.fingerprint import digest_of
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import read_table
from nearfar.training import Data

__all__ = ["MoleculeBatch", "MoleculeSet", "from_folder", "from_table", "generated_molecules"]


class MoleculeBatch(NamedTuple):
    """A batch of molecules.

    Attributes:
        atoms: (A, 9) int64, see :data:`nearfar.graph.data.chemistry.ATOM`.
        edge_index: (2, E) int64, both directions of every bond, numbered through all molecules.
        bonds: (E, 3) int64.
        graph: (A,) int64, the molecule of every atom.
        rows: (B,) int64, positions in the collection, which are the molecules' nodes in ``context``.
        context: what is known around them.
    """

    atoms: Tensor
    edge_index: Tensor
    bonds: Tensor
    graph: Tensor
    rows: Tensor
    context: ContextGraph


class MoleculeSet(Data):
    """Molecules, given as SMILES.

    Args:
        smiles: one per molecule; what is none is left out.
        labels: one per molecule or ``None``: numbers with a point are measured, anything else is a class.
        kinds: features of the nodes of other kinds, by kind; see :class:`nearfar.graph.data.context.ContextGraph`.
        links: of each kind to molecules, by their place in ``smiles``.
        name: what to call the collection.
        least: similarity from which two nodes of one kind may be linked.
        strict: the first unreadable molecule is an error.
        max_bad: largest share of unreadable ones, in [0, 1].

    Raises:
        ImportError: RDKit is not there.
        ValueError: no molecule, labels that are not one for each, or a context that does not fit.
        BadDataError: ``strict`` or ``max_bad`` does not allow what was found.
    """

    gives = MoleculeBatch

    def __init__(
        self,
        smiles: Sequence[str],
        labels: Any = None,
        *,
        kinds: Mapping[str, np.ndarray] | None = None,
        links: Mapping[str, Link] | None = None,
        name: str = "molecules",
        least: float = 0.6,
        strict: bool = False,
        max_bad: float = 0.1,
    ) -> None:
        if labels is not None and len(labels) != len(smiles):
            raise ValueError(f"{name} has {len(labels)} labels for {len(smiles)} molecules")
        found, wrong = {}, []
        for row, each in enumerate(smiles):
            try:
                found[row] = molecule_of(str(each).strip())
            except ValueError as error:
                wrong.append((f"row {row}", str(error)))
        self.skipped = Skipped(max(len(smiles), 1), strict=strict, max_bad=max_bad, kind="molecules")
        if not found:
            raise ValueError(f"{name} holds no molecule" + (f", the first: {wrong[0][1]}" if wrong else ""))
        self.skipped.set_aside(wrong, name)
        self.kept = np.array(sorted(found))
        self.smiles = [str(smiles[row]).strip() for row in self.kept]
        self.parts = [graph_of(found[row]) for row in self.kept]
        self.scaffolds = np.array([scaffold_of(found[row]) for row in self.kept])
        self.labels = None if labels is None else np.asarray(labels)[self.kept]
        self.context = ContextGraph(
            fingerprints([found[row] for row in self.kept]),
            kinds,
            {kind: self._of_kept(link, len(smiles), kind) for kind, link in (links or {}).items()},
            least=least,
        )
        self.name = name

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def ids(self) -> np.ndarray:
        return self.kept

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"targets": self.context.widths}

    def contents(self) -> Mapping[str, str]:
        known = [part for kind in sorted(self.context.features) for part in (self.context.features[kind],)]
        return {"molecules": digest_of(np.array(self.smiles), self.labels), "context": digest_of(*known)}

    def batch(self, indices: np.ndarray) -> MoleculeBatch:
        chosen = [self.parts[row] for row in indices]
        sizes = np.array([len(atoms) for atoms, _, _ in chosen])
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        return MoleculeBatch(
            torch.from_numpy(np.concatenate([atoms for atoms, _, _ in chosen])),
            torch.from_numpy(np.concatenate([edges + at for (_, edges, _), at in zip(chosen, first, strict=True)], 1)),
            torch.from_numpy(np.concatenate([bonds for _, _, bonds in chosen])),
            torch.from_numpy(np.repeat(np.arange(len(chosen)), sizes)),
            torch.from_numpy(np.asarray(indices, dtype=np.int64)),
            self.context,
        )

    def _of_kept(self, link: Link, count: int, kind: str) -> Link:
        """Links with molecules counted among those that are kept."""
        molecules, nodes, weights = (np.asarray(part) for part in link)
        if molecules.size and (molecules.dtype.kind not in "iu" or molecules.min() < 0 or molecules.max() >= count):
            raise ValueError(f"links of {kind} name molecules {molecules.min()} to {molecules.max()}, of {count}")
        place = np.full(count, -1)
        place[self.kept] = np.arange(len(self.kept))
        here = place[molecules] >= 0
        return Link(place[molecules][here], nodes[here], weights[here])


def from_table(path: Path, *, label: str = "", **options: Any) -> MoleculeSet:
    """Molecules of a table with a column ``smiles``; labels are the column ``label``, or the first of numbers."""
    table = read_table(path)
    smiles = table.first("smiles", "mol")
    if smiles is None:
        raise ValueError(f"{path} has no column smiles; it has {', '.join(table.columns)}")
    others = [name for name in table.columns if name not in ("smiles", "mol")]
    if label and label.lower() not in others:
        raise ValueError(f"{path} has no column {label}; it has {', '.join(table.columns)}")
    labels: Any = None
    for name in [label.lower()] if label else others:
        try:
            labels = np.array([float(value) for value in table.columns[name]])
        except (TypeError, ValueError):
            labels = np.array([str(value) for value in table.columns[name]]) if label else None
        if labels is not None:
            break
    if labels is not None and labels.dtype.kind == "f" and np.isin(labels, (0, 1)).all():
        labels = labels.astype(np.int64)
    return MoleculeSet([str(each) for each in smiles], labels, name=path.stem, **options)


def from_folder(folder: Path, **options: Any) -> MoleculeSet:
    """``molecules.csv`` with SMILES, and ``context.npz``: features ``<kind>`` and ``<kind>_links`` (3, E) of each kind.

    The rows of links are places in ``molecules.csv``, nodes of the kind, and weights.
    """
    arrays = read_npz(folder / "context.npz")
    kinds = {name: array for name, array in arrays.items() if not name.endswith("_links")}
    links = {}
    for kind in kinds:
        found = arrays.get(f"{kind}_links")
        if found is None or found.ndim != 2 or len(found) != 3:
            got = "nothing" if found is None else str(found.shape)
            raise ValueError(f"{folder / 'context.npz'}: {kind}_links must have shape (3, E), got {got}")
        links[kind] = Link(found[0].astype(np.int64), found[1].astype(np.int64), found[2].astype(np.float32))
    return from_table(folder / "molecules.csv", kinds=kinds, links=links, **options)


SCAFFOLDS = (
    *("{}c1ccc({})cc1", "{}c1ccnc({})c1", "{}C1CCN({})CC1", "{}c1csc({})n1", "{}C1CCC({})CC1", "{}c1ccc2cc({})ccc2c1"),
    *("{}c1cc({})c2[nH]ccc2c1", "{}c1nc({})nc2ccccc12", "{}C1COC({})C1", "{}c1coc({})c1", "{}N1CCN({})CC1"),
    "{}c1ccc(C(=O)N{})cc1",
)
GROUPS = (
    *(("F", "F"), ("Cl", "Cl"), ("C", "C"), ("CC", "CC"), ("O", "O"), ("N", "N"), ("CO", "OC"), ("N#C", "C#N")),
    *(("COC(=O)", "C(=O)OC"), ("NC(=O)", "C(=O)N"), ("OC(=O)", "C(=O)O"), ("FC(F)(F)", "C(F)(F)F")),
    *(("CS(=O)(=O)", "S(=O)(=O)C"), ("c1ccccc1", "c1ccccc1"), ("CN(C)", "N(C)C"), ("CCCC", "CCCC"), ("OCC", "CCO")),
)


def generated_molecules(count: int = 400, seed: int = 0) -> MoleculeSet:
    """Molecules of twelve scaffolds with two groups each, and cells, genes and expression that follow what they are.

    What a cell shows is no linear function of a molecule's hidden properties (those of :func:`profiles`). Labels are
    one more such function, with noise.

    Args:
        count: molecules, from 24 to 3000.
        seed: equal arguments give equal molecules.
    """
    most = 3000
    if not 24 <= count <= most:
        raise ValueError(f"generated molecules are from 24 to {most}, got {count}")
    rng = np.random.default_rng(seed)
    everything = [
        scaffold.format(first[0], second[1]) for scaffold in SCAFFOLDS for first in GROUPS for second in GROUPS
    ]
    smiles = [everything[row] for row in rng.permutation(len(everything))[:count]]
    kinds, links, hidden = profiles(smiles, rng)
    direction = rng.normal(size=(hidden.shape[1], 2))
    labels = np.tanh(hidden @ direction[:, 0]) + 0.5 * hidden @ direction[:, 1] + 0.3 * rng.normal(size=count)
    return MoleculeSet(smiles, labels, kinds=kinds, links=links, name="molecules")


def profiles(
    smiles: Sequence[str], rng: np.random.Generator, *, measured: float = 0.4
) -> tuple[dict[str, np.ndarray], dict[str, Link], np.ndarray]:
    """Made-up cells, genes and expression around real or generated molecules, and the properties (N, 6) they follow.

    Properties are RDKit's partition coefficient, polar surface, weight, donors, acceptors and aromatic rings,
    standardised. ``measured`` of the molecules have a cell and as many an expression, linked with weight 1; each of 40
    genes is linked with the molecules that are highest in a direction of its own.
    """
    from nearfar.common.extras import needed

    describe = needed("rdkit.Chem.Descriptors", "molecules", "Describing molecules")
    names = ("MolLogP", "TPSA", "MolWt", "NumHDonors", "NumHAcceptors", "NumAromaticRings")
    hidden = np.array([[getattr(describe, name)(molecule_of(each)) for name in names] for each in smiles])
    hidden = (hidden - hidden.mean(0)) / np.maximum(hidden.std(0), 1e-9)
    kinds, links = {}, {}
    for kind, width in (("cell", 60), ("expression", 50)):
        chosen = np.sort(rng.permutation(len(smiles))[: max(int(measured * len(smiles)), 2)])
        inner = np.tanh(hidden[chosen] @ rng.normal(size=(hidden.shape[1], 16)) / 2)
        kinds[kind] = inner @ rng.normal(size=(16, width)) / 4 + 0.3 * rng.normal(size=(len(chosen), width))
        links[kind] = Link(chosen, np.arange(len(chosen)), np.ones(len(chosen)))
    direction = rng.normal(size=(40, hidden.shape[1]))
    kinds["gene"] = np.tanh(direction @ rng.normal(size=(hidden.shape[1], 30)))
    score = hidden @ direction.T
    molecules, genes = np.nonzero(score >= np.quantile(score, 0.97, axis=0))
    links["gene"] = Link(molecules, genes, np.clip(score[molecules, genes] / score.max(), 0, 1))
    return kinds, links, hidden
