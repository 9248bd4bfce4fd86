"""Shards at URLs: a memory file system, a server on this machine, a cache that stays small."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from nearfar.cli import main
from nearfar.sources.shards import remote
from nearfar.sources.shards.cache import FileCache, file_cache
from nearfar.sources.shards.index import write_index
from nearfar.sources.shards.places import LocalShard
from nearfar.sources.skipped import BadDataError
from nearfar.vision.data import load
from tests.vision.test_shards import jpeg, tar


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six shards of three pictures on this machine, and a cache of its own."""
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "PAUSE", 0.0)
    for shard in range(6):
        tar(tmp_path / "set" / f"{shard:05}.tar", {f"{shard}{i}.jpg": jpeg(16 + i) for i in range(3)})
    return tmp_path / "set"


@pytest.fixture
def bucket(local: Path) -> Iterator[str]:
    """The same in a memory file system."""
    fs = fsspec.filesystem("memory")
    fs.put(f"{local}/", "/bucket/set/", recursive=True)
    yield "memory://bucket/set"
    fs.rm("/bucket", recursive=True)


@pytest.fixture
def server(local: Path) -> Iterator[str]:
    """The same on a server that knows no parts of files."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    handler = functools.partial(quiet, directory=str(local.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/set"
        running.shutdown()


def test_a_bucket_holds_what_the_folder_holds(local: Path, bucket: str) -> None:
    here, there = load(local, size=8), load(bucket, size=8)
    assert there.ids.tolist() == here.ids.tolist()
    rows = np.arange(18)
    assert torch.equal(there.training_batch(rows).images, here.training_batch(rows).images)
    assert (len(load(f"{bucket}/{{00001..00002}}.tar")), len(load(f"{bucket}/*3.tar"))) == (6, 3)


def test_a_server_s_shards_and_files(local: Path, server: str) -> None:
    assert len(load(server, size=8)) == 18
    np.savez(local / "set.npz", images=np.zeros((5, 8, 8, 3), np.uint8))
    assert len(load(f"{server}/set.npz")) == 5


def test_a_bucket_of_s3(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on this machine that speaks s3, where ``moto[server]`` and ``s3fs`` are installed."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        fs = fsspec.filesystem("s3", skip_instance_cache=True)
        fs.mkdir("bucket")
        fs.put(f"{local}/", "bucket/set/", recursive=True)
        here, there = load(local, size=8), load("s3://bucket/set", size=8)
        assert there.ids.tolist() == here.ids.tolist()
        rows = np.arange(18)
        assert torch.equal(there.training_batch(rows).images, here.training_batch(rows).images)
        assert len(load("s3://bucket/set/{00001..00002}.tar", size=8)) == 6
        with pytest.raises(FileNotFoundError, match="there is no"):
            load("s3://bucket/none.tar")
    finally:
        server.stop()


def test_the_cache_keeps_its_size_and_lets_go_of_what_was_not_used(tmp_path: Path) -> None:
    cache, calls = FileCache(tmp_path, 250), []

    def fetch(path: Path) -> None:
        calls.append(path)
        path.write_bytes(bytes(100))

    for name in ("a", "b", "a", "c", "a", "b"):
        with cache.opened(name, f"{name}.tar", 100, fetch) as file:
            assert len(file.read()) == 100
        kept = [*tmp_path.glob("*.tar")]
        assert sum(path.stat().st_size for path in kept) <= 250
    assert len(calls) == 4  # a, b, c, and b again
    with pytest.raises(OSError, match="raise NEARFAR_CACHE_LIMIT"):
        cache.opened("d", "d.tar", 300, fetch)
    with pytest.raises(OSError, match="came with 100 bytes of 120"):
        cache.opened("e", "e.tar", 120, fetch)
    assert not [*tmp_path.glob(".*.part")]


def test_a_file_may_make_room_before_it_has_made_any(tmp_path: Path) -> None:
    class Crowded(FileCache):
        """As if another process fetched a file just before this one makes room for its own."""

        crowded = False

        def _make_room(self, kept: Path) -> None:
            if not self.crowded:
                self.crowded = True
                self.opened("b", "b.tar", 100, fetch).close()
                assert not kept.exists()
            super()._make_room(kept)

    def fetch(to: Path) -> None:
        to.write_bytes(b"x" * 100)

    cache = Crowded(tmp_path, 150)
    with cache.opened("a", "a.tar", 100, fetch) as file:
        assert file.read() == b"x" * 100
    assert len([*tmp_path.glob("*.tar")]) == 1


def test_a_file_that_made_room_is_fetched_again(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = max(shard.size for shard in remote.remote_shards(bucket))
    monkeypatch.setenv("NEARFAR_CACHE_LIMIT", str(3 * largest))
    with pytest.raises(ValueError, match="lower --mix"):
        load(bucket, size=8)
    data = load(bucket, size=8, mix=1)
    order = data.order(np.random.default_rng(0))
    first = data.batch(order).images
    assert torch.equal(data.batch(order).images, first)
    kept = sum(path.stat().st_size for path in file_cache().folder.glob("*.tar"))
    assert kept <= 3 * largest
    assert len(set(data.members.shard[order[:3]])) == 1  # a shard at a time


def test_a_shard_with_an_index_is_not_fetched_before_it_is_read(local: Path, bucket: str) -> None:
    fs = fsspec.filesystem("memory")
    for path in sorted(local.glob("*.tar")):
        fs.put(str(write_index(LocalShard(path, local))), f"/bucket/set/{path.name}.index")
    data = load(bucket, size=8)
    assert not [*file_cache().folder.glob("*.tar")]
    data.batch(np.array([4]))
    assert len([*file_cache().folder.glob("*.tar")]) == 1


def test_what_is_not_there_is_one_sentence(
    bucket: str, server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in (f"{bucket}/none.tar", f"{server}/none.tar", "memory://nothing/at/all"):
        with pytest.raises(FileNotFoundError, match="there is no"):
            load(wrong)
    with pytest.raises(OSError, match=r"nosuch://x/a.tar cannot be read: Protocol not known"):
        load("nosuch://x/a.tar")
    with pytest.raises(OSError, match="cannot be had"):
        load("http://127.0.0.1:1/a.tar")
    assert main(["train", "simclr", "--data", f"{bucket}/none.tar"]) == 2
    said = capsys.readouterr().err
    assert "there is no file" in said
    assert "Traceback" not in said
    data = load(bucket, size=8)
    for path in file_cache().folder.glob("*.tar"):
        path.unlink()
    fsspec.filesystem("memory").rm("/bucket/set/00002.tar")
    data.members._begin()
    with pytest.raises(BadDataError, match=r"00002.tar/20.jpg cannot be read: there is no file"):
        data.training_batch(np.array([6]))
    monkeypatch.setenv("NEARFAR_CACHE_LIMIT", "much")
    with pytest.raises(OSError, match="expected a number of bytes"):
        load(bucket)
    fsspec.filesystem("memory").touch("/bucket/set/00002.tar")
