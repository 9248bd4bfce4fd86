"""Whatever a program holds, given to every field: examples of the field, or a sentence of the house."""

from __future__ import annotations

import datetime
import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import FIELDS

# What Python and its libraries say where nobody asked before.
THEIRS = re.compile(
    r"not supported between|expected str, bytes|has no attribute|unexpected keyword|is not (iterable|subscriptable|"
    r"callable)|has no len|argument must be|invalid literal|values to unpack|missing \d+ required|index out of range|"
    r"unhashable|cannot unpack|could not convert|only integer|truth value|must be real number|indices must be|NoneType|"
    r"setting an array element|zero-size|out of bounds|can't convert|inhomogeneous|unsupported operand|ambiguous|"
    r"object of type|name too long"
)


class Listed:
    """A data set of someone else's."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> Any:
        return self.items[position]


def values() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    texts = ["a cat", "a dog", "the sea", "the sky"] * 3
    pairs = list(zip(texts, texts[::-1], strict=True))
    return {
        **{
            "whole": 3,
            "fraction": 1.5,
            "bytes": b"abc",
            "true": True,
            "class": Listed,
            "function": print,
            "set": {1, 2},
        },
        **{"empty list": [], "empty mapping": {}, "empty frame": pd.DataFrame(), "nothing twice": [None, None]},
        **{
            "ragged": [[1, 2], [3]],
            "texts": texts,
            "tuple": tuple(texts),
            "pairs": pairs,
            "mixed": ["a", 1, None, 2.0],
        },
        **{"rows": [{"text": t, "label": 1} for t in texts], "columns": {"text": texts, "label": list(range(12))}},
        **{"unequal": {"text": texts, "label": [1]}, "one cell": {"text": "abc"}, "nested": {"a": {"b": 1}}},
        **{"frame": pd.DataFrame({"text": texts}), "numbers": pd.DataFrame(rng.random((20, 4)), columns=[*"abcd"])},
        **{"series": pd.Series(texts), "categories": pd.Categorical(["a", "b"]), "day": datetime.date(2020, 1, 1)},
        **{"line": rng.random(20), "matrix": rng.random((20, 5)), "cube": rng.random((6, 20, 3))},
        **{
            "nan": np.full((5, 3), np.nan),
            "objects": np.array([1, "a", None], dtype=object),
            "complex": np.eye(3) * 1j,
        },
        **{"days": np.array(["2020-01-01"], dtype="M8[D]"), "fields": np.zeros(3, dtype=[("a", "i4"), ("b", "f4")])},
        **{"tensor": torch.rand(20, 5), "scalar": torch.tensor(1.0), "sparse": torch.eye(3).to_sparse()},
        **{"data set": Listed(texts), "data set of pairs": Listed(pairs), "generator": (x for x in [1, 2])},
    }


@pytest.mark.parametrize("field", FIELDS)
def test_anything_a_program_holds_is_taken_or_refused_with_a_sentence(field: str) -> None:
    for name, value in values().items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = ""
            try:
                data = workflow.load_data(field, value)
                if hasattr(data, "training_batch"):
                    data.training_batch(np.arange(min(2, len(data))))
            except (ValueError, TypeError, FileNotFoundError) as error:
                said = f"refused: {error}"
        assert not THEIRS.search(said), (name, said)
        assert not said or len(said) > 25, (name, said)


def test_tables_that_a_program_holds_are_what_they_are_in_a_file() -> None:
    picks = pd.DataFrame({"User": ["a", "a", "b", "b", "c"] * 4, "item": [str(i) for i in range(20)]})
    for given in (picks, picks.to_dict("list"), picks.to_dict("records")):
        data = workflow.load_data("recommend", given)
        assert data.facts["users"] == 3
        assert data.facts["items"] == 20
    replies = {"prompt": ["why?"] * 4, "chosen": ["so"] * 4, "rejected": ["no", "never", "not", "none"]}
    assert len(workflow.load_data("preference", pd.DataFrame(replies))) == 4
    with pytest.raises(ValueError, match="the table has no column rejected"):
        workflow.load_data("preference", {"chosen": ["a"], "prompt": ["b"]})
    flows = pd.DataFrame({"bytes": np.arange(20.0), "kind": ["tcp", "udp"] * 10, "label": ["normal", "odd"] * 10})
    rows = workflow.load_data("tabular", flows)
    assert {*rows.columns} == {"bytes", "kind"}
    assert rows.labels is not None
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    captions = [f"picture {i}" for i in range(6)]
    held = [{"image": p, "caption": c} for p, c in zip(pixels, captions, strict=True)]
    made = list(zip(pixels, captions, strict=True))
    for given in (made, (pixels, captions), held, Listed(made)):
        pairs = workflow.load_data("multimodal", given)
        assert [*pairs.captions] == captions
        assert np.array_equal(pairs.images, pixels)
    waves = {"waves": np.random.default_rng(1).normal(size=(5, 4000)), "rate": 8000, "labels": [0, 1, 0, 1, 0]}
    assert len(workflow.load_data("audio", waves)) == 5
    with pytest.raises(TypeError, match=r"sounds are read from a file or a folder at a path.*; got a ndarray"):
        workflow.load_data("audio", waves["waves"])
