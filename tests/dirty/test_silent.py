"""Data that would train without a word and mean something else: read for what they are, or said."""

from __future__ import annotations

import gzip
import json
import os
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from nearfar import workflow
from nearfar.graph.data import NodeGraph
from nearfar.multimodal.data import CaptionedImages
from nearfar.sources.labels import classed_rows, known, one_label
from nearfar.sources.order import apart
from nearfar.sources.splits import split_of_file
from nearfar.sources.tables import read_table
from nearfar.text import data as texts
from nearfar.training import StepSampler, Training
from nearfar.vision import data as images
from nearfar.vision.data import ImageArray
from nearfar.vision.data.arrays import as_images
from nearfar.vision.data.decode import decode
from nearfar.vision.data.deep import to_bytes
from tests.dirty import corpus

PICTURE = corpus.encoded(corpus.clean(), "PNG")


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PICTURE)


# Parts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (("train", "valid", "test"), ["test", "val"]),
        (("training", "validation"), ["val"]),
        (("Train", "Test"), ["test"]),
        (("TRAINING", "Testing", "Dev"), ["test", "val"]),
        (("train", "val", "valid"), ["val", "valid"]),
        (("train",), []),
    ],
)
def test_parts_of_a_folder_under_their_usual_names_are_held_out(names: Any, held: list[str], tmp_path: Path) -> None:
    for name in names:
        for k in range(4):
            picture(tmp_path / name / ("cat" if k % 2 else "dog") / f"{k}.png")
    data = images.load(tmp_path, size=8)
    assert len(data) == 4
    assert sorted(data.splits()) == held
    assert data.labels is not None
    assert sorted(set(data.labels)) == ["cat", "dog"]
    picture(tmp_path / "more/x.png")
    with pytest.warns(UserWarning, match="1 folders that name no part are left out: more"):
        images.load(tmp_path, size=8)


def test_folders_without_one_for_training_are_classes(tmp_path: Path) -> None:
    for name in ("test", "val", "pretrain"):
        picture(tmp_path / name / "1.png")
    assert len(images.load(tmp_path, size=8)) == 3


@pytest.mark.parametrize(
    "where", ["{part}-0000{i}-of-00002.parquet", "data/{part}-0000{i}.parquet", "plain/{part}/000{i}.parquet"]
)
def test_parts_of_a_folder_of_tables_are_held_out(where: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for part in ("train", "test", "validation"):
        for i in range(2):
            path = tmp_path / where.format(part=part, i=i)
            path.parent.mkdir(parents=True, exist_ok=True)
            schema = pa.schema([("image", pa.binary()), ("label", pa.int64())])
            features = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
            schema = schema.with_metadata({b"huggingface": json.dumps(features).encode()})
            pq.write_table(pa.table({"image": [PICTURE] * 3, "label": [0, 1, -1]}, schema=schema), path)
    data = images.load(tmp_path, size=8)
    assert len(data) == 6
    assert {name: len(part) for name, part in data.splits().items()} == {"test": 6, "val": 6}
    assert data.labels is not None
    assert data.labels.tolist() == ["cat", "dog", ""] * 2


def test_names_of_files_that_name_a_part() -> None:
    found = {
        n: split_of_file(Path(n)) for n in ("train.csv", "Train_images.csv", "trainer.csv", "x/test/0.csv", "a.csv")
    }
    assert [*found.values()] == ["train", "train", None, "test", None]


# Folders ----------------------------------------------------------------------------------------------------


def test_what_tools_leave_behind_is_no_class_and_links_are_followed_once(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("cat/1.png", "dog/1.png", "cat/.ipynb_checkpoints/1.png", ".Trash-1000/files/old.png", "cat/@eaDir/1.png/T.png",  # noqa: E501
                 "__MACOSX/cat/1.png", "cat/._1.png", "#recycle/1.png", "cat/.hidden.png"):  # fmt: skip
        picture(root / name)
    picture(tmp_path / "store/bird/1.png")
    picture(tmp_path / "store/bird/deep/2.png")
    (root / "bird").symlink_to(tmp_path / "store/bird")
    (root / "again").symlink_to(root / "cat")
    (root / "up").symlink_to(tmp_path)
    (root / "dog/loop").symlink_to(root)
    (root / "bird2").symlink_to(tmp_path / "store/bird")
    with pytest.warns(UserWarning, match=r"were passed over: 1 links to folders around it; read are"):
        data = images.load(root, size=8)
    assert data.labels is not None
    assert sorted(set(data.labels)) == ["bird", "bird/deep", "cat", "dog"]
    assert len(data) == 4


def test_files_of_other_formats_are_counted_and_jpeg_is_read_by_all_its_names(tmp_path: Path) -> None:
    for k, suffix in enumerate((".jfif", ".JPE", ".jpg", ".CR2", ".cr2", ".svg", ".mp4", ".txt", ".csv", "")):
        (tmp_path / f"{k}{suffix}").write_bytes(corpus.encoded(corpus.clean(), "JPEG"))
    with pytest.warns(UserWarning, match=r"were passed over: 2 \.cr2, 1 \.svg, 1 \.mp4; read are \.jpg"):
        assert len(images.load(tmp_path, size=8)) == 3


# Depth ------------------------------------------------------------------------------------------------------

RAMP = np.tile(np.linspace(0, 1, 256), (32, 1))


@pytest.mark.parametrize("top", [4095, 3000, 65535, 20000])
@pytest.mark.parametrize("form", ["grey.png", "grey.tif", "colour.png", "colour.tif"])
def test_scans_keep_their_depth(top: int, form: str, tmp_path: Path) -> None:
    values = np.round(RAMP * top).astype(np.uint16)
    if form.startswith("colour"):
        values = np.stack([values, values // 2, values * 0], -1)[..., ::-1]  # OpenCV's order
    cv2.imwrite(str(tmp_path / form), values)
    found = decode(tmp_path / form)
    scale = 4095 if top <= 4095 else 65535
    assert np.abs(found[..., 0] - values.reshape(32, 256, -1)[..., -1] / scale * 255.0).max() <= 1
    assert len(np.unique(found[..., 0])) > (60 if top == 20000 else 150)
    if form.startswith("colour"):
        assert np.abs(found[..., 1] * 2.0 - found[..., 0]).max() <= 2
        assert found[..., 2].max() == 0


def test_signed_fractional_and_larger_values_have_a_rule() -> None:
    assert to_bytes(np.array([-1000, 0, 3000]), whole=True).tolist() == [0, 63, 255]
    assert to_bytes(np.array([0.0, 0.5, 1.0]), whole=False).tolist() == [0, 127, 255]
    assert to_bytes(np.array([0.0, 2.0, 4.0]), whole=False).tolist() == [0, 127, 255]
    assert to_bytes(np.array([0, 10**6]), whole=True).tolist() == [0, 255]
    assert to_bytes(np.array([np.nan, np.inf, 1.0]), whole=False).tolist() == [0, 0, 255]
    assert to_bytes(np.zeros(3), whole=True).tolist() == [0, 0, 0]


# Labels -----------------------------------------------------------------------------------------------------


def test_label_matrices_are_read_right_or_said() -> None:
    truth = np.arange(12) % 3
    for form in (np.eye(3)[truth], np.eye(3, dtype=bool)[truth], truth[:, None], truth):
        assert np.array_equal(one_label(form), truth)
    for form in (np.eye(3)[truth] + np.eye(3)[0], np.full((12, 3), 1 / 3), np.zeros((12, 14))):
        with pytest.warns(UserWarning, match="say several things of each example"):
            assert one_label(form) is None
    data = ImageArray(np.zeros((12, 8, 8), np.uint8), np.eye(3)[truth])
    assert np.array_equal(data.labels, truth)


def test_rows_without_a_label_are_no_class() -> None:
    assert known(np.array([0, -1, 2])).tolist() == [True, False, True]
    assert known(np.array([0.0, np.nan])).tolist() == [True, False]
    assert known(np.array(["a", "", " "])).tolist() == [True, False, False]
    assert classed_rows(np.array([0, 0, 1, 1, -1]), "x").tolist() == [0, 1, 2, 3]
    assert len(classed_rows(None, "x")) == 0
    for labels, reason in (
        (np.arange(10), "name 10 classes of 10 examples"),
        (np.random.default_rng(0).random(100), "numbers to predict"),
        (np.zeros(5), "one class only"),
        (np.full(5, -1), "no class"),
    ):
        with pytest.warns(UserWarning, match=rf"nothing is measured by the labels of x: they .*{reason}"):
            assert len(classed_rows(labels, "x")) == 0


@pytest.mark.parametrize(
    ("labels", "measured"),
    [
        (np.random.default_rng(0).random(40), False),
        (np.arange(40), False),
        (np.arange(40) % 4, True),
        (np.where(np.arange(40) < 36, np.arange(40) % 4, -1), True),
        (np.full(40, -1), False),
        (None, False),
    ],
)
def test_any_labels_leave_the_geometry_and_a_reason(labels: Any, measured: bool, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method, _ = workflow.train("simclr", data=x, arguments={"encoder": "small-conv"},
                                   training=Training(steps=1, batch_size=8, monitor_every=-1), progress=False)  # fmt: skip  # noqa: E501
        for count in (40, 3, 2):
            data = ImageArray(x[:count], None if labels is None else labels[:count])
            found = workflow.measure(workflow.trainable("simclr"), method, data)
            if count == 40:
                assert ("knn test" in found) == measured
                assert np.isfinite(found["effective_rank"])


# Graphs -----------------------------------------------------------------------------------------------------

EDGES = np.array([[0, 1], [1, 2]])


def test_signed_features_keep_what_they_are() -> None:
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    signed = NodeGraph(x, EDGES)
    assert not signed.normalized
    assert np.array_equal(signed.graph.x.numpy(), x)
    counts = NodeGraph(np.abs(x), EDGES)
    assert counts.normalized
    assert np.allclose(counts.graph.x.sum(1), 1)
    assert np.array_equal(NodeGraph(np.abs(x), EDGES, normalize=False).graph.x.numpy(), np.abs(x))
    with pytest.raises(ValueError, match="signed features cannot be divided by their sums"):
        NodeGraph(x, EDGES, normalize=True)


# Channels and single pictures -------------------------------------------------------------------------------


def test_a_channel_or_a_picture_is_not_lost_without_a_word() -> None:
    x = np.random.default_rng(0).integers(0, 255, (4, 8, 8, 4), dtype=np.uint8)
    with pytest.warns(UserWarning, match="fourth channel of the images varies and is dropped"):
        as_images(x)
    x[..., 3] = 255
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_images(x).shape == (4, 8, 8, 3)
        assert as_images(x[0]).shape == (1, 8, 8, 3)
        assert as_images(x[0, ..., :3]).shape == (1, 8, 8, 3)
        assert as_images(x[..., 0]).shape == (4, 8, 8, 3)
        assert as_images(np.zeros((9, 28, 28))).shape == (9, 28, 28, 3)


# Tables -----------------------------------------------------------------------------------------------------


def test_quotation_marks_in_tsv_are_characters(tmp_path: Path) -> None:
    rows = [
        "plain\tb",
        '"Hello, she said\ta',
        'they said "x"\tb',
        '"Bye" he said\tc',
        '"a ""b"" c"\td',
        '"\te',
        '""\tf',
        'end"\tg',
    ]
    path = tmp_path / "a.tsv"
    path.write_text("\n".join(["text\tlabel", *rows]) + "\n")
    table = read_table(path)
    assert table.columns["text"] == [
        "plain",
        '"Hello, she said',
        'they said "x"',
        '"Bye" he said',
        'a "b" c',
        '"',
        "",
        'end"',
    ]
    assert table.columns["label"] == list("babcdefg")
    assert not table.bad


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("at", [0, 3, 28, 29])
def test_an_open_quotation_mark_swallows_no_other_row(closed: bool, at: int, tmp_path: Path) -> None:
    rows = [f"line {k},b" for k in range(30)]
    rows[at] = '"Hello she said,a'
    if closed and at < 28:
        rows[29] = 'bye" he said,c'
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    table = read_table(path)
    assert len(table.places) == 29 if not (at == 29) else len(table.places) >= 29  # noqa: SIM201
    assert all("\n" not in text for text in table.columns["text"])
    assert len(table.places) + len(table.bad) == 30


def test_cells_of_several_lines_are_one_cell(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"one\ntwo, three\nfour",a\nb,c\n"with ""quotes"" and, comma",d\r\n"last\n\nline",e\n')
    table = read_table(path)
    assert table.columns["text"] == ["one\ntwo, three\nfour", "b", 'with "quotes" and, comma', "last\n\nline"]
    assert table.places == ["line 2", "line 5", "line 6", "line 7"]
    assert not table.bad


@pytest.mark.parametrize(
    "name", ["c.ndjson", "c.jsonl", "c.NDJSON", "c.jsonl.gz", "c.txt.gz", "c.csv.gz", "c.json.gz", "c.tsv"]
)
def test_rows_under_every_usual_name(name: str, tmp_path: Path) -> None:
    said = [f"sentence {k}" for k in range(10)]
    lower = name.lower()
    if ".txt" in lower:
        content = "\n".join(said)
    elif ".csv" in lower or ".tsv" in lower:
        content = "text\n" + "\n".join(said)
    elif ".json." in lower:
        content = json.dumps([{"text": s} for s in said])
    else:
        content = "\n".join(json.dumps({"text": s}) for s in said)
    (tmp_path / name).write_bytes(gzip.compress(content.encode()) if lower.endswith(".gz") else content.encode())
    assert texts.load(tmp_path / name).sentences == said


def test_a_packed_file_that_is_damaged_or_a_bomb_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"abc\n" * 100)[:-10])
    with pytest.raises(ValueError, match=r"a\.txt\.gz cannot be unpacked by gzip"):
        texts.load(path)
    path.write_bytes(gzip.compress(bytes(1 << 20)))
    monkeypatch.setattr("nearfar.sources.tables.room", lambda: 1 << 20)
    with pytest.raises(ValueError, match="unpacks to more than 104,857 bytes"):
        texts.load(path)


def test_second_columns_are_used_and_others_said(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("sentence1,sentence2,score\n" + "".join(f"a {k},b {k},{k % 5}\n" for k in range(20)))
    with pytest.warns(UserWarning, match="two columns of sentences: pairs with scores, for evaluation, and both"):
        data: Any = texts.load(path)
    assert len(data) == 40
    assert data.pairs[2].tolist() == [k % 5 for k in range(20)]
    path.write_text("query,pos,neg,source\nq,p,n,s\n")
    with pytest.warns(
        UserWarning, match="read query as sentence, pos as positive, neg as negative; left out are source"
    ):
        data = texts.load(path)
    assert (data.sentences, data.positives, data.negatives) == (["q"], ["p"], ["n"])
    path.write_text("review,stars\na,1\nb,2\n")
    with pytest.warns(UserWarning, match="left out are stars"):
        texts.load(path)
    data = texts.load(path, label_column="stars", text_column="Review")
    assert data.labels.tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"pairs\.csv has no column 'body'; its columns are review, stars"):
        texts.load(path, text_column="body")


def test_folders_of_texts_and_tables_in_memory(tmp_path: Path) -> None:
    import pandas as pd

    for name in ("pos/1.txt", "pos/2.txt", "neg/1.txt", ".cache/x.txt"):
        (tmp_path / "reviews" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "reviews" / name).write_text(f"about {name}\nand more")
    data: Any = texts.load(tmp_path / "reviews")
    assert len(data) == 3
    assert data.labels.tolist() == ["neg", "pos", "pos"]
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/train.csv").write_text("text\na\nb\n")
    (tmp_path / "parts/test.csv").write_text("text\nc\n")
    data = texts.load(tmp_path / "parts")
    assert (len(data), {k: len(v) for k, v in data.splits().items()}) == (2, {"test": 1})
    for table in ({"text": ["a", "b"], "label": [0, 1]}, pd.DataFrame({"text": ["a", "b"], "label": [0, 1]})):
        data = texts.load(table)
        assert (data.sentences, data.labels.tolist()) == (["a", "b"], [0, 1])
    assert texts.load(np.array(["a", "b"])).sentences == ["a", "b"]
    for wrong in (3, {"text": ["a"], "label": []}, ["a", 3], {"x": ["a"]}):
        with pytest.raises((TypeError, ValueError), match=r"sentences|column|string"):
            texts.load(wrong)


# Equal examples, and single ones ----------------------------------------------------------------------------


@pytest.mark.parametrize(("copies", "kinds", "batch"), [(8, 4, 4), (2, 60, 32), (5, 100, 64), (1, 40, 40)])
def test_equal_texts_are_kept_apart(copies: int, kinds: int, batch: int) -> None:
    sentences = [f"s{k}" for k in range(kinds)] * copies
    pairs = CaptionedImages(np.zeros((len(sentences), 4, 4), np.uint8), sentences)
    for data in (texts.Sentences(sentences), pairs):
        met = 0
        for rows in StepSampler(len(data), batch, 40, seed=0, order=data.order):
            met += len({sentences[row] for row in rows}) < len(rows)
        assert met == 0 if batch <= kinds // 2 or copies == 8 else met <= 10


def test_an_order_has_every_example_once_and_is_a_permutation_without_copies() -> None:
    values = [str(v) for v in np.random.default_rng(0).integers(0, 30, 200)]
    for seed in range(3):
        order = apart(values, np.random.default_rng(seed))
        assert sorted(order) == list(range(200))
        assert np.array_equal(order, apart(values, np.random.default_rng(seed)))
    alone = [str(v) for v in range(50)]
    assert np.array_equal(apart(alone, np.random.default_rng(1)), np.random.default_rng(1).permutation(50))


def test_one_example_is_refused_by_one_sentence(tmp_path: Path) -> None:
    picture(tmp_path / "one/1.png")
    (tmp_path / "one.txt").write_text("hello there\n")
    cases = [
        ("simclr", tmp_path / "one"),
        ("simcse", tmp_path / "one.txt"),
        ("simcse", ["same"] * 50),
        ("byol", np.zeros((1, 8, 8))),
    ]
    for method, data in cases:
        with pytest.raises(ValueError, match=r"holds one example( 50 times)?, and there is nothing to tell it from"):
            workflow.train(method, data=data, out=tmp_path / "run", progress=False)
        assert not (tmp_path / "run").exists()
    assert os.listdir(tmp_path / "one") == ["1.png"]
