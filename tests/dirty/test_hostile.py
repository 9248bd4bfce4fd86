"""Folders and files made to do harm: nothing outside of a run changes, nothing runs, and memory stays bounded."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from nearfar.cli import Escaping, main
from nearfar.common import memory
from nearfar.common.files import appending
from nearfar.common.settings_files import dump_settings, parse_settings, read_settings
from nearfar.runs.configure import construct
from nearfar.runs.run import Run, RunError
from nearfar.sources.pickles import read_plain_pickle
from nearfar.sources.skipped import Skipped
from nearfar.sources.tables import read_table
from nearfar.training import Training
from nearfar.vision import data as images
from nearfar.vision.methods import SimCLR
from tests.dirty import corpus

# Links ------------------------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's own; every test that has it ends by looking whether it changed."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine\n")
    (folder / "step-000000009.ckpt").write_text("also mine")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


CONFIG = {"method": "simclr", "hyperparameters": {"encoder": "small-conv"}, "data": {"source": "digits"},
          "training": {"steps": 2, "batch_size": 8, "monitor_every": -1}}  # fmt: skip


@pytest.mark.parametrize("dangling", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        "skipped.tsv",
        ".lock",
        "metrics.csv",
        "untrained.csv",
        "data.txt",
        "encoder.safetensors.part",
        ".encoder.safetensors.part",
        "checkpoints",
        "evaluation.json",
        "report.html",
        "checkpoints/step-000000002.ckpt",
        "checkpoints/step-000000002.ckpt.sha256",
    ],
)
def test_resuming_changes_nothing_through_a_link_in_the_run(
    name: str, dangling: bool, outside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    pictures = tmp_path / "few.npz"
    np.savez(pictures, images=np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), dtype=np.uint8))
    (run / "config.yaml").write_text(dump_settings({**CONFIG, "data": {"source": str(pictures)}}))
    link = run / name
    link.parent.mkdir(exist_ok=True)
    target = outside if name == "checkpoints" else outside / "mine.txt"
    link.symlink_to(target.with_name("not there") if dangling else target)
    before, around = contents(outside), {path.name for path in tmp_path.iterdir()}
    for command in ("resume", "evaluate", "report"):
        main([command, str(run)])
    assert contents(outside) == before
    assert {path.name for path in tmp_path.iterdir()} == around
    said = capsys.readouterr().err
    assert "Traceback" not in said
    if name in ("checkpoints", ".lock"):
        assert f"{run / name} is a link" in said


def test_a_file_that_grows_is_never_another_one(outside: Path, tmp_path: Path) -> None:
    os.link(outside / "mine.txt", tmp_path / "hard")
    os.symlink(outside / "mine.txt", tmp_path / "soft")
    os.mkfifo(tmp_path / "pipe")
    with appending(tmp_path / "hard") as file:
        file.write("theirs\n")
    assert (tmp_path / "hard").read_text() == "mine\ntheirs\n"
    for name in ("soft", "pipe"):
        with pytest.raises(OSError, match=rf"{name} is a link or no ordinary file"), appending(tmp_path / name):
            pass
    skipped = Skipped(2)
    skipped.keep_in(tmp_path / "soft")
    with pytest.raises(OSError, match="not written through"):
        skipped.add("a\nb", "c")
    assert contents(outside)["mine.txt"] == "mine\n"


def test_saving_a_method_replaces_links(outside: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "README.md"):
        (folder / name).symlink_to(outside / "mine.txt")
    before = contents(outside)
    SimCLR("small-conv").save_pretrained(folder)
    assert contents(outside) == before
    assert not any(path.is_symlink() for path in folder.iterdir())


# Configuration ----------------------------------------------------------------------------------------------


def aliases(depth: int, wide: int = 10) -> str:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * wide)}]" for i in range(1, depth)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (aliases(60), "values through its aliases; up to 100,000 are read"),
        (
            "m: &a {b: 1}\n" + "\n".join(f"m{i}: &a{i} {{<<: [{', '.join(['*a'] * 400)}], x: 1}}" for i in range(400)),
            "aliases",
        ),
        ("a: &a [*a]", "alias inside of what it names"),
        ("a: &a {b: {c: *a}}", "alias inside of what it names"),
        ("[" * 30_000, "nested too deeply|not valid YAML"),
        ("a: [1", "not valid YAML: .* in line"),
        ("a: !!python/object/apply:os.system ['true']", "not valid YAML: could not determine a constructor"),
        ("a: !!python/name:os.system", "not valid YAML: could not determine a constructor"),
        ("? [a]\n: b", "not valid YAML: found unhashable key|no configuration"),
        ("- a", "holds a list; expected settings by name"),
        ("", "is empty"),
        ("a: 2020-13-45", "valid YAML|no configuration|month"),
    ],
)
def test_settings_that_are_none_are_refused_at_once_by_the_name_of_their_file(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"config\.yaml .*({message})"):
        read_settings(path)
    with pytest.raises(RunError, match=r"config\.yaml"):
        _ = Run.open(tmp_path).config


def test_settings_of_other_bytes_sizes_and_kinds_of_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"method: caf\xe9")
    with pytest.raises(ValueError, match="is not UTF-8: byte 0xe9 at 12"):
        read_settings(path)
    path.write_bytes(b"a: 1 #" + b" " * (4 << 20))
    with pytest.raises(ValueError, match="up to 4,194,304 are read"):
        read_settings(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="no ordinary file"):
        read_settings(path)


def test_numbers_are_read_as_people_write_them_and_texts_come_back_as_they_were() -> None:
    found = parse_settings(
        "a: 3e-4\nb: 1E5\nc: -2e+3\nd: 1.5e-3\ne: .5\nf: 12\ng: '3e-4'\nh: 1e\ni: e5\nj: .inf\nk: 0x1e\n"
    )
    assert found == {"a": 3e-4, "b": 1e5, "c": -2e3, "d": 1.5e-3, "e": 0.5, "f": 12, "g": "3e-4", "h": "1e", "i": "e5",
                     "j": float("inf"), "k": 30}  # fmt: skip
    shared = [1, 2]
    settings: dict[str, Any] = {
        "x": "3e-4",
        "y": 1e-6,
        "z": "1e5",
        "n": None,
        "t": "true",
        "s": "é\x1b[0m\n",
        "l": shared,
        "m": shared,
    }
    assert parse_settings(dump_settings(settings)) == settings
    assert "&" not in dump_settings(settings)
    assert yaml.safe_load(dump_settings({"y": 1e-6})) == {"y": 1e-6}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": {"a": 1}}, "encoder must be a text or"),
        ({"temperature": "warm"}, "temperature must be a number, got 'warm'"),
        ({"temperature": True}, "temperature must be a number, got True"),
        ({"temperature": None}, "temperature must be a number, got None"),
        ({"projection_dim": 1.5}, "projection_dim must be a whole number, got 1.5"),
        ({"projection_dim": [1]}, r"projection_dim must be a whole number, got \[1\]"),
        ({"optimization": {"lr": "fast"}}, "optimization.lr must be a number, got 'fast'"),
        ({"optimization": {"class_path": "os"}}, "optimization has no setting 'class_path'; it takes optimizer, lr"),
        ({"optimization": {"lr": {"a": 1}}}, "optimization.lr must be a number"),
        ({"optimization": "lars"}, "optimization must be a Optimization, got 'lars'"),
        ({"views": 3}, "views must be"),
        ({"heat": 3}, "has no argument 'heat'; it takes"),
    ],
)
def test_settings_of_a_wrong_kind_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        construct(SimCLR, settings)


@pytest.mark.parametrize("settings", [{"steps": "many"}, {"steps": [1]}, {"epochs": "3"}, {"compile": 1}, {"pace": 1}])
def test_training_settings_of_a_wrong_kind_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        construct(Training, settings)


@pytest.mark.parametrize(
    "words",
    [
        ["--optimization", "evil_module.E"],
        ["--optimization=evil_module.E"],
        ["--optimization", '{"class_path": "evil_module.E"}'],
        ["--optimization.class_path", "evil_module.E"],
        ["--optimization.help", "evil_module.E"],
        ["--optimization", "evil_module.yaml"],
        ["--encoder", '{"class_path": "evil_module.E"}'],
        ["--temperature", '{"class_path": "evil_module.E"}'],
        ["--size", '{"class_path": "evil_module.E"}'],
    ],
)
@pytest.mark.parametrize("command", ["train", "resume"])
def test_no_word_of_a_command_imports_a_module(
    command: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    (tmp_path / "evil_module.yaml").write_text("class_path: evil_module.E")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(dump_settings(CONFIG))
    where = ["simclr", "--out", "new"] if command == "train" else [str(run)]
    assert main([command, *where, *words]) == 2
    assert "evil_module" not in sys.modules
    assert capsys.readouterr().err.startswith("nearfar: --")
    assert not (tmp_path / "new").exists()


# What reaches a terminal ------------------------------------------------------------------------------------


def test_texts_of_files_reach_no_terminal_raw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    print("a\x1b]0;pwned\x07\tb\x9b2J\nc\u2028é", file=Escaping(stream))
    assert stream.getvalue() == "a\\x1b]0;pwned\\x07\tb\\x9b2J\nc\\u2028é\n"
    evil = "\x1b]0;pwned\x07"
    run = tmp_path / "run"
    run.mkdir()
    for part, values in (
        ("data", {"source": evil}),
        ("environment", {"torch": evil}),
        ("training", {"steps": evil}),
        ("hyperparameters", {evil: 1}),
        ("method", evil),
    ):
        (run / "config.yaml").write_text(dump_settings({**CONFIG, part: values}))
        for command in ("resume", "evaluate", "report"):
            main([command, str(run)])
    said = capsys.readouterr()
    assert "pwned" in said.err
    assert "\x1b" not in said.err + said.out


# Pickles ----------------------------------------------------------------------------------------------------


def published(path: Path, content: Any, protocol: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_published_batches_are_read_as_they_are(protocol: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3072), dtype=np.uint8)
    for form in (pixels, np.asfortranarray(pixels), pixels.astype(">i4"), pixels.astype(np.float32)):
        found = read_plain_pickle(published(tmp_path / "x", {"data": form, "labels": [1, 2], "n": 3.5}, protocol))
        named = {(k.decode() if isinstance(k, bytes) else k): v for k, v in found.items()}
        assert np.array_equal(named["data"], pixels)
        assert named["labels"] == [1, 2]
    published(tmp_path / "cifar/data_batch_1", {b"data": pixels, b"labels": [0, 1, 2, 3, 4]}, protocol)
    assert len(images.load(tmp_path / "cifar")) == 5


def wide(text: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text


RAW = b"cnumpy\nndarray\n"
KIND = b"cnumpy\ndtype\n"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
PROGRAMS = {
    "objects over raw bytes": RAW + b"(K\x01\x85" + KIND + wide(b"O") + b"\x85Rc_codecs\nencode\n" + wide(b"AAAAAAAA") + wide(b"latin1") + b"\x86RtR.",  # noqa: E501
    "objects by name": KIND + wide(b"O8") + b"\x85R.",
    "a struct": KIND + wide(b"V8") + b"\x85R.",
    "dates": KIND + wide(b"M8") + b"\x85R.",
    "an object array by state": RECONSTRUCT + RAW + b"K\x00\x85U\x01b\x87R(K\x01K\x01\x85" + KIND + wide(b"O8") + b"\x85R\x89]Natb.",  # noqa: E501
    "a shape that is not there": RECONSTRUCT + RAW + b"K\x00\x85U\x01b\x87R(K\x01J\xff\xff\xff\x7f\x85" + KIND + wide(b"u1") + b"\x85R\x89U\x01atb.",  # noqa: E501
    "a negative shape": RECONSTRUCT + RAW + b"K\x00\x85U\x01b\x87R(K\x01J\xff\xff\xff\xff\x85" + KIND + wide(b"u1") + b"\x85R\x89U\x01atb.",  # noqa: E501
    "a new class": RAW + b")\x81.",
    "a changed function": RECONSTRUCT + b"}U\x01aK\x01sb.",
    "another function": b"cos\nsystem\nU\x04true\x85R.",
    "a function of numpy": b"cnumpy\nload\nU\x01x\x85R.",
    "another encoding": b"c_codecs\nencode\n" + wide(b"a") + wide(b"zip") + b"\x86R.",
    "a reference": b"U\x01aQ.",
    "the function itself": RAW + b".",
    "nothing": b"",
    "half an array": RECONSTRUCT + RAW + b"K\x00\x85U\x01b\x87R.",
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("nested", [False, True])
def test_programs_in_pickles_make_nothing(name: str, nested: bool, tmp_path: Path) -> None:
    program = PROGRAMS[name]
    path = tmp_path / "cifar/data_batch_1"
    path.parent.mkdir()
    path.write_bytes(b"\x80\x02}U\x04data" + program[:-1] + b"s." if nested and program else b"\x80\x02" + program)
    with pytest.raises(ValueError, match=r"data_batch_1 is not a CIFAR batch in the published Python format: "):
        images.load(tmp_path / "cifar")


def test_a_pickle_that_unpacks_its_text_again_and_again_is_stopped(tmp_path: Path) -> None:
    again = (
        b"c_codecs\nencode\nq\x01"
        + wide(b"a" * 100_000)
        + b"q\x02"
        + b"".join(b"h\x01h\x02U\x06latin1\x86R" for _ in range(1000))
        + b"."
    )
    (tmp_path / "x").write_bytes(b"\x80\x02" + again)
    with pytest.raises(ValueError, match="unpacks to more than it may hold"):
        read_plain_pickle(tmp_path / "x")


# Bombs ------------------------------------------------------------------------------------------------------


def peak(function: Any) -> int:
    """Megabytes that Python allocated at most while ``function`` ran."""
    tracemalloc.start()
    try:
        function()
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most >> 20


@pytest.mark.parametrize("kind", ["bytes", "struct", "text"])
def test_a_table_of_one_value_a_thousand_times_is_read_in_pieces(kind: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    value: Any = "x" * (1 << 20) if kind == "text" else bytes(1 << 20)
    if kind == "struct":
        value = {"bytes": value, "path": None}
    column = "text" if kind == "text" else "image"
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({column: [value] * 600}), path, compression="zstd")
    assert path.stat().st_size < 10_000
    pool = pa.default_memory_pool()

    def read() -> None:
        if kind == "text":
            table = read_table(path)
            assert len(table.places) == 600
            assert all(len(text) == 100_001 for text in table.columns["text"])
        else:
            with pytest.raises(ValueError, match=r"bomb\.parquet holds no readable image"):
                images.load(path, size=16)

    assert peak(read) < 300
    assert pool.bytes_allocated() < 1 << 20


def test_what_claims_more_than_there_is_room_for_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    good = corpus.encoded(corpus.clean(), "PNG")
    pq.write_table(
        pa.table({"image": [good] * 50, "text": ["abc" * 50 + str(i) for i in range(50)]}), tmp_path / "t.parquet"
    )
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((40, 32, 32, 3), np.uint8))
    (tmp_path / "t.csv").write_text("text\n" + "words\n" * 3000)
    published(tmp_path / "cifar/data_batch_1", {b"data": np.zeros((9, 3072), np.uint8), b"labels": [0] * 9})
    monkeypatch.setattr(memory, "memory", lambda: 20_000)
    for load, name in (
        (images.load, "t.parquet"),
        (images.load, "a.npz"),
        (read_table, "t.csv"),
        (images.load, "cifar"),
    ):
        with pytest.raises(ValueError, match=r"claims .* GB, more than the|bytes; up to .* are read"):
            load(tmp_path / name)
    monkeypatch.setattr(memory, "memory", lambda: 700_000)
    with pytest.raises(ValueError, match=r"with 50 pictures at 96 x 96 pixels, claims"):
        images.load(tmp_path / "t.parquet")
    assert len(images.load(tmp_path / "t.parquet", size=16)) == 50
