"""BiSND: long ids, positions in masks, loops, and what is wrong in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nearfar.graph.data import load
from nearfar.graph.data.bisnd import BiSND
from nearfar.reproductions.arms import build

IDS = [1234567890123456789, 1234567890123456788, 7, 42]


def folder(path: Path, name: str = "directed") -> Path:
    """Four users; the first two ids are one number when they are read as decimal ones."""
    place = path / name
    place.mkdir()
    rows = "".join(f"{i},{n},{n * n * 1000}\n" for n, i in enumerate(IDS))
    (place / "features.csv").write_text("node_id,friends,likes\n" + rows)
    (place / "labels.csv").write_text("node_id,label\n" + "".join(f"{i},{n % 2}\n" for n, i in enumerate(IDS)))
    (place / "edges.csv").write_text(f"source,target\n{IDS[0]},{IDS[1]}\n7,7\n42,{IDS[0]}\n")
    (place / "train_mask.csv").write_text("node_id\n0\n1\n2\n")
    (place / "test_mask.csv").write_text("node_id\n3\n")
    return place


def test_ids_keep_all_digits_and_rows_are_sorted(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="1 loops"):
        found = load(folder(tmp_path))
    assert isinstance(found, BiSND)
    assert found.ids.tolist() == sorted(IDS)
    assert found.labels.tolist() == [0, 1, 1, 0]
    assert sorted(map(tuple, found.graph.edge_index.T.tolist())) == [(1, 3), (3, 2)]
    assert found.masks["train"].tolist() == [True, True, True, False]
    x = found.graph.x.numpy()
    np.testing.assert_allclose(x[:3].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(x[:3].std(0), 1, atol=1e-6)
    method = build("grace", found, 0, hidden=4)
    with method.frozen():
        assert method.encode(found.graph).shape == (4, 4)


def test_undirected_folders_have_both_directions(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="loops"):
        found = BiSND(folder(tmp_path, "undirected"), log=True)
    assert found.graph.edge_index.shape[1] == 4
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "features.csv").write_text("node_id,a\n3,1\n1,2\n")
    found = BiSND(bare)
    assert found.labels is None
    assert found.graph.edge_index.shape == (2, 0)


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("features.csv", "node_id,a\n1,x\n", "no number"),
        ("features.csv", "node_id,a\n1,2\n1,3\n", "names a user twice: 1"),
        ("features.csv", "user,a\n1,2\n", "no column node_id"),
        ("edges.csv", "source,target\n7,99\n", "1 users without features, the first is 99"),
        ("edges.csv", "source,target\n7,1.5\n", "no whole number"),
        ("train_mask.csv", "node_id\n9\n", "positions 9 to 9 of 4 users"),
    ],
)
def test_wrong_files_get_one_sentence(file: str, content: str, expected: str, tmp_path: Path) -> None:
    place = folder(tmp_path)
    (place / file).write_text(content)
    with pytest.raises(ValueError, match=expected):
        BiSND(place)
