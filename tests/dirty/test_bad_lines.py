"""What people bring by mistake, a line for each kind: refused in one sentence, or left out and listed."""

from __future__ import annotations

import json
import re
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nearfar.cli import main

TEXTS = [f"a note about {word}" for word in ("cats", "rain", "trains", "cards", "cups", "seas", "hills", "birds")]
RNG = np.random.default_rng(0)


def table(name: str, *rows: Any) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("".join(",".join(map(str, row)) + "\n" for row in rows))


def lines(name: str, *rows: dict[str, Any]) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def pictures(folder: str, count: int) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"{folder}/{number}.png")


def sound(name: str, samples: np.ndarray) -> bytes:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    with wave.open(name, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((samples * 20000).astype("<i2").tobytes())
    return Path(name).read_bytes()


def blank_texts() -> None:
    table("d.csv", ["text"], *[[text] for text in TEXTS], [" "], ['""'])


def remote_code() -> None:
    Path("m").mkdir()
    Path("m/config.json").write_text('{"model_type": "mine", "auto_map": {"AutoModel": "mine.M"}}')
    Path("m/mine.py").write_text("open('EXECUTED', 'w')")
    table("d.csv", ["text"], *[[text] for text in TEXTS])


def unknown_nodes() -> None:
    edges = [[f"n{i % 12}", f"n{(5 * i + 1) % 12}"] for i in range(24)]
    table("g/edges.csv", ["source", "target"], *edges, ["n1", "nobody"])
    table("g/nodes.csv", ["id", "x1", "x2"], *[[f"n{i}", *RNG.random(2)] for i in range(12)])


def buyers() -> None:
    pairs = [[f"u{a}", f"i{b}", time] for time, (a, b) in enumerate(RNG.integers(0, 8, (60, 2)))]
    table("d.csv", ["user", "item", "time"], *pairs, ["u77", "", 5])


def sounds() -> None:
    for number in range(4):
        whole = sound(f"d/{number}.wav", np.sin(np.arange(8000) * (number + 1) / 20))
    sound("d/silent.wav", np.zeros(8000))
    Path("d/cut.wav").write_bytes(whole[:60])
    Path("d/rate.wav").write_bytes(whole[:24] + bytes(4) + whole[28:])


def videos() -> None:
    Path("d").mkdir()
    Path("d/a.mp4").write_bytes(b"")


def unequal() -> None:
    images = np.zeros((6, 8, 8, 3), np.uint8)
    np.savez("d.npz", images=images, captions=np.array(TEXTS[:5]))


def no_tree() -> None:
    pictures("p", 4)
    table("d.csv", ["path", "coarse", "fine"], *[[f"p/{i}.png", ("cat", "dog")[i % 2], "pet"] for i in range(4)])


def empty_task() -> None:
    pictures("d/task 1/a", 2)
    pictures("d/task 1/b", 2)
    Path("d/task 2").mkdir()


def rare_class() -> None:
    pictures("d/a", 3)
    pictures("d/b", 1)


def unlabelled() -> None:
    pictures("p", 4)
    table("d.csv", ["path", "label"], *[[f"p/{i}.png", ""] for i in range(4)])


def replies() -> None:
    lines("d.jsonl", *[{"prompt": text, "chosen": "", "rejected": "no"} for text in TEXTS])


def no_model() -> None:
    Path("m").mkdir()
    lines("d.jsonl", *[{"prompt": text, "chosen": "yes", "rejected": "no"} for text in TEXTS])


def silent_captions() -> None:
    pictures("p", 4)
    table("d.csv", ["image", "caption"], *[[f"p/{i}.png", ""] for i in range(4)])


Files = Callable[[], None]

REFUSED: dict[str, tuple[str, Files, str, str]] = {
    "empty rows": ("simcse", blank_texts, "d.csv", r"line 10: the text is empty"),
    "a column missing": (
        "nv-retriever", lambda: table("d.csv", ["foo", "bar"], [1, 2]), "d.csv", r"its columns are foo, bar; expected",
    ),
    "a model with remote code": ("simcse", remote_code, "d.csv --encoder hf:./m", r"code of its own .* is never run"),
    "columns without a number": (
        "slad", lambda: table("d.csv", ["a", "b"], *[["nan", ""]] * 9), "d.csv", r"no column can be learned from",
    ),
    "a video without frames": ("pretext-contrastive", videos, "d", r"holds no readable video: .* a\.mp4"),
    "modalities of unequal number": ("clip", unequal, "d.npz", r"captions has 5 entries for 6 images"),
    "a class with one picture": ("supcon", rare_class, "d --size 16", r"the class b of d has one picture"),
    "a hierarchy that is no tree": (
        "hmlc", no_tree, "d.csv --levels coarse,fine --size 16", r"class pet of fine lies in classes cat and dog",
    ),
    "a task without examples": ("cassle", empty_task, "d --size 16", r"task 2 holds no readable picture"),
    "all labels missing": ("supcon", unlabelled, "d.csv --size 16", r"all labels in d\.csv are missing"),
    "empty completions": ("dpo", replies, "d.jsonl", r"8 of 8 comparisons .* chosen: the text is empty"),
    "a folder that is no model": ("dpo", no_model, "d.jsonl --model ./m", r"holds no model of transformers"),
    "captions without words": ("clip", silent_captions, "d.csv", r"no pair .* the text is empty"),
    "an unknown environment": ("curl", lambda: None, "CartPoole-v1", r"nothing embedded of that name"),
}  # fmt: skip
"""What is wrong: the system, the files, the data and settings, and what is said."""

LEFT_OUT: dict[str, tuple[str, Files, str, str]] = {
    "unknown node ids": ("graph", unknown_nodes, "g", r"the first: edge 25: there is no node 'nobody'"),
    "a user without items": ("recommend", buyers, "d.csv", r"1 of 61 rows of d\.csv were left out"),
    "silent and truncated sounds, and a rate of 0": ("audio", sounds, "d", r"3 of 7 sounds of d were left out"),
}
"""The field, the files, the data, and the warning."""


@pytest.mark.parametrize("line", REFUSED)
def test_it_is_refused_in_one_sentence(line: str, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    slug, files, words, said = REFUSED[line]
    files()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        code = main(["train", slug, "--data", *words.split(), "--preset", "tiny", "--steps", "1", "--out", "run"])
    told = [row for row in capsys.readouterr().err.splitlines() if row.startswith("nearfar: ")]
    assert code == 2
    assert told
    assert re.search(said, told[-1]), told
    assert not Path("EXECUTED").exists()


@pytest.mark.parametrize("line", LEFT_OUT)
def test_it_is_left_out_and_listed(line: str, tmp_path: Path, monkeypatch: Any) -> None:
    from nearfar.workflow import load_data

    monkeypatch.chdir(tmp_path)
    field, files, data, said = LEFT_OUT[line]
    files()
    with pytest.warns(UserWarning, match=said):
        found = load_data(field, data, **({"max_bad": 0.5} if field == "audio" else {}))
    assert len(found)
    assert len(found.skipped)


def test_steps_out_of_order_are_sorted_and_series_of_one_step_read(tmp_path: Path, monkeypatch: Any) -> None:
    from nearfar.workflow import load_data

    monkeypatch.chdir(tmp_path)
    table("d.csv", ["series", "time", "value"], *[[name, time, time] for name in "ab" for time in (3, 1, 2)])
    with pytest.warns(UserWarning, match="2 series of d.csv were not in the order of time; they are now"):
        found = load_data("series", "d.csv")
    assert len(found) == 2
    Path("one.tsv").write_text("".join(f"{i % 2}\t{i}.5\n" for i in range(4)))
    assert len(load_data("series", "one.tsv")) == 4
