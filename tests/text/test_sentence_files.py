"""Texts in several files of one part."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nearfar.text.data import load


def test_every_file_of_a_part_is_read(tmp_path: Path) -> None:
    for number in range(3):
        table = pa.table({"text": [f"sentence {number} {i}" for i in range(4)], "label": [number] * 4})
        pq.write_table(table, tmp_path / f"train-{number:05}-of-00003.parquet")
    pq.write_table(pa.table({"text": ["held out"], "label": [0]}), tmp_path / "test-00000-of-00001.parquet")
    data = load(tmp_path)
    assert data.sentences == [f"sentence {number} {i}" for number in range(3) for i in range(4)]
    assert data.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert len(data.splits()["test"]) == 1


def test_a_folder_of_tables_is_one_table(tmp_path: Path) -> None:
    for number in range(2):
        rows = [{"text": f"line {number} {i}", **({"label": "a"} if number else {})} for i in range(3)]
        lines = [*map(json.dumps, rows), "no json"]
        (tmp_path / f"part-{number}.jsonl").write_text("\n".join(lines))
    with pytest.warns(UserWarning, match="2 of 8 "):
        data = load(tmp_path, max_bad=0.5)
    assert len(data) == 6
    assert set(data.skipped) == {"part-0.jsonl, line 4", "part-1.jsonl, line 4"}


def test_the_same_rows_in_another_format_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text\none\ntwo\n")
    (tmp_path / "train.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert load(tmp_path).sentences == ["one", "two"]
