"""The pages of three runs made by command: one that goes well, one that collapses, one that is barely trained."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from nearfar.cli import main
from tests.report.test_browser import CHROMIUM, browser, colours, look

__all__ = ["browser"]
pytestmark = pytest.mark.long
RUNS = {
    "healthy": ["simclr", "--steps", "200"],
    # A rate five hundred times too high, and no batch norm that would hide it.
    "collapsed": ["simclr", "--encoder", "small-conv-gn", "--optimization.lr", "1", "--steps", "20"],
    "barely": ["simclr", "--steps", "3"],
}
SAID = {
    "healthy": ("good", "Better than untrained by"),
    "collapsed": ("bad", "The representation has collapsed"),
    "barely": ("poor", "Barely trained: 3 steps"),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("real")
    for name, words in RUNS.items():
        run = str(folder / name)
        assert main(["train", *words, "--preset", "laptop", "--out", run]) == 0
        assert main(["evaluate", run]) == 0
        assert main(["report", run]) == 0
    return {name: folder / name / "report.html" for name in RUNS}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", [*RUNS])
def test_the_page_of_a_real_run_says_how_it_went(name: str, pages: dict[str, Path]) -> None:
    page = re.sub(r"<script>.*?</script>", "", pages[name].read_text(), flags=re.DOTALL)
    kind, sentence = SAID[name]
    assert sentence in page
    assert f'id="answer" class="answer {kind}"' in page
    gauges = dict(re.findall(r"\(([^()]+)\)</span><span class=\"pill (\w+)\">", page))
    expected = {"healthy": {"good"}, "barely": {"good", "poor"}, "collapsed": {"bad", "good"}}
    assert {*gauges.values()} == expected[name], gauges
    assert ("alignment" in gauges) == (name != "collapsed")  # nearness of what is one point says nothing
    if name == "collapsed":
        assert gauges["std"] == gauges["effective_rank"] == gauges["uniformity"] == "bad"
        assert "Of collapsed vectors" in page


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium to look at the page with")
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
@pytest.mark.parametrize("name", [*RUNS])
def test_one_look_at_it_is_enough(name: str, phone: bool, pages: dict[str, Path], browser: Any) -> None:
    """What is seen before scrolling holds the answer; nothing is wider than the window. With ``NEARFAR_LOOK`` naming a
    folder the pictures are kept there."""
    page, wrong = look(browser, pages[name], phone=phone, dark=False)
    shown = page.locator("#answer")
    assert SAID[name][1] in shown.inner_text()
    box = shown.bounding_box()
    assert box["y"] + box["height"] < 844
    assert page.evaluate("document.documentElement.scrollWidth") <= (390 if phone else 1280)
    assert colours(page) > 100
    if os.environ.get("NEARFAR_LOOK"):
        kept = Path(os.environ["NEARFAR_LOOK"]) / f"{name}-{'phone' if phone else 'desk'}.png"
        page.screenshot(path=kept, full_page=True)
    assert not wrong
    page.close()
