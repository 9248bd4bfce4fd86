"""Columns by option, in every field that reads tables, and names of earlier versions."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from nearfar import catalogue
from nearfar.catalogue import find
from nearfar.cli.options import Flags, loader_options
from nearfar.sources.found import describe
from nearfar.sources.roles import with_roles
from nearfar.sources.tables import read_table
from nearfar.workflow import load_data

TABLES = {
    "text": (
        "Message,Topic\nwhere is it,card\nmy card,card\na rate,rate\n",
        {"text_column": "message", "label_column": "topic"},
    ),
    "recommend": (
        "Kunde,Ware,Datum,Note\n" + "".join(f"k{i % 5},w{i},2024-01-{i % 28 + 1:02d},4\n" for i in range(30)),
        {"user_column": "kunde", "item_column": "ware", "time_column": "datum", "rating_column": "note"},
    ),
    "preference": (
        "Frage,Gut,Schlecht\nwho,you,me\nwhat,this,that\n",
        {"prompt_column": "frage", "chosen_column": "gut", "rejected_column": "schlecht"},
    ),
    "decoding": ("Frage,Antwort\nwho,me\nwhat,that\n", {"text_column": "frage", "answer_column": "antwort"}),
    "tabular": ("a,b,fraud\n1,2,0\n2,3,0\n3,4,1\n4,4,0\n", {"label_column": "fraud"}),
    "series": (
        "Tag,Wert,Reihe\n" + "".join(f"2024-01-{i:02d},{i * i % 7},a\n" for i in range(1, 20)),
        {"time_column": "tag", "series_column": "reihe"},
    ),
}


@pytest.mark.parametrize("field", TABLES)
def test_columns_are_chosen_and_what_was_taken_is_said(field: str, tmp_path: Path) -> None:
    text, options = TABLES[field]
    path = tmp_path / "mine.csv"
    path.write_text(text, encoding="utf-8-sig")
    said = "\n".join(describe(load_data(field, str(path), **options)))
    taken = next(line for line in said.split("\n") if "columns: " in line)
    assert all(f"{column} as " in taken for column in options.values()), said
    name, column = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"has no column .*; did you mean {column}"):
        load_data(field, str(path), **{**options, name: column[:-1]})


def test_every_field_of_tables_has_options_for_columns() -> None:
    for field in (*TABLES, "vision", "multimodal", "audio", "labels", "graph", "generation"):
        names = inspect.signature(catalogue.field(field).load).parameters
        assert any(name.endswith("_column") for name in names), field


def test_a_column_takes_the_place_of_the_usual_one_and_none_is_asked_for_twice(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("text,body,id\na,b,1\n")
    table, taken = with_roles(read_table(path), "t", {"texts": (("text", "body"), "body"), "ids": (("id",), None)})
    assert table.columns == {"text": ["b"], "id": ["1"]}
    assert taken == "columns: body as texts, id as ids; not taken: text"
    with pytest.raises(ValueError, match="'body' of t is asked for twice"):
        with_roles(read_table(path), "t", {"texts": (("text",), "body"), "others": (("other",), "body")})


def test_names_of_earlier_versions_go_on_working(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TABLES["tabular"][0])
    assert load_data("tabular", str(path), label="fraud").taken.startswith("columns: fraud as labels")
    entry = find("slad")
    assert Flags(entry, "x", "x").parse(["--label", "fraud"]).data_options["label_column"] == "fraud"
    assert loader_options(entry, ["--label=fraud"], "x") == {"label_column": "fraud"}
    with pytest.raises(ValueError, match="data of tabular have no option 'lable_column'; did you mean label_column"):
        load_data("tabular", str(path), lable_column="fraud")
