"""The catalogue in the reviews' terms: every system answers every question, and the command line asks them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nearfar.catalogue import ENTRIES, find
from nearfar.catalogue.terms import TERMS, answers, grouped, terms
from nearfar.cli import main
from nearfar.reproductions.taxonomy.framework_review import TRUTH, run
from nearfar.system import Entry, Parts

SYSTEMS = [entry for entry in ENTRIES if entry.parts is not None]


def test_every_system_answers_every_question_with_known_answers() -> None:
    for entry in SYSTEMS:
        found = terms(entry)
        assert set(found) == set(TERMS)
        for question, said in found.items():
            assert said
            assert set(said) <= set(answers(question)), entry.slug
    assert terms(find("survey-contrastive-ssl")) == {}


@pytest.mark.parametrize(
    ("slug", "question", "answer"),
    [
        ("simclr", "negatives", "batch"),
        ("moco", "negatives", "queue"),
        ("byol", "negatives", "none"),
        ("byol", "update", "momentum"),
        ("simclr", "update", "end-to-end"),
        ("mae", "loss", "reconstruction"),
        ("grace", "views", "masking"),
        ("supcon", "loss", "InfoNCE"),
        ("byol", "head", "prediction"),
        ("ce-gzsl", "update", "in turns"),
    ],
)
def test_known_systems_stand_where_the_reviews_put_them(slug: str, question: str, answer: str) -> None:
    assert answer in terms(find(slug))[question]


def test_tags_say_it_outright() -> None:
    parts = Parts(views="crops", encoder="any", head="none", loss="InfoNCE")
    entry = Entry(slug="x", name="X", field="vision", paper="none", parts=parts, tags={"negatives": "none"})
    assert terms(entry)["negatives"] == ("none",)
    assert grouped([entry], "negatives") == {"none": [entry]}


def test_list_groups_and_filters_without_torch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--by", "negatives"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("negatives queue") and "moco" in line for line in lines)
    assert main(["list", "--negatives", "queue", "--json"]) == 0
    slugs = [row["slug"] for row in json.loads(capsys.readouterr().out)]
    assert "moco" in slugs
    assert "simclr" not in slugs
    assert main(["list", "--views", "masking", "--field", "graph"]) == 0
    assert "grace" in capsys.readouterr().out
    code = "import sys; from nearfar.cli import main; main(['list', '--by', 'loss']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0


def test_infonce_saturates_at_the_logarithm_of_its_size() -> None:
    found = run(0)
    assert TRUTH > 5.8
    assert found["InfoNCE 64"]["largest"] < found["logarithm of 64"]["largest"]
    assert found["InfoNCE 512"]["error"] < found["InfoNCE 64"]["error"]
