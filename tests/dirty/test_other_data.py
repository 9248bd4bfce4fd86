"""Text, tables, graphs, pairs and archives that hold anything."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearfar.cli import main
from nearfar.graph import data as graphs
from nearfar.multimodal import data as pairs
from nearfar.sources.archives import read_npz
from nearfar.sources.skipped import BadDataError
from nearfar.sources.tables import read_table
from nearfar.text import data as texts
from nearfar.vision import data as images
from tests.dirty import corpus

# Text -------------------------------------------------------------------------------------------------------

GOOD_LINES = ["one", "two words", "трое", "四", "a\u2028b\x0bc\x85d", "one", "سلام", "👩\u200d👧", "x" * 99_999, "last"]
BAD_LINES = {b"caf\xe9": "0xe9 at position 4", b"nul\0byte": "NUL", b"y" * 10_000_000: "10,000,000 characters"}


def write_lines(path: Path, end: bytes = b"\n", start: bytes = b"") -> dict[str, str]:
    """Good and bad lines in turn, with empty ones between; the bad by place."""
    lines: list[bytes] = []
    bad = {}
    others = iter(BAD_LINES.items())
    for line in GOOD_LINES:
        lines += [line.encode(), b"", b"  \t"]
        if found := next(others, None):
            lines.append(found[0])
            bad[f"line {len(lines)}"] = found[1]
    path.write_bytes(start + end.join(lines))
    return bad


@pytest.mark.parametrize(("end", "start"), [(b"\n", b""), (b"\r\n", b"\xef\xbb\xbf")])
def test_lines_of_any_bytes(tmp_path: Path, end: bytes, start: bytes) -> None:
    bad = write_lines(tmp_path / "lines.txt", end, start)
    with pytest.warns(UserWarning, match=r"3 of 13 sentences of .*lines\.txt were left out, the first: line 4: byte"):
        data = texts.load(tmp_path / "lines.txt", max_bad=0.3)
    assert data.sentences == GOOD_LINES
    assert set(data.skipped) == set(bad)
    assert all(part in data.skipped[place] for place, part in bad.items())
    with pytest.raises(BadDataError, match=r"^3 of 13 sentences .* share of 0\.1 .* line 4: byte 0xe9"):
        texts.load(tmp_path / "lines.txt")
    with pytest.raises(BadDataError, match=r"^line 4 cannot be used: byte 0xe9"):
        texts.load(tmp_path / "lines.txt", strict=True)


def test_utf16_is_read_by_its_mark_and_files_without_sentences_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("eins\r\nzwei ü\r\n".encode("utf-16"))
    assert texts.load(path).sentences == ["eins", "zwei ü"]
    for content in (b"", b"\n\n \r\n", b"\xef\xbb\xbf"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.txt holds no sentence"):
            texts.load(path)
    path.write_bytes("latin ü\nfiancé\n".encode("latin-1"))
    with pytest.raises(BadDataError, match=r"2 of 2 .* line 1: byte 0xfc at position 7 is not UTF-8"):
        texts.load(path)


TABLES: dict[str, tuple[bytes, list[str], set[str]]] = {
    "ragged.csv": (b"sentence,label\na,1\nb\nc,2,3\n\n\"d\ne\",4\nf,5\n", ["a", "d\ne", "f"], {"line 3", "line 4"}),
    "bytes.csv": (b"\xef\xbb\xbfText,label\r\na,1\r\n\xff,2\r\n,3\r\nb\0,4\r\n  ,5\r\n", ["a"],
                  {f"line {n}" for n in (3, 4, 5, 6)}),
    "tabs.tsv": (b"id\tsentence\n1\tNA\n2\tnull\n3\t12\n", ["NA", "null", "12"], set()),
    "lines.jsonl": (b'{"text": "a"}\n\n[1]\n{"text": 3}\n"x"\n{"text": null}\n{"x": 1}\nnot\n' + b"[" * 99_999 + b"\n",
                    ["a"], {f"line {n}" for n in (3, 4, 5, 6, 7, 8, 9)}),
    "list.json": (b'[{"Sentence": "a", "label": "x"}, 3, {"sentence": "\\ud800"}, "b"]', ["a"],
                  {"row 1", "row 2", "row 3"}),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_with_bad_rows(name: str, tmp_path: Path) -> None:
    content, sentences, bad = TABLES[name]
    (tmp_path / name).write_bytes(content)
    if bad:
        with pytest.warns(UserWarning, match="left out"):
            data = texts.load(tmp_path / name, max_bad=0.9)
    else:
        data = texts.load(tmp_path / name)
    assert data.sentences == sentences
    assert set(data.skipped) == bad
    assert data.labels is None or len(data.labels) == len(sentences)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "holds no rows"),
        ("a.csv", b"sentence\n", "holds no rows"),
        ("a.csv", b"x,y\n1,2\n", "no column of sentences: its columns are x, y; expected sentence"),
        ("a.json", b"{", "is no JSON"),
        ("a.json", b'{"sentence": "a"}', "holds a dict; expected a list"),
        ("a.json", b"[" * 99_999, "is no JSON"),
        ("a.parquet", b"PAR1", "cannot be read as parquet"),
        ("a.csv", b"\xff\xfea\0b", "begins like UTF-16 and is not"),
    ],
)
def test_files_that_are_no_tables(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}.*{message}"):
        texts.load(tmp_path / name)


def test_a_missing_partner_makes_a_triplet_unusable(tmp_path: Path) -> None:
    rows = [{"anchor": f"a{i}", "positive": f"p{i}", "negative": f"n{i}" if i else None} for i in range(12)]
    (tmp_path / "t.json").write_text(json.dumps(rows))
    with pytest.warns(UserWarning, match="row 0: the text is missing"):
        data = texts.load(tmp_path / "t.json")
    assert data.batch(np.array([0])).positives == ["p1"]
    assert read_table(tmp_path / "t.json").places[11] == "row 11"


def test_skipped_lines_are_listed_in_the_run(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    path.write_bytes(b"\n".join([b"a sentence of words %d" % i for i in range(20)] + [b"\xff"]))
    words = ["--steps", "1", "--batch-size", "8", "--encoder", "tiny-bert", "--preset", "laptop"]
    assert main(["train", "simcse", "--data", str(path), "--out", str(tmp_path / "run"), *words]) == 0
    listed = (tmp_path / "run" / "skipped.tsv").read_text().splitlines()
    assert listed[1].startswith("line 21\tbyte 0xff")


# Graphs -----------------------------------------------------------------------------------------------------

X, EDGES = np.eye(4, dtype=np.float32), np.array([[0, 1, 1, 2], [1, 0, 2, 1]])


def test_nodes_without_edges_stay_and_repetitions_and_loops_go(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", x=X, edge_index=np.concatenate([EDGES, [[0, 3, 1], [1, 3, 0]]], 1))
    with pytest.warns(UserWarning, match="1 loops from a node to itself and 2 repeated edges of 7 edges were left out"):
        data = graphs.load(tmp_path / "g.npz")
    assert data.graph.edge_index.tolist() == EDGES.tolist()
    assert data.graph.num_nodes == 4
    np.savez(tmp_path / "g.npz", x=X, edge_index=np.zeros((2, 0)))
    assert graphs.load(tmp_path / "g.npz").graph.num_edges == 0


SPARSE = {"x_data": [1.0], "x_indices": [0], "x_indptr": [0, 1, 1], "x_shape": [2, 2]}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"edge_index": EDGES}, "no node features"),
        ({"x": X}, "no edges"),
        ({"x": X, "edge_index": EDGES.T}, r"expected x \(N, F\) and edge_index \(2, E\)"),
        ({"x": X, "edge_index": EDGES + 2}, "names nodes 2 to 4 of a graph of 4"),
        ({"x": X, "edge_index": EDGES - 1}, "names nodes -1 to 1"),
        ({"x": X, "edge_index": EDGES + 0.5}, "edge_index whole numbers, got float32 and float64"),
        ({"x": X.astype(str), "edge_index": EDGES}, "must be numbers"),
        ({"x": np.where(X > 0, np.nan, X), "edge_index": EDGES}, "4 nodes are NaN or infinite, the first is node 0"),
        ({"x": X.astype(np.float64) * 1e300, "edge_index": EDGES}, "NaN or infinite"),
        ({"x": X[:0], "edge_index": EDGES[:, :0]}, "0 nodes with 4 features"),
        ({"x": X[:, :0], "edge_index": EDGES}, "4 nodes with 0 features"),
        ({"x": X, "edge_index": EDGES, "y": [1, 2]}, "y has 2 labels for 4 nodes"),
        ({"x": X, "edges": EDGES[0]}, r"edges must have shape \(2, E\)"),
        ({**SPARSE, "x_indices": [9], "edges": EDGES[:, :1]}, "indices must be < 2"),
        ({**SPARSE, "x_shape": [10**9, 10**9], "edges": EDGES[:, :1]}, "x_shape is"),
        ({"x": np.array([{}], dtype=object), "edge_index": EDGES}, "Python objects, which only unpickling"),
    ],
)
def test_arrays_that_are_no_graph(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", **arrays)
    with pytest.raises(ValueError, match=rf"g\.npz.*{message}"):
        graphs.load(tmp_path / "g.npz")


# Pairs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_pairs_without_a_picture_or_a_caption_are_left_out(suffix: str, tmp_path: Path) -> None:
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(corpus.encoded(corpus.clean(20 + i, 30), "PNG"))
    (tmp_path / "cut.png").write_bytes(corpus.damaged_inside())
    rows = [(f"{i}.png", f"picture {i}") for i in range(6)]
    rows[3:3] = [("gone.png", "x"), ("cut.png", "x"), ("1.png", ""), ("", "x"), (".", "x")]
    table = tmp_path / f"pairs.{suffix}"
    if suffix == "csv":
        table.write_text("\n".join(["Image,Caption", *(f"{a},{b}" for a, b in rows)]))
    else:
        entries = [json.dumps({"image": a, "caption": b}) for a, b in rows]
        table.write_text("\n".join(entries) if suffix == "jsonl" else f"[{','.join(entries)}]")
    with pytest.warns(UserWarning, match="5 of 11 pairs"):
        data = pairs.load(table, size=16, max_bad=0.5)
    assert data.captions == [f"picture {i}" for i in range(6)]
    first = 3 if suffix == "json" else 5 if suffix == "csv" else 4
    assert [int(place.split()[1]) for place in data.skipped] == [*range(first, first + 5)]
    assert "gone.png: the link leads nowhere, or the file is gone" in data.skipped.values()
    with pytest.raises(BadDataError, match="gone"):
        pairs.load(table, size=16, strict=True)
    with pytest.raises(BadDataError, match="5 of 11 pairs"):
        pairs.load(table, size=16)


def test_a_table_of_encoded_pictures_with_bad_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    good = corpus.encoded(corpus.clean(), "PNG")
    cells = [good, b"", None, corpus.damaged_inside(), good, good]
    captions = ["a", "b", "c", "d", None, "f"]
    pq.write_table(pa.table({"image": cells, "caption": captions, "label": [0, 1, 2, 3, 4, 5]}), tmp_path / "t.parquet")
    with pytest.warns(UserWarning, match="3 of 6 rows"):
        alone = images.load(tmp_path / "t.parquet", size=16, max_bad=0.5)
    assert alone.labels.tolist() == [0, 4, 5]
    with pytest.warns(UserWarning, match="4 of 6 rows"):
        found = pairs.load(tmp_path / "t.parquet", size=16, max_bad=0.7)
    assert found.captions == ["a", "f"]
    assert found.labels.tolist() == [0, 5]
    assert set(found.skipped) == {"row 1", "row 2", "row 3", "row 4"}
    with pytest.raises(BadDataError, match="row 1 cannot be used"):
        images.load(tmp_path / "t.parquet", strict=True)


# Archives ---------------------------------------------------------------------------------------------------


def claiming(path: Path, shape: tuple[int, ...], size: int | None = None) -> Path:
    """An archive whose only array claims a shape and, in the archive's directory, a size; it holds nothing."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue())
    if size is not None:
        raw = bytearray(path.read_bytes())
        at = raw.rindex(b"PK\x01\x02")
        raw[at + 24 : at + 28] = size.to_bytes(4, "little")
        path.write_bytes(bytes(raw))
    return path


def test_archives_that_are_none_or_claim_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.npz"
    whole = tmp_path / "whole.npz"
    np.savez(whole, x=np.arange(5000))
    contents = [b"", b"PK", whole.read_bytes()[:-100], pickle.dumps({"x": 1}), b"\x93NUMPY\x01\x00"]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz is no \.npz archive"):
            read_npz(path)
    spoilt = bytearray(whole.read_bytes())
    spoilt[9000:9100] = bytes(100)
    path.write_bytes(bytes(spoilt))
    with pytest.raises(ValueError, match=r"a\.npz, array 'x' is damaged"):
        read_npz(path)
    for shape in ((10**13,), (-1,), (10**6, 10**7)):
        with pytest.raises(ValueError, match=r"a\.npz, array 'x' cannot be read"):
            read_npz(claiming(path, shape))
    monkeypatch.setattr("os.sysconf", lambda name: 1000)
    with pytest.raises(ValueError, match=r"claims 2\.1 GB, more than the"):
        read_npz(claiming(path, (3,), size=2**31))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 4, 4, 3), object)}, "Python objects, which only unpickling"),
        ({"images": np.zeros((2, 4, 4, 3), complex)}, "must be numbers"),
        ({"images": np.zeros((2, 4, 4, 3), "U1")}, "must be numbers"),
        ({"images": np.zeros((2, 4, 4, 3), "V3")}, "expected numbers or strings"),
        ({"images": np.zeros((2, 4)), "labels": [0, 1]}, "must have shape"),
        ({"images": np.zeros((2, 4, 4)), "labels": 3}, "labels has 1 entries for 2 images"),
        ({"images": np.zeros((2, 4, 4)), "labels": [1j, 2]}, "labels must be one number or name"),
    ],
)
def test_arrays_that_are_no_images(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "i.npz", **arrays)
    with pytest.raises(ValueError, match=rf"i\.npz.*{message}"):
        images.load(tmp_path / "i.npz")
