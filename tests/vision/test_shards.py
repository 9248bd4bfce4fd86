"""Pictures in tar and zip archives: the same as in a folder, in any order, damaged or not."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nearfar.cli import main
from nearfar.sources.data import StepLoader
from nearfar.sources.order import mixed
from nearfar.sources.shards.index import TEXTS, index_of, write_index
from nearfar.sources.shards.places import LocalShard, expanded
from nearfar.sources.skipped import BadDataError
from nearfar.vision.data import ImageFolder, ShardedPictures, load

RNG = np.random.default_rng(0)


def jpeg(side: int = 12) -> bytes:
    made = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (side, side + 2, 3), dtype=np.uint8)).save(made, "JPEG")
    return made.getvalue()


def tar(path: Path, members: dict[str, bytes], form: int = tarfile.USTAR_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in members.items():
            told = tarfile.TarInfo(name)
            told.size = len(content)
            archive.addfile(told, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of five labelled pictures each."""
    root = tmp_path_factory.mktemp("shards")
    for shard in range(4):
        members = {}
        for i in range(5):
            key = f"{shard:02}{i:03}"
            members |= {f"{key}.jpg": jpeg(), f"{key}.cls": b"%d\n" % (i % 2), f"{key}.json": b'{"url": "x"}'}
        tar(root / f"{shard:05}.tar", members)
    return root


def test_shards_hold_what_a_folder_holds(tmp_path: Path) -> None:
    pictures = {f"{kind}/{i}.jpg": jpeg(10 + i) for kind in ("cats", "dogs") for i in range(3)}
    for name, content in pictures.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    tar(tmp_path / "one.tar", pictures)
    with zipfile.ZipFile(tmp_path / "two.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in pictures.items():
            archive.writestr(name, content)
    folder, rows = load(tmp_path / "folder", size=8), np.arange(6)
    for found in (load(tmp_path / "one.tar", size=8), load(tmp_path / "two.zip", size=8)):
        assert isinstance(found, ShardedPictures)
        assert found.labels.tolist() == folder.labels.tolist()
        assert torch.equal(found.batch(rows).images, folder.batch(rows).images)
        assert torch.equal(found.training_batch(rows).images, folder.training_batch(rows).images)
    assert load(tmp_path / "one.tar").ids[0] == "one.tar/cats/0.jpg"


def test_labels_parts_and_names_with_ranges(shards: Path, tmp_path: Path) -> None:
    data = load(shards, size=8)
    assert len(data) == 20
    assert data.labels.tolist() == [0, 1, 0, 1, 0] * 4
    assert len(load(f"{shards}/{{00001..00003}}.tar", size=8)) == 15
    with pytest.raises(FileNotFoundError, match=r"00004.tar \(1 of the 5"):
        load(f"{shards}/{{00000..00004}}.tar")
    for part, count in (("train-00", 3), ("train-01", 2), ("val-00", 2)):
        named = {f"{i}.png.jpg": jpeg() for i in range(count)}
        tar(tmp_path / f"{part}.tar", named | {f"{i}.json": b'{"label": "a"}' for i in range(count)})
    parted = load(tmp_path, size=8)
    assert (len(parted), len(parted.splits()["val"])) == (5, 2)
    assert set(parted.labels) == {"a"}


def test_a_mask_beside_a_picture_is_no_picture_and_dots_in_names_lose_none(tmp_path: Path) -> None:
    masked = load(tar(tmp_path / "a.tar", {"1.jpg": jpeg(), "1.mask.png": jpeg(), "2.jpg": jpeg()}))
    assert [each.rpartition("/")[2] for each in masked.ids] == ["1.jpg", "2.jpg"]
    dated = load(tar(tmp_path / "b.tar", {"IMG.2024.01.jpg": jpeg(), "IMG.2024.02.jpg": jpeg()}))
    assert len(dated) == 2
    eyes = tar(tmp_path / "c.tar", {"1.left.jpg": jpeg(), "1.right.jpg": jpeg()})
    assert (len(load(eyes)), len(load(eyes, image_column="left.jpg"))) == (2, 1)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_of_every_form(tmp_path: Path, form: int) -> None:
    names = [f"{'d' * 60}/{'e' * 60}/{i}.jpg" for i in range(2)]
    if form != tarfile.USTAR_FORMAT:
        names += [f"{'long' * 60}/моё фото.jpg", "ordinary.jpg"]
    found = index_of(LocalShard(tar(tmp_path / "a.tar", dict.fromkeys(names, b"x" * 700), form), tmp_path))
    assert (found.names, found.sizes) == (names, [700] * len(names))


def test_damage_loses_what_it_hits_and_no_more(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {f"{i}.jpg": jpeg() for i in range(40)})
    whole = index_of(LocalShard(path, tmp_path))
    content = bytearray(path.read_bytes())
    content[whole.offsets[7] - 500] ^= 0xFF  # a header
    content[whole.offsets[20] : whole.offsets[20] + 40] = bytes(40)  # a picture
    path.write_bytes(content[: whole.offsets[39] + 10])  # the last is cut
    with pytest.warns(UserWarning, match="3 of 40 pictures of a.tar were left out"):
        data = load(path, size=8)
    kept = [name.rpartition("/")[2] for name in data.ids]
    assert kept == [f"{i}.jpg" for i in range(39) if i not in (7, 20)]
    assert any("no header of a member" in reason for reason in data.skipped.values())
    with pytest.warns(UserWarning, match="left out"):  # from what was kept of the first look
        assert [*load(path, size=8).skipped] == [*data.skipped]
    with pytest.raises(BadDataError, match="cannot be used"):
        load(path, strict=True)


def test_damage_found_while_training_has_a_stand_in_and_is_listed(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {f"{i}.jpg": jpeg(40) for i in range(6)})
    at = index_of(LocalShard(path, tmp_path))
    content = bytearray(path.read_bytes())
    start, end = at.offsets[2] + 200, at.offsets[2] + at.sizes[2] - 2
    content[start:end] = (b"\xff\xd8" * (end - start))[: end - start]
    path.write_bytes(content)
    data = load(path, size=8, max_bad=0.5)
    assert data.training_batch(np.array([1, 2])).rows.tolist() == [1, 3]
    assert [*data.skipped] == ["a.tar/2.jpg"]
    assert data.readable(np.arange(4)).tolist() == [True, True, False, True]


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    import gzip

    packed = tmp_path / "a.tar"
    packed.write_bytes(gzip.compress(tar(tmp_path / "b.tar", {"1.jpg": jpeg()}).read_bytes()))
    with pytest.raises(ValueError, match=r"packed as a whole.*data pack"):
        load(packed)
    for content, why in ((b"", "is empty"), (b"PK" + bytes(600), "no zip archive"), (b"junk" * 400, "no archive")):
        packed.write_bytes(content)
        with pytest.raises(ValueError, match=why):
            load(packed)
    with pytest.raises(ValueError, match="no readable picture"):
        load(tar(tmp_path / "c.tar", {"notes.txt": b"nothing"}))
    linked = tmp_path / "d.tar"
    with tarfile.open(linked, "w") as archive:
        told = tarfile.TarInfo("1.jpg")
        told.type, told.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(told)
    with pytest.raises(ValueError, match="it is a link"):
        load(linked)


def test_a_member_that_unpacks_to_more_than_it_claims_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.jpg", jpeg())
        archive.writestr("bomb.jpg", bytes(1 << 20))
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace((1 << 20).to_bytes(4, "little"), (999).to_bytes(4, "little")))
    with pytest.warns(UserWarning, match="unpacks to other than"):
        assert len(load(tmp_path / "a.zip", size=8, max_bad=0.5)) == 1


def test_an_epoch_in_few_shards_at_a_time() -> None:
    shard = np.repeat(np.arange(7), [3, 5, 1, 4, 6, 2, 3])
    order = mixed(shard, 2, np.random.default_rng(0))
    assert sorted(order) == list(range(24))
    assert order.tolist() == mixed(shard, 2, np.random.default_rng(0)).tolist()
    seen = shard[order]
    changes = np.flatnonzero(np.isin(seen[1:], seen[:1], invert=True) & np.isin(seen[:-1], seen[:1]))
    assert len(changes) <= 8  # the first shard's examples end where its pair ends
    first = [np.flatnonzero(seen == s)[[0, -1]] for s in range(7)]
    pairs = sorted(tuple(each) for each in first)
    assert sum(a[1] > b[0] for a, b in zip(pairs, pairs[1:], strict=False)) <= 4  # only the two of a pair overlap
    assert sorted(mixed(shard, 0, np.random.default_rng(1))) == list(range(24))


@pytest.mark.parametrize("mix", [0, 2])
def test_batches_are_those_of_any_number_of_workers_and_of_a_run_resumed(shards: Path, mix: int) -> None:
    data = load(shards, size=8, mix=mix)

    def rows(workers: int, start: int = 0, rank: int = 0, world: int = 1) -> list[list[int]]:
        sampler = data.sampler(4, 7, seed=3, rank=rank, world_size=world)
        sampler.start = start
        return [batch.rows.tolist() for batch in StepLoader(data, sampler, workers=workers)]

    alone = rows(0)
    assert rows(2) == alone
    assert rows(0, start=2) == alone[2:]  # in the middle of a shard
    shared = [rows(0, rank=rank, world=2) for rank in range(2)]
    assert [[*a, *b] for a, b in zip(*shared, strict=True)] == alone
    assert sorted(row for batch in alone[:5] for row in batch) == list(range(20))


def test_shards_go_to_other_processes(shards: Path) -> None:
    data = load(shards, size=8)
    data.batch(np.arange(20))
    again = pickle.loads(pickle.dumps(data))
    assert torch.equal(again.batch(np.arange(20)).images, data.batch(np.arange(20)).images)


def test_an_index_beside_a_shard_is_used_only_for_that_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar(tmp_path / "a.tar", {"1.jpg": jpeg(), "1.txt": b"a red fish"})
    shard = LocalShard(path, tmp_path)
    write_index(shard)
    monkeypatch.setattr("nearfar.sources.shards.index._listed", lambda shard: pytest.fail("read again"))
    assert index_of(shard).texts == {1: "a red fish"}
    assert index_of(shard).beside
    monkeypatch.undo()
    tar(path, {"2.jpg": jpeg(), "3.jpg": b"no picture"})
    assert index_of(shard).names == ["2.jpg", "3.jpg"]
    with pytest.warns(UserWarning, match="1 of 2 pictures"):  # not taken for what was packed and looked at then
        assert len(load(path, size=8, max_bad=0.5)) == 1
    (tmp_path / "a.tar.index").write_bytes(b"PAR1 and nothing of it")
    assert index_of(shard).names == ["2.jpg", "3.jpg"]
    assert ".txt" in TEXTS


def test_names_in_braces() -> None:
    assert expanded("s3://b/{08..11}.tar") == [f"s3://b/{i:02}.tar" for i in range(8, 12)]
    assert expanded("{train,extra}-{1..2}") == ["train-1", "train-2", "extra-1", "extra-2"]
    for wrong in ("{5..2}.tar", "{0..99999999}.tar"):
        with pytest.raises(ValueError, match=r"backwards|more than"):
            expanded(wrong)


def test_a_folder_of_pictures_with_an_archive_beside_them_stays_one(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "1.jpg").write_bytes(jpeg())
    tar(tmp_path / "originals.tar", {"1.jpg": jpeg()})
    assert isinstance(load(tmp_path, size=8), ImageFolder)


def test_training_by_command(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", str(shards), "--size", "24", "--preset", "laptop", "--steps", "2", "--batch-size", "8"]
    assert main(["train", "simclr", *words, "--out", str(tmp_path / "run"), "--json"]) == 0
    assert np.isfinite(json.loads(capsys.readouterr().out)["train/loss"])
    assert main(["embed", str(tmp_path / "run"), "-o", str(tmp_path / "v.npz")]) == 0
    with np.load(tmp_path / "v.npz") as found:
        assert len(found["id"]) == 20
