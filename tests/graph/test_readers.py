"""Graphs as people have them: tables of nodes and edges, GraphML, objects of Python, several kinds of nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data, HeteroData

from nearfar.cli import main
from nearfar.graph.data import GraphSet, LinkedGraph, NodeGraph, load, save_geometric
from nearfar.graph.data.node_table import both_ways
from nearfar.reproductions.arms import build
from nearfar.sources.skipped import BadDataError
from nearfar.training import embed

NODES = "id,age,town,label\n" + "".join(f"p{i},{20 + i},{'xy'[i % 2]},{i % 3}\n" for i in range(40))
EDGES = "source,target\n" + "".join(f"p{i},p{(i * 7 + 1) % 40}\n" for i in range(40))


def tables(folder: Path, nodes: str = NODES, edges: str = EDGES) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "nodes.csv").write_text(nodes)
    (folder / "edges.csv").write_text(edges)
    return folder


def test_tables_give_vectors_by_the_nodes_own_names(tmp_path: Path) -> None:
    folder = tables(tmp_path / "people")
    data = load(folder)
    assert [*data.ids[:2]] == ["p0", "p1"]
    assert data.graph.num_node_features == 3  # age, and two towns
    assert torch.allclose(data.graph.x[:, 0].mean(), torch.tensor(0.0), atol=1e-5)
    assert data.labels is not None
    assert data.labels[4] == 1
    pairs = {(f"p{i}", f"p{(i * 7 + 1) % 40}") for i in range(40)}
    named = {(str(data.ids[a]), str(data.ids[b])) for a, b in data.graph.edge_index.T.tolist()}
    assert named == {pair for a, b in pairs if a != b for pair in ((a, b), (b, a))}
    run, out = tmp_path / "run", tmp_path / "vectors.csv"
    words = ["train", "grace", "--data", str(folder), "--hidden", "8", "--steps", "2", "--out", str(run)]
    assert main(words) == 0
    assert main(["embed", str(run), "-o", str(out)]) == 0
    assert [line.split(",")[0] for line in out.read_text().split("\n")[1:4]] == ["p0", "p1", "p2"]


def test_parquet_and_csv_and_whole_numbers_as_ids_say_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids, x = rng.permutation(1000)[:30], rng.integers(0, 2, (30, 4))
    ends = ids[rng.integers(0, 30, (2, 60))]
    first, second = tmp_path / "a", tmp_path / "b"
    head, rows = "id,a,b,c,d\n", (",".join(map(str, [i, *row])) for i, row in zip(ids, x, strict=True))
    with pytest.warns(UserWarning, match="repeated edges"):
        csv = load(tables(first, head + "\n".join(rows), "src,dst\n" + "".join(f"{a},{b}\n" for a, b in ends.T)))
    second.mkdir()
    columns = {"id": ids, **{name: x[:, i] for i, name in enumerate("abcd")}}
    pq.write_table(pa.table(columns), second / "nodes.parquet")
    pq.write_table(pa.table({"source": ends[0].astype(float), "target": ends[1]}), second / "edges.parquet")
    with pytest.warns(UserWarning, match="repeated edges"):
        parquet = load(second / "edges.parquet")
    assert torch.equal(csv.graph.x, parquet.graph.x)
    assert torch.equal(csv.graph.edge_index, parquet.graph.edge_index)
    assert np.array_equal(parquet.ids, ids)
    assert csv.normalized  # zeros and ones are words, whose rows are divided by their sums


def test_edges_that_name_no_node_are_listed_and_too_many_stop(tmp_path: Path) -> None:
    folder = tables(tmp_path / "g", edges=EDGES + "p1,nobody\np2\np3,\n")
    with pytest.warns(UserWarning, match="3 of 43 edges"):
        data = load(folder, directed=True)
    assert data.skipped is not None
    assert dict(data.skipped) == {
        "line 43": "it has 1 cells, and the first line 2",
        "edge 41": "there is no node 'nobody'",
        "edge 42": "there is no node ''",
    }
    with pytest.raises(BadDataError, match="cannot be used"):
        load(folder, strict=True)
    with pytest.raises(BadDataError, match=r"more than the share of 0\.01"):
        load(folder, max_bad=0.01)


@pytest.mark.parametrize(
    ("nodes", "edges", "said"),
    [
        ("name,a\n1,2\n", "source,target\n1,1\n", "has no column id"),
        ("id,a\n1,2\n", "a,b\n1,1\n", "has no columns source and target"),
        ("id,a\n1,2\n2,3\n", "1,2\n2,1\n", "begins with numbers where its columns"),
        ("id,a\n1,2\n1,3\n", "source,target\n1,1\n", "names 1 nodes more than once, the first is 1"),
        ("id,a\n1,2\n,3\n", "source,target\n1,1\n", "1 nodes have no id"),
        ("id,a\n1,inf\n2,3\n", "source,target\n1,2\n", "column a: row 1 holds an infinite value"),
        ("id,a\n1\n2,3\n", "source,target\n2,2\n", "line 2: it has 1 cells"),
        ("id,a\n", "source,target\n1,1\n", "holds no rows"),
        ("", "source,target\n1,1\n", "holds no rows"),
        (f"id,a\n{'x' * 1001},2\n", "source,target\n1,1\n", "a name of 1,001 characters"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_a_sentence(tmp_path: Path, nodes: str, edges: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as found:
        load(tables(tmp_path / "g", nodes, edges))
    assert "\n" not in str(found.value)


def test_columns_without_values_are_named_and_gaps_filled(tmp_path: Path) -> None:
    nodes = "id,a,b,c\n" + "".join(f"{i},{'' if i == 3 else i},nan,name {i}\n" for i in range(200))
    with pytest.warns(UserWarning, match="columns b, c of"):
        data = load(tables(tmp_path / "g", nodes, "source,target\n1,2\n"))
    assert data.graph.num_node_features == 1
    assert data.graph.x[3].abs() < 1e-6
    assert "1 gaps of column a filled with its mean" in data.notes
    (tmp_path / "h").mkdir()
    (tmp_path / "h" / "nodes.csv").write_text("id\n1\n2\n3\n")
    with pytest.raises(ValueError, match="needs a table of edges beside it"):
        load(tmp_path / "h")
    (tmp_path / "h" / "edges.csv").write_text("source,target\n1,2\n")
    bare = load(tmp_path / "h")
    assert bare.graph.x.tolist() == [[0, 1], [0, 1], [1, 0]]
    assert any("no features" in note for note in bare.notes)


@given(st.integers(2, 9).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
@settings(max_examples=40, deadline=None)
@pytest.mark.filterwarnings("ignore:.*were left out")
def test_both_ways_has_every_pair_once_in_each_direction(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    nodes, pairs = drawn
    edges = both_ways(np.array(pairs, dtype=np.int64).reshape(-1, 2).T, nodes)
    found = [*map(tuple, edges.T.tolist())]
    assert len(found) == len(set(found))
    assert set(found) == {pair for a, b in pairs if a != b for pair in ((a, b), (b, a))}


def test_graphml_and_networkx_give_the_same_graph(tmp_path: Path) -> None:
    club = networkx.karate_club_graph()
    given_ = load(club, label_column="club")
    networkx.write_graphml(club, tmp_path / "club.graphml")
    read = load(tmp_path / "club.graphml", label_column="club")
    assert torch.equal(given_.graph.edge_index, read.graph.edge_index)
    assert [*read.ids[:2]] == ["0", "1"]
    assert read.labels is not None
    assert read.labels[0] == "Mr. Hi"
    (tmp_path / "bomb.graphml").write_text('<!DOCTYPE x [<!ENTITY a "b">]><graphml>&a;</graphml>')
    (tmp_path / "none.graphml").write_text("hello")
    for name, said in (("bomb", "declares a document type"), ("none", "cannot be read as GraphML")):
        with pytest.raises(ValueError, match=said):
            load(tmp_path / f"{name}.graphml")


def _geometric() -> Data:
    generator = torch.Generator().manual_seed(0)
    edges = torch.randint(20, (2, 40), generator=generator)
    edges = edges[:, edges[0] != edges[1]].unique(dim=1)
    return Data(x=torch.rand(20, 4, generator=generator), edge_index=edges, y=torch.arange(20) % 2)


def test_geometric_data_is_given_or_saved_without_code(tmp_path: Path) -> None:
    graph = _geometric()
    graph.node_id = torch.arange(100, 120)
    direct = load(graph)
    saved = load(save_geometric(graph, tmp_path / "graph.pt"))
    for data in (direct, saved):
        assert torch.equal(data.graph.edge_index, graph.edge_index)
        assert data.ids[0] == 100
    torch.save(graph, tmp_path / "pickled.pt")
    with pytest.raises(ValueError, match="could run any code; save it without code by"):
        load(tmp_path / "pickled.pt")
    with pytest.raises(FileExistsError):
        save_geometric(graph, tmp_path / "graph.pt")
    many = load([_geometric() for _ in range(3)])
    assert isinstance(many, GraphSet)
    assert len(many) == 3
    for wrong in ([], [1], object()):
        with pytest.raises(ValueError, match="is no graph"):
            load(wrong)


def _kinds(features: bool) -> HeteroData:
    rng, graph = np.random.default_rng(0), HeteroData()
    if features:
        graph["paper"].x = torch.from_numpy(rng.random((30, 5), dtype=np.float32))
    graph["paper"].y = torch.arange(30) % 3
    graph["author"].num_nodes = 20
    graph["author", "writes", "paper"].edge_index = torch.from_numpy(
        np.stack([rng.integers(20, size=50), rng.integers(30, size=50)])
    )
    graph["paper", "cites", "paper"].edge_index = torch.tensor([[0, 1], [1, 2]])
    return graph


@pytest.mark.parametrize("features", [True, False])
def test_general_methods_run_on_graphs_of_several_kinds(features: bool) -> None:
    data = load(_kinds(features))
    assert isinstance(data, LinkedGraph)
    pairs = {*map(tuple, data.graph.edge_index.T.tolist())}
    assert {(0, 1), (1, 0), (1, 2), (2, 1)} <= pairs  # citations, beside sharing an author
    for slug, options in (("grace", {"hidden": 8}), ("bgrl", {"widths": (8, 4)}), ("meow", {})):
        found: Any = embed(build(slug, data, 0, **options), data)
        assert len(found.array) == 30
        assert np.isfinite(found.array).all()
    with pytest.raises(ValueError, match="no nodes of kind 'venue'; it has paper, author"):
        load(_kinds(features), kind="venue")


def test_a_column_tells_kinds_of_nodes_apart(tmp_path: Path) -> None:
    nodes = "id,kind,words,label\n" + "".join(f"a{i},paper,{i / 9:.2f},{i % 2}\n" for i in range(30))
    nodes += "".join(f"b{i},author,,\n" for i in range(10)) + "c0,place,,\n"
    edges = "source,target\n" + "".join(f"b{i % 10},a{i}\n" for i in range(30)) + "a1,a2\nb1,c0\n"
    data = load(tables(tmp_path / "g", nodes, edges))
    assert isinstance(data, LinkedGraph)
    assert [*data.ids[:2]] == ["a0", "a1"]
    assert len(data.ids) == 30
    assert data.links["author"].sum() == 30
    assert "1 edges between nodes of other kinds than paper are not used" in data.notes
    authors = load(tmp_path / "g", kind="author")
    assert isinstance(authors, NodeGraph)
    assert authors.graph.num_node_features == 3  # no features: links to papers and to places, and a one


def test_edges_alone_are_a_graph_of_the_nodes_that_they_name(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    path.write_text(
        "\ufeffsource,target\nann,bob\nbob,cec\ncec,\nann,dan\n" + "".join(f"n{i},ann\n" for i in range(20))
    )
    with pytest.warns(UserWarning, match="1 of 24 edges"):
        found = load(path)
    assert [*found.ids[:3]] == ["ann", "bob", "cec"]
    assert found.graph.edge_index.shape[1] == 2 * 23
    assert found.graph.x.shape[1] > 1
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="has no column smiles"):
        load(path)
