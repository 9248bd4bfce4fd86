"""Pictures in parquet files that are larger than memory, read in place."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from nearfar.cli import main
from nearfar.sources import parquet as reading
from nearfar.sources.data import StepLoader
from nearfar.sources.skipped import BadDataError
from nearfar.vision.data import ImageArray, ParquetPictures, load, parquet
from tests.vision.test_shards import jpeg


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two files for training of three row groups of three rows each, one for testing, as Hugging Face writes them."""
    (tmp_path / "set").mkdir()
    names = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    for name, rows in (("train-00000-of-00002", 9), ("train-00001-of-00002", 8), ("test-00000-of-00001", 3)):
        images = [{"bytes": jpeg(14 + i), "path": f"{i}.jpg"} for i in range(rows)]
        table = pa.table({"image": images, "label": [i % 2 for i in range(rows)]})
        table = table.replace_schema_metadata({"huggingface": json.dumps(names)})
        pq.write_table(table, tmp_path / "set" / f"{name}.parquet", row_group_size=3)
    return tmp_path / "set"


def test_rows_in_place_are_those_in_memory(files: Path) -> None:
    here, there = load(files, size=8), parquet(files, 8, held=0)
    assert isinstance(here, ImageArray)
    assert isinstance(there, ParquetPictures)
    rows = np.array([16, 0, 5, 9])
    assert torch.equal(there.batch(rows).images, here.batch(rows).images)
    assert there.labels is not None
    assert there.labels.tolist() == here.labels.tolist()
    assert (set(there.labels), len(there.splits()["test"])) == ({"cat", "dog"}, 3)
    again = pickle.loads(pickle.dumps(there))
    assert torch.equal(again.training_batch(rows).images, there.training_batch(rows).images)
    assert there.contents().keys() == {"train-00000-of-00002.parquet", "train-00001-of-00002.parquet"}


def test_an_epoch_unpacks_each_group_about_once(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = parquet(files, 8, held=0)
    assert isinstance(data, ParquetPictures)
    monkeypatch.setattr(reading, "CACHED", 4 * int(data.rows.sizes.max()))
    assert data.rows.together == 2
    calls: list[int] = []
    unpack = data.rows._unpacked
    monkeypatch.setattr(data.rows, "_unpacked", lambda group: (calls.append(group), unpack(group))[1])
    sampler = data.sampler(4, 4, seed=2)
    batches = [batch.rows.tolist() for batch in StepLoader(data, sampler)]
    assert len({row for batch in batches for row in batch}) == 16
    assert sorted(calls) == sorted(set(calls))
    sampler = data.sampler(4, 4, seed=2)
    sampler.start = 2
    assert [batch.rows.tolist() for batch in StepLoader(data, sampler)] == batches[2:]


def test_rows_without_pictures_and_torn_files(files: Path, tmp_path: Path) -> None:
    images = [{"bytes": jpeg(), "path": "a"}, {"bytes": None, "path": "b"}, {"bytes": jpeg(), "path": "c"}]
    pq.write_table(pa.table({"image": images}), tmp_path / "holes.parquet")
    data = parquet(tmp_path / "holes.parquet", 8, held=0, max_bad=0.5)
    assert data.training_batch(np.array([0, 1])).rows.tolist() == [0, 2]
    assert data.skipped == {"row 1": "column 'image' is empty"}
    path = files / "train-00000-of-00002.parquet"
    content = bytearray(path.read_bytes())
    content[50:400] = bytes(350)
    path.write_bytes(content)
    with pytest.raises(BadDataError, match="cannot be read as parquet"):
        parquet(files, 8, held=0).batch(np.array([0]))


def test_packing_parquet(files: Path, tmp_path: Path) -> None:
    assert main(["data", "pack", str(files), "-o", str(tmp_path / "out"), "--size", "10"]) == 0
    data = load(tmp_path / "out", size=8)
    assert (len(data), len(data.splits()["test"]), set(data.labels)) == (17, 3, {"cat", "dog"})
