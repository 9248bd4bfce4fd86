"""Disks that are full or read-only, folders that vanish, files that carry code: a sentence each, and nothing lost."""

from __future__ import annotations

import ast
import contextlib
import errno
import json
import os
import re
import resource
import shutil
import signal
import threading
from pathlib import Path

import pytest
import torch

import nearfar
from nearfar.cli import main
from nearfar.common import files as files_module
from nearfar.encoders import image_encoder, text_encoder
from nearfar.training import Run, RunError, StorageError, fit, latest_checkpoint
from tests.toy import Vectors
from tests.training.forked import launch
from tests.training.kills import begin_again, same_weights, words
from tests.training.test_fit import SETTINGS, build


def small_files_only() -> None:
    """No file of this process may grow beyond 150 kB, less than a checkpoint takes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))


def test_a_full_disk_gets_a_sentence_and_the_run_goes_on_elsewhere(tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "run"
    begun = launch(tmp_path, *words(tmp_path), "--out", str(run))
    begun.wait_for(lambda: latest_checkpoint(run / "checkpoints") is not None)
    begun.send(signal.SIGTERM)
    assert begun.wait() in (143, 0)
    (run / "encoder.safetensors").unlink(missing_ok=True)
    before = latest_checkpoint(run / "checkpoints")
    process = launch(tmp_path, "resume", str(run), prepare=small_files_only)
    assert process.wait() == 74, process.said
    sentence = process.said.strip().splitlines()[-1]
    assert "could not be saved" in sentence
    assert "nearfar resume" in sentence
    assert "Traceback" not in process.said
    assert latest_checkpoint(run / "checkpoints") == before
    assert not list(run.rglob("*.part"))
    assert begin_again(tmp_path, run).wait() == 0
    assert same_weights(whole, run)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_whatever_the_disk_says_is_said(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create(tmp_path / "run", {"method": "toy"})
    renames = []

    def replace(source: str, target: Path) -> None:
        renames.append(target)
        if len(renames) == 5:
            raise OSError(number, os.strerror(number))
        os.rename(source, target)

    monkeypatch.setattr(files_module.os, "replace", replace)
    with pytest.raises(StorageError, match=rf"(?i)step 8 could not be saved .*{os.strerror(number)}; step 4 is safe"):
        fit(build(), Vectors(), SETTINGS, run=run, progress=False)
    assert latest_checkpoint(run.checkpoints).name == "step-000000004.ckpt"  # type: ignore[union-attr]


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path: Path, monkeypatch) -> None:
    def mkdir(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(RunError, match="run cannot be written: permission denied"):
        Run.create(tmp_path / "run", {"method": "toy"})


def test_a_run_folder_deleted_meanwhile(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = launch(tmp_path, *words(tmp_path, every=1, steps=400), "--out", str(run))
    process.wait_for(lambda: len(process.steps) >= 4)
    run.rename(tmp_path / "elsewhere")
    assert process.wait() == 74, process.said
    assert f"the run folder {run} has disappeared" in process.said
    assert not (run / "config.yaml").exists()


def test_a_second_run_on_the_same_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = launch(tmp_path, *words(tmp_path, steps=200), "--out", str(run))
    first.wait_for(lambda: len(first.steps) >= 4)
    first.send(signal.SIGSTOP)
    for command in (["resume", str(run)], [*words(tmp_path), "--out", str(run)]):
        second = launch(tmp_path, *command)
        assert second.wait() == 2
        assert "in use by another process" in second.said or "already holds a run" in second.said
    first.send(signal.SIGCONT)
    first.send(signal.SIGTERM)
    assert first.wait() == 143
    assert latest_checkpoint(run / "checkpoints") is not None


def test_the_lock_of_a_killed_run_is_free_at_once_though_its_workers_live(tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = launch(tmp_path, *words(tmp_path, steps=400), "--workers", "1", "--out", str(run))
    process.wait_for(lambda: len(process.steps) >= 4)
    process.send(signal.SIGKILL)
    process.wait()
    Run.open(run).lock()


@pytest.mark.long
def test_a_small_file_takes_no_more_memory_than_it_has(tmp_path: Path) -> None:
    """Asked for all the memory there is, a small checkpoint took it, and resuming failed where others had it."""
    (tmp_path / "small").write_bytes(b"x" * 1000)
    assert files_module.read_whole(tmp_path / "small", 2**60) == b"x" * 1000


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="finds processes by their files, in /proc")
def test_workers_end_when_their_run_is_killed(tmp_path: Path) -> None:
    def alive() -> int:
        found = 0
        for entry in Path("/proc").glob("[0-9]*/fd/1"):
            with contextlib.suppress(OSError):
                found += entry.readlink() == process.output
        return found

    process = launch(tmp_path, *words(tmp_path, steps=400), "--workers", "2", "--out", str(tmp_path / "run"))
    process.wait_for(lambda: len(process.steps) >= 4)
    assert alive() >= 3  # itself and its workers
    process.send(signal.SIGKILL)
    process.wait()
    pause = threading.Event()
    for _ in range(1000):
        if not alive():
            break
        pause.wait(0.01)
    assert not alive(), "workers outlive their run"


# Files that carry code


CODE = """
from pathlib import Path
from transformers import PretrainedConfig, PreTrainedModel
Path({target!r}).touch()
class Config(PretrainedConfig):
    model_type = "unheard-of"
class Model(PreTrainedModel):
    config_class = Config
"""


@pytest.mark.parametrize("encoder", [image_encoder, text_encoder])
@pytest.mark.parametrize("kind", ["hf", "hf-config"])
def test_a_model_that_brings_code_is_refused_unrun(encoder, kind: str, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    names = {"AutoConfig": "modeling.Config", "AutoModel": "modeling.Model"}
    (model / "config.json").write_text(json.dumps({"model_type": "unheard-of", "auto_map": names}))
    (model / "modeling.py").write_text(CODE.format(target=str(tmp_path / "executed")))
    with pytest.raises((ValueError, OSError)):
        encoder(f"{kind}:{model}")
    assert not (tmp_path / "executed").exists()


def test_pickled_weights_of_a_model_are_refused_unrun(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    model = tmp_path / "model"
    model.mkdir()
    tiny = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    (model / "config.json").write_text(json.dumps({"model_type": "vit", "image_size": 8, "patch_size": 4, **tiny}))
    torch.save({"bomb": Bomb()}, model / "pytorch_model.bin")
    with pytest.raises(Exception, match=r"(?i)weights.only|unpickl|unsupported"):
        image_encoder(f"hf:{model}")
    assert not (tmp_path / "executed").exists()


def test_nothing_unpacks_archives_or_trusts_pickles() -> None:
    """No file of the library can leave its folder by an archive's member name, because none is unpacked."""
    safe = {"allow_pickle": False, "trust_remote_code": False, "weights_only": True}
    found = []
    for path in Path(nearfar.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("unpack_archive", "extractall", "extract"):
                found.append(f"{path}: {node.attr}")
            if (
                isinstance(node, ast.keyword)
                and node.arg in safe
                and not (isinstance(node.value, ast.Constant) and node.value.value is safe[node.arg])
            ):
                found.append(f"{path}: {node.arg}")
    assert not found


def test_a_copied_run_folder_works_without_its_lock(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", {"method": "toy"})
    shutil.copytree(run.path, tmp_path / "copy")
    Run.open(tmp_path / "copy").lock()


@pytest.mark.parametrize(
    ("command", "room"),
    [
        (("evaluate",), 64),
        (("embed", "-o", "v.npz"), 512),
        (("embed", "-o", "v.parquet"), 512),
        (("embed", "-o", "v.csv"), 512),
        (("embed", "-o", "v.faiss"), 512),
        (("report",), 4096),
    ],
)
def test_a_full_disk_has_its_exit_code_in_every_command_that_writes(
    command: tuple[str, ...],
    room: int,
    whole: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "v.faiss" in command:
        pytest.importorskip("faiss")
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    monkeypatch.chdir(tmp_path)
    words_of = [command[0], str(run), *command[1:]]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        code = main(words_of)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 74, said
    assert re.match(r"nearfar: .*(v\.|evaluation\.json|report\.html).* was not written: the file is larger than", said)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    if command[0] == "embed":
        assert main(words_of) == 0
