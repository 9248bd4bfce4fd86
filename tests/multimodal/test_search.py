"""Searching pictures and naming them, typed as people type it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from nearfar.cli import main
from nearfar.multimodal.search import Pictures, agreement, nearest, query, side_of
from nearfar.reproductions.arms import build

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 50), "blue": (40, 60, 220), "white": (240, 240, 240)}


def draw(folder: Path, count: int, seed: int) -> list[tuple[str, str]]:
    """Pictures of nearly one colour in folders of its name, and their names with captions."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.clip(np.array(colour) + rng.normal(0, 12, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
            rows.append((f"{name}/{number}.png", f"a picture of a {name} wall, number {number}"))
    return rows


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, and a folder of pictures that it never saw."""
    place = tmp_path_factory.mktemp("walls")
    rows = draw(place / "train", 8, 0)
    table = place / "train" / "pairs.csv"
    table.write_text("image,caption\n" + "\n".join(f'{file},"{caption}"' for file, caption in rows) + "\n")
    draw(place / "pictures", 3, 1)
    (place / "classes.txt").write_text("red\n\ngreen\nblue\nwhite\n")
    words = ["train", "clip", "--data", str(table), "--out", str(place / "run"), "--preset", "laptop", "--steps", "50"]
    words += ["--batch-size", "16", "--size", "16", "--projection-dim", "16", "--seed", "0", "--temperature", "0.3"]
    assert main(words) == 0
    return place


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def test_words_find_pictures(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in COLOURS:
        words = [
            "search",
            str(place / "run"),
            "--in",
            str(place / "pictures"),
            f"a picture of a {name} wall",
            "-k",
            "3",
        ]
        assert main(words) == 0
        said = capsys.readouterr()
        lines = [line.split("\t") for line in said.out.splitlines()]
        assert [line[0].split("/")[0] for line in lines] == [name] * 3
        assert [line[1] for line in lines] == ["1", "2", "3"]
        assert float(lines[0][2]) >= float(lines[2][2])
        assert "12 pictures searched" in said.err


def test_a_picture_finds_its_like_and_not_itself(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.csv"
    mine = place / "pictures" / "blue" / "1.png"
    words = ["search", str(place / "run"), str(mine), "--in", str(place / "pictures"), "-k", "20", "-o", str(out)]
    assert main(words) == 0
    found = read(out)
    assert len(found) == 11
    assert {row["picture"] for row in found[:2]} == {"blue/0.png", "blue/2.png"}
    assert main(words) == 2
    assert main([*words, "--overwrite"]) == 0


def test_a_change_leads_away_from_the_picture(place: Path, tmp_path: Path) -> None:
    """Towers alone add both embeddings; the change brings its own pictures up."""

    def order(*change: str) -> list[str]:
        out = tmp_path / "found.parquet"
        words = ["search", str(place / "run"), str(place / "pictures" / "red" / "0.png"), *change, "--overwrite"]
        assert main([*words, "--in", str(place / "pictures"), "-k", "12", "-o", str(out)]) == 0
        return [name.split("/")[0] for name in pq.read_table(out).to_pydict()["picture"]]

    alike = order()
    assert len(alike) == 11
    gained = []
    for colour in ("green", "blue", "white"):
        changed = order("--change", f"a picture of a {colour} wall")
        before, after = (np.flatnonzero(np.array(names) == colour).mean() for names in (alike, changed))
        gained.append(before - after)
    assert np.mean(gained) > 0.5


def test_a_composed_method_composes_its_own_query(tmp_path: Path) -> None:
    from nearfar.multimodal.data import load

    Image.fromarray(np.full((20, 20, 3), 90, np.uint8)).save(tmp_path / "a.png")
    method = build("scot", load("composed-scenes", examples=4), 0).eval()
    found = query(method, "make it red", tmp_path / "a.png", size=16)
    with torch.no_grad():
        pixels = torch.full((1, 3, 16, 16), 90, dtype=torch.uint8)
        expected = method.compose(pixels, ["make it red"])  # type: ignore[operator]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_names_alone_sort_pictures(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["zero-shot", str(place / "run"), str(place / "pictures"), "--classes", str(place / "classes.txt")]
    words += ["--template", "a picture of a {} wall"]
    assert main(words) == 0
    said = capsys.readouterr()
    lines = [line.split("\t") for line in said.out.splitlines()]
    assert [line[2] for line in lines] == [line[0].split("/")[0] for line in lines]
    assert "12 pictures, 4 classes; 100.0% of those whose label is a class" in said.err
    out = tmp_path / "named.csv"
    assert main([*words, "--template", "{}", "-k", "2", "-o", str(out)]) == 0
    found = read(out)
    assert [*found[0]] == ["picture", "rank", "class", "score"]
    assert len(found) == 24


def test_labels_that_are_no_class_do_not_count() -> None:
    pictures = Pictures(["a", "b", "c"], np.eye(3, dtype=np.float32), np.array(["set/Hot_dog", "cat", "unknown"]))
    best = nearest(pictures, np.eye(3, dtype=np.float32), 1)
    assert agreement(pictures, ["hot dog", "dog", "cat"], best) == 0.5  # rows 0, 1: the second is named dog
    assert agreement(pictures, ["x", "y"], best) is None
    assert agreement(pictures._replace(labels=None), ["x", "y"], best) is None
    assert side_of({"source": "shape-scenes"}) == 32
    assert side_of({"source": "pairs.csv"}) == 96
    assert side_of({"source": "pairs.csv", "size": 224}) == 224


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["search", "RUN", "a wall", "--in", "nowhere"], "there is no file or folder nowhere"),
        (["search", "RUN", "gone.png", "--in", "PICTURES"], "there is no picture gone.png"),
        (["search", "RUN", "CLASSES", "--in", "PICTURES"], "is a file and no picture"),
        (["search", "RUN", "a wall", "--in", "PICTURES", "--change", "red"], "--change says what is to be different"),
        (["search", "RUN", "a wall", "--in", "PICTURES", "-k", "0"], "-k must be at least 1, got 0"),
        (["search", "RUN", "a wall", "--in", "PICTURES", "-o", "a.txt"], "--out must end in .csv or .parquet"),
        (["search", "RUN", "a wall", "--in", "xor"], "xor is no collection of single pictures"),
        (["zero-shot", "RUN", "PICTURES", "--classes", "gone.txt"], "there is no file gone.txt"),
        (["zero-shot", "RUN", "PICTURES", "--classes", "CLASSES", "--template", "a wall"], "has one {} for the name"),
        (["zero-shot", "RUN", "PICTURES", "--classes", "TWICE"], "each named once; got 2, 'red' more than once"),
    ],
)
def test_what_cannot_be_done_is_said(
    place: Path, tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "twice.txt").write_text("red\nred\n")
    places = {"RUN": place / "run", "PICTURES": place / "pictures", "CLASSES": place / "classes.txt"}
    places["TWICE"] = tmp_path / "twice.txt"
    assert main([str(places.get(word, word)) for word in words]) == 2
    assert said in capsys.readouterr().err
