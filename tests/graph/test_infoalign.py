"""InfoAlign: molecules and what is known around them, walks, losses, what is learned, promised and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar.graph.data import MoleculeBatch, MoleculeSet, load
from nearfar.graph.data.chemistry import ATOM, BOND, fingerprints, graph_of, molecule_of, scaffold_of
from nearfar.graph.data.context import ContextGraph, Link, nearest_links
from nearfar.graph.data.molecules import GROUPS, SCAFFOLDS, generated_molecules
from nearfar.graph.evaluation import across_scaffolds, evaluate
from nearfar.graph.methods.infoalign import InfoAlign
from nearfar.graph.molecule_encoder import MoleculeEncoder
from nearfar.losses import gaussian_bottleneck, walk_alignment
from nearfar.reproductions.arms import build, train
from nearfar.sources.skipped import BadDataError
from nearfar.testing import check_method
from tests.losses.graph_cases import CASES
from tests.losses.registry import value_and_gradients

SMALL = {"width": 16, "layers": 2}


@pytest.fixture(scope="module")
def molecules() -> MoleculeSet:
    return generated_molecules(120)


def test_infoalign_keeps_every_promise(molecules: MoleculeSet) -> None:
    check_method(InfoAlign, molecules, {"targets": molecules.context.widths, **SMALL}, batch_size=8)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_losses_are_those_of_the_formulas(case) -> None:
    inputs = case.data(torch.float64)
    found, gradients = value_and_gradients(case.loss, inputs)
    expected, right = value_and_gradients(case.slow, inputs)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients, right)


def test_the_mean_is_over_known_entries_as_released() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    every = torch.rand(3, 5, 4, generator=generator, dtype=torch.float64)  # of each walk, NaN where of another kind
    every[torch.rand(3, 5, generator=generator) < 0.5] = torch.nan
    every[torch.rand(3, 5, 4, generator=generator) < 0.2] = torch.nan
    alpha = torch.rand(3, 5, generator=generator, dtype=torch.float64)
    known = ~every.isnan()
    spread = logits.unsqueeze(1).expand_as(every)
    released = F.binary_cross_entropy_with_logits(
        spread[known], every[known], weight=alpha.unsqueeze(2).expand_as(every)[known]
    )
    owner, step = torch.nonzero(known.any(2), as_tuple=True)
    found = walk_alignment(logits, every[owner, step], owner, alpha[owner, step])
    torch.testing.assert_close(found, released)
    assert torch.autograd.gradcheck(lambda x: walk_alignment(x, every[owner, step], owner, alpha[owner, step]), logits)
    nothing = walk_alignment(logits, every[:0, 0], owner[:0], alpha[:0, 0])
    assert nothing == 0
    nothing.backward()
    assert not logits.grad.any()


def test_the_bottleneck_estimates_the_divergence() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, deviation = torch.full((20000, 2), 0.7), torch.full((20000, 2), 0.5)
    noise = torch.randn(20000, 2, generator=generator)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(0.7, 0.5), torch.distributions.Normal(0.0, 1.0)
    )
    found = gaussian_bottleneck(mean, deviation, mean + deviation * noise)
    assert float(found) == pytest.approx(2 * float(expected), rel=0.05)
    assert gaussian_bottleneck(torch.zeros(3, 2), torch.ones(3, 2), noise[:3]) == 0


def test_walks_follow_edges_and_weigh_their_way() -> None:
    prints = np.eye(3, 8, dtype=np.float32)  # nothing alike
    link = Link(np.array([0, 1]), np.array([0, 0]), np.array([0.5, 0.25]))
    context = ContextGraph(prints, {"cell": np.array([[1.0, 3.0, np.nan], [2.0, 1.0, np.nan]])}, {"cell": link})
    torch.testing.assert_close(context.tables["cell"][:, :2], torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    assert context.tables["cell"][:, 2].isnan().all()
    nodes, weights = context.walk(torch.tensor([0, 2] * 200), 2, torch.Generator().manual_seed(0))
    first, alone = nodes[::2], nodes[1::2]
    assert (first[:, 1] == 3).all()  # the cell, the fourth node
    assert set(first[:, 2].tolist()) == {0, 1}
    torch.testing.assert_close(weights[::2, 2], torch.where(first[:, 2] == 0, 0.25, 0.125))
    assert (alone == 2).all()
    assert weights[1::2].unique(dim=0).tolist() == [[1.0, 0.0, 0.0]]
    met = context.visited(nodes[:2], weights[:2])
    assert met["cell"].owner.tolist() == [0]
    torch.testing.assert_close(met["cell"].features[0, :2], torch.tensor([0.0, 1.0]))
    assert met["molecule"].owner.tolist() == [0, 0, 1, 1, 1]
    lonely = ContextGraph(prints)
    assert lonely.walk(torch.tensor([1]), 3, torch.Generator())[1].tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_links_join_the_most_alike_in_blocks_too() -> None:
    rng = np.random.default_rng(0)
    x = (rng.random((60, 30)) < 0.4).astype(np.float32)
    x[1] = x[0]
    found = nearest_links(x, 0.3, share=0.02, measure="tanimoto")
    both, either = x @ x.T, np.maximum(x[:, None], x[None]).sum(2)
    alike = both / either
    pairs = alike[np.triu_indices(60, 1)]
    threshold = max(np.sort(pairs)[-int(0.02 * len(pairs)) - 1], 0.3)
    assert len(found.weights) == (pairs >= threshold).sum()
    np.testing.assert_allclose(found.weights, alike[found.molecules, found.nodes], rtol=1e-5)
    for one, other in zip(found, nearest_links(x, 0.3, share=0.02, measure="tanimoto", block=7), strict=True):
        np.testing.assert_allclose(one, other)
    assert nearest_links(x, 0.999, measure="tanimoto").weights.tolist() == [1.0]


def test_molecules_are_read_as_numbers_in_range() -> None:
    ethanol = molecule_of("CCO")
    atoms, edges, bonds = graph_of(ethanol)
    assert atoms[:, 0].tolist() == [5, 5, 7]
    assert edges.T.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]
    assert bonds[:, 0].tolist() == [0] * 4
    for smiles in ("[Na+].[Cl-]", "c1ccccc1", "C[C@H](O)/C=C/Cl", "[U]", "*", "[2H]C#N", "O=S(=O)(O)O"):
        atoms, edges, bonds = graph_of(molecule_of(smiles))
        assert (atoms >= 0).all()
        assert (atoms < np.array(ATOM)).all()
        assert (bonds >= 0).all()
        assert (bonds < np.array(BOND)).all()
    assert scaffold_of(molecule_of("Cc1ccccc1")) == "c1ccccc1"
    assert scaffold_of(ethanol) == ""
    prints = fingerprints([ethanol, molecule_of("OCC")])
    assert prints.shape == (2, 1024)
    assert (prints[0] == prints[1]).all()
    for scaffold in SCAFFOLDS:
        for first, second in GROUPS:
            molecule_of(scaffold.format(first, second))


def test_a_molecule_does_not_depend_on_its_batch_or_the_order_of_its_atoms(molecules: MoleculeSet) -> None:
    torch.manual_seed(0)
    encoder = MoleculeEncoder(8, 3).eval()
    for norm in encoder.modules():
        if isinstance(norm, torch.nn.BatchNorm1d):
            norm.running_mean.normal_()
    batch = molecules.batch(np.arange(5))
    found = encoder(batch)
    torch.testing.assert_close(encoder(molecules.batch(np.array([3])))[0], found[3])
    order = torch.randperm(len(batch.atoms))
    place = order.argsort()
    turned = MoleculeBatch(
        batch.atoms[order], place[batch.edge_index], batch.bonds, batch.graph[order], batch.rows, batch.context
    )
    torch.testing.assert_close(encoder(turned), found, rtol=1e-4, atol=1e-3)
    other = batch._replace(bonds=batch.bonds.roll(1, 0))
    assert not torch.allclose(encoder(other), found)


def test_what_is_met_is_told_after_training_without_collapse(molecules: MoleculeSet) -> None:
    method = build("infoalign", molecules, 0, **SMALL)
    context = molecules.context
    cells = context.first["cell"] + np.arange(len(context.tables["cell"]))
    owner = [int(next(n for n in context.targets[context.starts[c] : context.starts[c + 1]] if n < 120)) for c in cells]

    def agreement() -> float:
        """Correlation of what is decoded of molecules with their cells, column by column."""
        with method.frozen():
            said = method.decoders["cell"](method.encode(molecules.batch(np.array(owner))))
        pair = [x - x.mean(0) for x in (said, context.tables["cell"])]
        return float((F.normalize(pair[0], dim=0) * F.normalize(pair[1], dim=0)).sum(0).mean())

    before, first = agreement(), evaluate(method.eval(), molecules)
    train("infoalign", method.train(), molecules, 0, steps=40, batch_size=40)
    after = evaluate(method.eval(), molecules)
    assert agreement() > before + 0.2
    assert after["effective_rank"] > first["effective_rank"]
    assert {"r2, new scaffolds", "std"} <= set(after)


def test_scaffolds_of_the_test_are_new() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    scaffolds = np.array([f"s{row // 6}" for row in range(60)])
    assert across_scaffolds(x, x[:, 0], scaffolds)["r2, new scaffolds"] > 0.9
    assert across_scaffolds(x, (x[:, 0] > 0).astype(int), scaffolds)["accuracy, new scaffolds"] > 0.7
    assert across_scaffolds(x[:8], x[:8, 0], scaffolds[:8]) == {}


def test_molecules_from_tables_and_folders(tmp_path: Path) -> None:
    table = "name,smiles,activity\n" + "".join(f"m{n},{'C' * (n + 1)}O,{n / 2}\n" for n in range(12))
    (tmp_path / "a.csv").write_text(table + "m12,not a molecule,1\n")
    with pytest.warns(UserWarning, match="no SMILES"):
        data = load(tmp_path / "a.csv")
    assert isinstance(data, MoleculeSet)
    assert len(data) == 12
    assert data.labels.tolist() == [n / 2 for n in range(12)]
    assert data.facts == {"targets": {"molecule": 1024}}
    assert load(tmp_path / "a.csv", label_column="name").labels[0] == "m0"
    (tmp_path / "molecules.csv").write_text(table)
    links = np.array([[0, 11], [0, 1], [1.0, 0.5]])
    np.savez(tmp_path / "context.npz", cell=np.random.default_rng(0).normal(size=(2, 5)), cell_links=links)
    data = load(tmp_path)
    assert data.facts == {"targets": {"molecule": 1024, "cell": 5}}
    with pytest.raises(ValueError, match="no column activities; it has name, smiles, activity"):
        load(tmp_path / "molecules.csv", label_column="activities")
    with pytest.raises(BadDataError, match="no SMILES"):
        MoleculeSet(["C", "?"], strict=True)


def test_refusals(molecules: MoleculeSet) -> None:
    with pytest.raises(ValueError, match="targets are needed"):
        InfoAlign()
    with pytest.raises(ValueError, match="layers at least 2"):
        MoleculeEncoder(8, 1)
    with pytest.raises(ValueError, match="holds no molecule"):
        MoleculeSet([])
    link = Link(np.array([5]), np.array([0]), np.array([1.0]))
    with pytest.raises(ValueError, match="name molecules 5 to 5, of 1"):
        MoleculeSet(["C"], kinds={"cell": np.ones((1, 2))}, links={"cell": link})
    with pytest.raises(ValueError, match="needs features and links"):
        ContextGraph(np.ones((2, 3)), {"cell": np.ones((1, 2))})
    with pytest.raises(ValueError, match="met must have shape"):
        walk_alignment(torch.zeros(2, 3), torch.zeros(1, 2), torch.zeros(1, dtype=torch.long), torch.ones(1))
