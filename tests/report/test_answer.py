"""The sentence that a page opens with, and the gauges under it."""

from __future__ import annotations

import pytest

from nearfar.report.answer import Seen, answer
from nearfar.report.gauges import gauges
from tests.report.folders import health, measured

ROWS = health([0, 100, 200])


def seen(**changes: object) -> Seen:
    known: dict[str, object] = {
        "name": "runs/a",
        "state": "finished",
        "measured": measured(0.2, 0.15, 0.25),
        "rows": ROWS,
        "total": 200,
        "epochs": 5.0,
    }
    return Seen(**{**known, **changes})  # type: ignore[arg-type]


def test_a_healthy_run_says_by_how_much_how_sure_and_on_how_many() -> None:
    found = answer(seen())
    assert found.kind == "good"
    assert found.sentence == (
        "Better than untrained by 20.0 points (95% interval +15.0 to +25.0) on 400 examples: linear test is 70.0% "
        "instead of 50.0%."
    )
    assert [gauge.kind for gauge in gauges(seen())] == ["good"] * 5


@pytest.mark.parametrize(
    ("low", "high", "kind", "title"),
    [
        (-0.05, 0.07, "poor", "No difference shown"),
        (-0.3, -0.1, "bad", "Worse than untrained"),
    ],
)
def test_a_run_that_is_not_better_is_not_called_so(low: float, high: float, kind: str, title: str) -> None:
    found = answer(seen(measured=measured((low + high) / 2, low, high)))
    assert (found.kind, found.title) == (kind, title)


@pytest.mark.parametrize("changes", [{"rows": health([0, 3])}, {"epochs": 0.4}])
def test_a_barely_trained_run_is_told_from_one_that_failed(changes: dict) -> None:
    found = answer(seen(measured=measured(-0.02, -0.06, 0.01), **changes))
    assert found.title == "Barely trained"
    assert "not better than untrained yet" in found.sentence
    assert "longer" in found.then[0]
    # But one that is better after few steps is.
    assert answer(seen(**changes)).kind == "good"


def test_collapse_comes_first_whatever_else_was_measured() -> None:
    ruined = measured(0.2, 0.15, 0.25, std=0.001, rank=1.02)
    found = answer(seen(measured=ruined))
    assert (found.kind, found.title) == ("bad", "Collapsed")
    assert "span 1.0 dimensions (untrained 50.0) and have a spread of 0.001 (untrained 0.400)" in found.sentence
    assert {gauge.kind for gauge in gauges(seen(measured=ruined, rows=()))} == {"bad"}
    watched = seen(measured=None, rows=health([0, 100], std=0.0, rank=1.0), state="running")
    assert answer(watched).title == "Collapsed"
    assert answer(seen(measured=ruined, can_collapse=False)).kind == "good"


def test_numbers_that_are_none_are_broken() -> None:
    assert answer(seen(measured=measured(0.2, 0.1, 0.3, std=float("nan")))).title == "Broken"


def test_unfinished_and_unmeasured_runs_say_what_to_do() -> None:
    stopped = answer(seen(state="stopped", measured=None))
    assert "nearfar resume runs/a" in stopped.then[0]
    running = answer(seen(state="running", measured=None, total=400))
    assert running.sentence == "Still training: step 200 of 400."
    assert "90.0% of the time, 50.0% before training" in running.then[0]
    assert "nearfar evaluate runs/a" in answer(seen(measured=None)).then[0]


def test_lower_numbers_are_better_where_they_are_and_one_run_has_no_interval() -> None:
    error = {"trained": {"mse 24": 0.4}, "untrained": {"mse 24": 0.9}, "better": {"mse 24": "lower"}}
    found = answer(seen(measured=error))
    assert found.sentence == "Better than untrained by 0.5: mse 24 is 0.4 instead of 0.9."
    assert "compare" in found.then[0]
    assert answer(seen(measured={"trained": {"std": 0.4}, "untrained": {"std": 0.4}})).title == "Nothing to tell by"


@pytest.mark.parametrize(
    ("near", "apart", "word"), [(0.3, 1.2, "healthy"), (0.9, 1.2, "loose"), (1.3, 1.2, "as strangers")]
)
def test_views_are_near_or_not_beside_those_of_other_examples(near: float, apart: float, word: str) -> None:
    """A representation whose vectors lie together anyway is not called aligned for that."""
    for scale in (1.0, 0.01):
        found = measured(0.2, 0.1, 0.3)
        found["trained"] |= {"alignment": near * scale, "separation": apart * scale}
        shown = next(gauge for gauge in gauges(seen(measured=found)) if "(alignment)" in gauge.title)
        assert shown.word == word
        assert shown.text == f"{near * scale:.2f} of {apart * scale:.2f}"
        assert shown.before_text == "0.20 of 0.32"
    found["trained"] |= {"alignment": 0.0, "separation": 0.0}  # one vector for everything
    assert not [gauge for gauge in gauges(seen(measured=found)) if "(alignment)" in gauge.title]
