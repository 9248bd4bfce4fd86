"""Molecules as RDKit reads them: atoms and bonds as numbers, fingerprints, scaffolds."""

from __future__ import annotations

from typing import Any

import numpy as np

from nearfar.common.extras import needed

__all__ = ["ATOM", "BOND", "fingerprints", "graph_of", "molecule_of", "scaffold_of"]

ATOM = (119, 5, 12, 12, 10, 6, 6, 2, 2)
"""Values of an atom's columns: element, chirality, degree, charge, hydrogens, radicals, hybridisation, aromatic, in a
ring. Those of Open Graph Benchmark; the last value of all but the last two stands for anything else."""
BOND = (5, 6, 2)
"""Values of a bond's columns: kind, stereo, conjugated."""

CHIRALITY = ("CHI_UNSPECIFIED", "CHI_TETRAHEDRAL_CW", "CHI_TETRAHEDRAL_CCW", "CHI_OTHER")
HYBRID = ("SP", "SP2", "SP3", "SP3D", "SP3D2")
KINDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
STEREO = ("STEREONONE", "STEREOZ", "STEREOE", "STEREOCIS", "STEREOTRANS", "STEREOANY")


def molecule_of(smiles: str) -> Any:
    """RDKit's molecule.

    Raises:
        ValueError: it is no SMILES of a molecule with an atom in it.
    """
    chem = needed("rdkit.Chem", "molecules", "Reading molecules")
    silent = needed("rdkit.RDLogger", "molecules", "Reading molecules")
    silent.DisableLog("rdApp.*")
    found = chem.MolFromSmiles(smiles)
    if found is None or not found.GetNumAtoms():
        raise ValueError(f"{smiles[:60]!r} is no SMILES of a molecule")
    return found


def graph_of(molecule: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms (A, 9), edges (2, E) in both directions and their bonds (E, 3), int64."""
    atoms = [
        (
            min(atom.GetAtomicNum(), ATOM[0]) - 1 if atom.GetAtomicNum() else ATOM[0] - 1,
            _place(CHIRALITY, str(atom.GetChiralTag())),
            min(atom.GetTotalDegree(), 11),
            atom.GetFormalCharge() + 5 if abs(atom.GetFormalCharge()) <= 5 else 11,
            min(atom.GetTotalNumHs(), 9),
            min(atom.GetNumRadicalElectrons(), 5),
            _place(HYBRID, str(atom.GetHybridization())),
            int(atom.GetIsAromatic()),
            int(atom.IsInRing()),
        )
        for atom in molecule.GetAtoms()
    ]
    edges, bonds = [], []
    for bond in molecule.GetBonds():
        ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        columns = (
            _place(KINDS, str(bond.GetBondType())),
            min(_place(STEREO, str(bond.GetStereo())), len(STEREO) - 1),
            int(bond.GetIsConjugated()),
        )
        edges += [ends, ends[::-1]]
        bonds += [columns, columns]
    return (
        np.array(atoms, dtype=np.int64),
        np.array(edges, dtype=np.int64).reshape(-1, 2).T,
        np.array(bonds, dtype=np.int64).reshape(-1, 3),
    )


def fingerprints(molecules: list[Any], *, radius: int = 4, bits: int = 1024) -> np.ndarray:
    """(N, bits) float32 of zeros and ones: which surroundings of atoms occur (Morgan)."""
    makers = needed("rdkit.Chem.rdFingerprintGenerator", "molecules", "Reading molecules")
    made = makers.GetMorganGenerator(radius=radius, fpSize=bits)
    return np.stack([made.GetFingerprintAsNumPy(each) for each in molecules]).astype(np.float32)


def scaffold_of(molecule: Any) -> str:
    """The rings of a molecule and what links them (Bemis and Murcko), as SMILES; empty where there are none."""
    scaffolds = needed("rdkit.Chem.Scaffolds.MurckoScaffold", "molecules", "Reading molecules")
    return scaffolds.MurckoScaffoldSmiles(mol=molecule)


def _place(known: tuple[str, ...], value: str) -> int:
    return known.index(value) if value in known else len(known)
