"""Verdicts are computed, every claim can fail, and what is committed agrees with what was measured."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from nearfar.catalogue import ENTRIES, MEASURED, METHODS, find
from nearfar.reproductions import harness, pages
from nearfar.reproductions.harness import VERDICTS, Claim, worst
from nearfar.reproductions.records import Records

CLAIM = Claim("better", "new", "old", "accuracy")


def scores(new: list[float], old: list[float]) -> list[dict[str, dict[str, float]]]:
    return [{"new": {"accuracy": a}, "old": {"accuracy": b}} for a, b in zip(new, old, strict=True)]


@pytest.mark.parametrize(
    ("new", "old", "verdict"),
    [
        ([0.9, 0.91, 0.92], [0.5, 0.52, 0.51], "holds"),
        ([0.5, 0.52, 0.51], [0.9, 0.91, 0.92], "contradicted"),
        ([0.5, 0.9, 0.1], [0.4, 0.2, 0.8], "not shown at this scale"),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5], "not shown at this scale"),
        ([0.9], [0.1], "not shown at this scale"),  # one seed has no interval
        ([float("nan")] * 3, [0.1] * 3, "not shown at this scale"),
    ],
)
def test_verdicts_follow_the_interval(new: list[float], old: list[float], verdict: str) -> None:
    assert CLAIM.judge(scores(new, old))["verdict"] == verdict


def test_lower_can_be_better_and_margins_count() -> None:
    lower = Claim("smaller", "new", "old", "accuracy", better="lower")
    assert lower.judge(scores([0.1, 0.12, 0.11], [0.5, 0.52, 0.51]))["verdict"] == "holds"
    demanding = Claim("much better", "new", "old", "accuracy", margin=0.3)
    assert demanding.judge(scores([0.6, 0.62, 0.61], [0.5, 0.52, 0.51]))["verdict"] == "not shown at this scale"
    modest = Claim("not worse", "new", "old", "accuracy", margin=-0.05)
    assert modest.judge(scores([0.49, 0.5, 0.51], [0.5, 0.51, 0.5]))["verdict"] == "holds"


def test_the_overall_verdict_is_the_worst() -> None:
    assert worst(["holds", "contradicted", "not shown at this scale"]) == "contradicted"
    assert worst(["holds", "not shown at this scale"]) == "not shown at this scale"
    assert worst(["holds", "holds"]) == "holds"


def test_a_claim_about_absent_data_is_left_out() -> None:
    claim = Claim("better on photographs", "new", "old", "photographs", needs="photographs")
    assert not claim.applies(scores([0.9], [0.1]))
    assert claim.applies([{"new": {"photographs": 0.9}, "old": {"photographs": 0.1}}])
    assert CLAIM.applies([{"new": {}, "old": {}}])  # what has to be there and is not must fail when judged


@pytest.mark.parametrize("slug", [m.slug for m in MEASURED if m.reproduction])
def test_every_reproduction_names_arms_and_at_least_three_seeds(slug: str) -> None:
    found = harness.load(find(slug))
    assert found.seeds >= 3
    assert found.setting.strip()
    assert found.claims
    for claim in found.claims:
        assert claim.treatment != claim.baseline
        assert claim.better in ("higher", "lower")


@pytest.mark.parametrize("path", sorted(harness.RESULTS.glob("*.json")), ids=lambda p: p.stem)
def test_committed_verdicts_are_what_their_scores_say(path: Path) -> None:
    result = json.loads(path.read_text())
    claims = [c for c in harness.load(find(path.stem)).claims if c.applies(result["scores"])]
    assert [c["text"] for c in result["claims"]] == [c.text for c in claims]
    judged = [claim.judge(result["scores"], result.get("confidence", 0.95)) for claim in claims]
    assert [c["verdict"] for c in result["claims"]] == [c["verdict"] for c in judged]
    assert result["verdict"] == harness.overall(judged)
    assert result["verdict"] in VERDICTS
    assert result["seeds"] == len(result["scores"])


def made_up(run, seeds: int = 3) -> harness.Reproduction:
    main = Claim("better", "new", "old", "accuracy")
    ablation = Claim("the part matters", "old", "new", "accuracy", role="ablation")
    return harness.Reproduction(claims=(main, ablation), run=run, seeds=seeds, setting="made up")


@pytest.fixture
def reproduction(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """GRACE's row with a reproduction that takes no time; the list of the seeds that were measured."""
    measured: list[int] = []

    def run(seed: int) -> dict[str, dict[str, float]]:
        if seed in STOPS:
            raise KeyboardInterrupt
        measured.append(seed)
        return {"new": {"accuracy": 0.9 + 0.001 * seed}, "old": {"accuracy": 0.5 - 0.001 * seed}}

    monkeypatch.setattr(harness, "load", lambda system: made_up(run))
    STOPS.clear()
    return measured


STOPS: set[int] = set()


def test_seeds_are_kept_as_they_finish_and_only_missing_ones_are_measured(reproduction: list[int], tmp_path) -> None:
    entry = find("grace")
    STOPS.add(2)
    with pytest.raises(KeyboardInterrupt):
        harness.reproduce(entry, out=tmp_path, say=lambda _: None)
    STOPS.clear()
    first = harness.reproduce(entry, out=tmp_path, say=lambda _: None)
    assert reproduction == [0, 1, 2]
    assert first["looks"] == [3]
    assert first["confidence"] == 0.975
    again = harness.reproduce(entry, out=tmp_path, say=lambda _: None)
    assert again["looks"] == [3]
    more = harness.reproduce(entry, seeds=5, out=tmp_path, say=lambda _: None)
    assert reproduction == [0, 1, 2, 3, 4]
    assert more["looks"] == [3, 5]
    assert more["seeds"] == 5
    narrow, wide = (c["high"] - c["low"] for c in (more["claims"][0], CLAIM.judge(more["scores"], 0.99)))
    assert narrow < wide


def test_main_claims_decide_and_ablations_are_shown(reproduction: list[int], tmp_path) -> None:
    found = harness.reproduce(find("grace"), out=tmp_path, say=lambda _: None)
    assert [c["verdict"] for c in found["claims"]] == ["holds", "contradicted"]
    assert found["verdict"] == "holds"
    assert "the part matters" in pages.as_text(found)


def test_a_changed_setting_starts_anew(reproduction: list[int], tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.reproduce(find("grace"), out=tmp_path, say=lambda _: None)
    said: list[str] = []
    other = dataclasses.replace(find("grace"), laptop={"steps": 7})
    harness.reproduce(other, out=tmp_path, say=said.append)
    assert "another setting" in said[0]
    assert "3 seeds take about" in said[1]  # before the first of them, from what came with the library
    assert reproduction == [0, 1, 2, 0, 1, 2]


def test_two_processes_share_the_seeds(reproduction: list[int], tmp_path) -> None:
    """A seed that another process holds is left to it."""
    records = Records(tmp_path, find("grace"))
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom nearfar.catalogue import find\n"
        "from nearfar.reproductions.records import Records\n"
        f"with Records(Path({str(tmp_path)!r}), find('grace')).claim(1) as mine:\n"
        "    print(mine, flush=True)\n    sys.stdin.read()\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline().strip() == "True"
    harness.reproduce(find("grace"), out=tmp_path, say=lambda _: None)
    assert sorted(records.seeds()) == [0, 2]
    other.communicate("")
    harness.reproduce(find("grace"), out=tmp_path, say=lambda _: None)
    assert sorted(records.seeds()) == [0, 1, 2]


def test_the_page_has_every_claim_and_its_verdict() -> None:
    found = [(m, m.result) for m in MEASURED if m.result is not None]
    text = pages.page(found)
    assert found
    for what, result in found:
        assert f"## {what.name}: {result['verdict']}" in text
        assert all(f"| {claim['text']} |" in text for claim in result["claims"])


def test_a_study_has_a_reproduction_and_no_method() -> None:
    for study in (e for e in ENTRIES if e.kind == "study"):
        assert study.reproduction
        with pytest.raises(ValueError, match=f"nearfar reproduce {study.slug}"):
            find(study.slug).load()


def test_a_method_without_a_reproduction_says_so() -> None:
    without = next((s for s in METHODS if s.reproduction is None), None)
    if without is None:
        pytest.skip("every method has a reproduction")
    with pytest.raises(ValueError, match="has no reproduction yet"):
        harness.load(without)
