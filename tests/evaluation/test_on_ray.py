"""A Ray cluster that embeds: every row once, also when a worker is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from nearfar import workflow
from nearfar.evaluation import Embeddings
from nearfar.training import Training


def _kill_a_worker(folder: Path, killed: list[int]) -> None:
    """Once a file is there and others are not, kill one of the processes that make them."""
    end = time.monotonic() + 300
    while time.monotonic() < end and not killed:
        if len([*folder.glob("part-*.parquet")]) >= 2:
            for place in Path("/proc").glob("[0-9]*"):
                try:
                    named = (place / "cmdline").read_bytes()
                except OSError:
                    continue
                if b"MapWorker" in named and _descends(int(place.name)):
                    os.kill(int(place.name), signal.SIGKILL)
                    killed.append(int(place.name))
                    return
        time.sleep(0.02)


def _descends(process: int) -> bool:
    """Whether a process comes of this one."""
    while process > 1:
        if process == os.getpid():
            return True
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


@pytest.mark.long
def test_two_workers_of_which_one_is_killed_make_every_row_once(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    workflow.train(
        "simclr",
        out=tmp_path / "run",
        arguments={"encoder": "small-conv"},
        training=Training(steps=2, batch_size=16, monitor_every=-1),
        progress=False,
    )
    expected = workflow.embed_with_run(tmp_path / "run", None, tmp_path / "alone", per_file=20)
    killed: list[int] = []
    thread = threading.Thread(target=_kill_a_worker, args=(tmp_path / "vectors", killed), daemon=True)
    thread.start()
    made = workflow.embed_with_run(tmp_path / "run", None, tmp_path / "vectors", per_file=20, engine="ray", workers=2)
    thread.join(1)
    assert killed, "no worker was killed, so nothing was shown"
    assert made == expected
    alone, found = Embeddings.load(tmp_path / "alone"), Embeddings.load(tmp_path / "vectors")
    assert found.ids.tolist() == alone.ids.tolist()
    assert len({*found.ids.tolist()}) == len(found)
    np.testing.assert_allclose(found.array, alone.array, rtol=1e-4, atol=1e-5)
    with pytest.raises(FileExistsError, match="is complete"):
        workflow.embed_with_run(tmp_path / "run", None, tmp_path / "vectors", per_file=20, engine="ray", workers=2)


def test_ray_makes_folders_and_shares_them_out_itself(tmp_path: Path) -> None:
    for out, share in ((tmp_path / "vectors.npy", (1, 1)), (tmp_path / "vectors", (1, 2))):
        with pytest.raises(ValueError, match="--engine ray makes the files of a folder"):
            workflow.embed_with_run(tmp_path / "run", None, out, engine="ray", share=share)
