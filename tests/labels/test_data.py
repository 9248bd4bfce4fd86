"""Labelled pictures from folders, tables and streams; long tails, hierarchies, hidden labels; what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearfar.labels.data import EMBEDDED, AttributeFeatures, LabelledImages, SamePlace, check_tree, load, long_tail
from nearfar.sources.tasks import Tasks


def picture(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((12, 12, 3), value, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("ant", "bee", "cat", "dog")):
        for k in range(4 + number):
            picture(tmp_path / "pictures" / name / f"{k}.png", 20 * number + k)
    return tmp_path / "pictures"


def test_class_folders_become_numbers_that_are_counted(folder: Path) -> None:
    data = load(folder, size=8)
    assert isinstance(data, LabelledImages)
    assert [str(c) for c in data.classes] == ["ant", "bee", "cat", "dog"]
    assert data.counts.tolist() == [4, 5, 6, 7]
    batch = data.batch(np.array([0, 5, 21]))
    assert batch.labels.tolist() == [0, 1, 3]
    assert batch.pictures.images.shape == (3, 3, 8, 8)


def test_a_folder_becomes_a_stream_of_tasks(folder: Path, tmp_path: Path) -> None:
    stream = load(folder, size=8, tasks=2)
    assert isinstance(stream, Tasks)
    assert [len(task) for task in stream.tasks] == [9, 13]
    assert stream.facts["num_tasks"] == 2
    assert stream.facts["num_classes"] == 4
    for number, names in enumerate((("ant", "bee"), ("cat", "dog"))):
        for name in names:
            for k in range(3):
                picture(tmp_path / "stream" / f"task {number + 1}" / name / f"{k}.png", k)
    own = load(tmp_path / "stream", size=8)
    assert isinstance(own, Tasks)
    assert np.concatenate([np.asarray(t.labels) for t in own.tasks]).tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    with pytest.raises(ValueError, match="4 labelled classes, which make 2 to 4 tasks, not 9"):
        load(folder, tasks=9)
    with pytest.raises(ValueError, match="is a stream of 2 tasks and stays one"):
        load(tmp_path / "stream", tasks=3)


def table(folder: Path, text: str, name: str = "t.csv") -> Path:
    for k in range(6):
        picture(folder / "p" / f"{k}.png", 30 * k)
    (folder / name).write_text(text)
    return folder / name


def test_a_table_has_levels_positions_places_splits_and_unknown_labels(tmp_path: Path) -> None:
    rows = [
        "path,level1,level2,depth,latitude,longitude,place,split",
        "p/3.png,dog,poodle,0.5,10,20,a,train",
        "p/0.png,cat,tabby,0.1,-10,170,b,train",
        "p/1.png,cat,,0.2,-10,170,b,train",
        "p/2.png,dog,beagle,0.3,1,2,c,test",
    ]
    data = load(table(tmp_path, "\n".join(rows)), size=8)
    assert isinstance(data, SamePlace)
    assert [str(c) for c in data.classes] == ["beagle", "poodle", "tabby"]
    assert data.seen.tolist() == [2, -1, 1]
    assert data.marks["levels"].tolist() == [[0, 2], [0, -1], [1, 1]]
    assert data.marks["coordinates"].tolist() == [[-10, 170], [-10, 170], [10, 20]]
    assert data.marks["position"].ravel().tolist() == pytest.approx([0.1, 0.2, 0.5])
    batch = data.batch(np.array([0, 2]))
    assert batch.pictures.images.shape == (2, 2, 3, 8, 8), "each with another picture of its place"
    assert int(batch.pictures.images[0, 1, 0, 0, 0]) == 30
    assert int(batch.pictures.images[1, 1, 0, 0, 0]) == 90, "alone at its place"
    assert len(data.splits()["test"]) == 1


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("name,label\np/0.png,a\n", {}, "has no column of files; name it path"),
        ("path,label\np/0.png,\np/1.png,\n", {}, "all labels in .* are missing"),
        ("path,label\np/0.png,a\np/0.png,b\n", {}, "names p/0.png twice, in line 2 and line 3"),
        (
            "path,level1,level2\np/0.png,a,x\np/1.png,b,x\n",
            {},
            "are no tree: class x of level2 lies in classes a and b of level1",
        ),
        ("path,label,depth\np/0.png,a,deep\n", {}, "the column depth must hold numbers"),
        ("path,label,latitude\np/0.png,a,3\n", {}, "needs both latitude and longitude"),
        ("path,label,split\np/0.png,a,test\n", {}, "has no picture for training"),
        ("path,label,domain\np/0.png,a,moon\n", {}, "domain must be source or target"),
        ("path,label\np/0.png,a\n", {"levels": "a,b"}, "has no column a"),
    ],
)
def test_wrong_tables_get_one_sentence(tmp_path: Path, text: str, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load(table(tmp_path, text), size=8, **options)


def test_other_wrong_input_gets_one_sentence(tmp_path: Path) -> None:
    picture(tmp_path / "one" / "a" / "0.png", 0)
    picture(tmp_path / "one" / "b" / "0.png", 0)
    picture(tmp_path / "one" / "b" / "1.png", 0)
    with pytest.raises(ValueError, match="the class a of one has one picture"):
        load(tmp_path / "one")
    with pytest.raises(FileNotFoundError, match="no embedded data of that name"):
        load("nowhere")
    with pytest.raises(ValueError, match="no tree"):
        check_tree(np.array([[0, 1], [1, 1]]))
    with pytest.raises(ValueError, match="holds features"):
        load("attribute-features", tasks=2)
    with pytest.raises(ValueError, match="1 to all may be known"):
        load("labelled-digits", size=8, old_classes=11)
    with pytest.raises(ValueError, match="in training"):
        AttributeFeatures(np.ones((2, 2)), np.arange(2), np.ones((2, 3)), splits={"unseen": (np.ones((1, 2)), [0])})


def test_a_long_tail_keeps_what_it_says() -> None:
    labels = np.repeat(np.arange(5), 100)
    kept = long_tail(labels, 100.0)
    assert np.bincount(labels[kept]).tolist() == [100, 31, 10, 3, 2]
    assert np.bincount(labels[long_tail(labels, 10.0, kind="step")]).tolist() == [100, 100, 100, 10, 10]
    assert np.array_equal(kept, long_tail(labels, 100.0))
    with pytest.raises(ValueError, match="ratio of at least 1"):
        long_tail(labels, 0.01)


def test_hidden_labels_are_hidden_from_training_alone() -> None:
    data = load("labelled-digits", size=8, old_classes=6, labelled=0.25)
    assert isinstance(data, LabelledImages)
    assert set(data.seen.tolist()) == {-1, 0, 1, 2, 3, 4, 5}
    assert set(np.asarray(data.labels).tolist()) == set(range(10))
    assert abs((data.seen >= 0).sum() / (np.asarray(data.labels) < 6).sum() - 0.25) < 0.01
    part = data.subset(np.arange(50, 90))
    assert np.array_equal(part.batch(np.arange(40)).labels.numpy(), data.seen[50:90])


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_sets_are_the_same_every_time(name: str) -> None:
    first, second = load(name, size=8), load(name, size=8)
    a, b = first.batch(np.arange(4)), second.batch(np.arange(4))
    images = [x.features if hasattr(x, "features") else x.pictures.images for x in (a, b)]
    assert bool((images[0] == images[1]).all())
    assert first.splits()
