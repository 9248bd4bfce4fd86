"""Tables of every field with cells of any kind: examples, rows left out with a reason, or a sentence."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar import workflow
from tests.fuzz.test_inputs import THEIRS

COLUMNS = {
    "text": ("sentence", "label", "sentence1", "sentence2", "score"),
    "recommend": ("user", "item", "time", "rating"),
    "preference": ("prompt", "chosen", "rejected", "completions", "scores", "messages", "reward", "task"),
    "tabular": ("a", "b", "label", "id", "lon", "lat"),
    "series": ("series", "time", "x", "y", "label"),
    "multimodal": ("image", "caption", "label", "longitude", "latitude", "source"),
    "audio": ("path", "label", "split", "caption", "turns"),
    "decoding": ("prompt", "answer", "choices", "kind", "id", "context", "image"),
    "vision": ("image", "label"),
    "labels": ("image", "label", "task", "path"),
    "graph": ("source", "target", "id", "label", "x"),
}
USUAL = st.sampled_from(["u1", "u2", "i1", "why?", "a cat", "a.png", 1, 2, 3.5, "2020-01-02"])
ODD = st.sampled_from(
    [
        None,
        True,
        -1,
        1e308,
        float("nan"),
        float("inf"),
        "",
        " ",
        "\0",
        [],
        [1],
        ["a"],
        {},
        {"a": 1},
        10**30,
        "1e400",
        "-0",
    ]
)
CELLS = st.one_of(USUAL, USUAL, ODD)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    field = draw(st.sampled_from([*COLUMNS]))
    names = draw(st.lists(st.sampled_from(COLUMNS[field]), min_size=1, unique=True))
    return field, draw(st.lists(st.fixed_dictionaries(dict.fromkeys(names, CELLS)), min_size=1, max_size=5))


def written(rows: list[dict[str, Any]], path: Path) -> None:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        pd.DataFrame(rows).astype(str).to_parquet(path)
    else:
        between = "," if path.suffix == ".csv" else "\t"
        path.write_text("\n".join(between.join(map(str, row)) for row in [[*rows[0]], *(row.values() for row in rows)]))


@given(tables(), st.sampled_from([".jsonl", ".json", ".csv", ".tsv", ".parquet"]))
def test_any_cells_are_read_left_out_or_refused_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[str, list[dict[str, Any]]], suffix: str
) -> None:
    field, rows = table
    path = tmp_path_factory.getbasetemp() / f"table{suffix}"
    written(rows, path)
    said = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = workflow.load_data(field, str(path))
            data.training_batch(np.arange(min(2, len(data))))
        except (ValueError, TypeError, FileNotFoundError, ImportError) as error:
            said = f"refused: {error}"
            said += " (codec)" * isinstance(error, UnicodeError)
    assert "(codec)" not in said
    assert not THEIRS.search(said), (field, rows, said)
    assert not said or len(said) > 25, (field, rows, said)
