"""The page in a real browser: three runs at the widths of a desk and of a phone, a click and a hover."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits

from nearfar import workflow
from nearfar.report import write_report
from nearfar.runs.run import Run
from nearfar.training import Training
from tests.report.folders import measured

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium to look at the page with")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of two steps, the same as if it had gone well, and the same with weights that make all vectors equal."""
    folder = tmp_path_factory.mktemp("pages")
    digits = load_digits()
    names = np.array([HOSTILE, *map(str, range(1, 10))])
    np.savez(
        folder / "digits.npz",
        images=(digits.images[:160] * 15).astype(np.uint8),
        labels=names[digits.target[:160]],
    )
    settings = Training(steps=2, batch_size=32)
    workflow.train(
        "simclr",
        data=folder / "digits.npz",
        data_options={"size": 16},
        arguments={"encoder": "small-conv"},
        out=folder / "barely",
        training=settings,
        progress=False,
    )
    for name in ("healthy", "collapsed"):
        shutil.copytree(folder / "barely", folder / name)
    weights = load_file(folder / "collapsed" / "encoder.safetensors")
    save_file(
        {k: v * 0 if v.is_floating_point() and v.ndim > 1 else v for k, v in weights.items()},
        folder / "collapsed" / "encoder.safetensors",
    )
    workflow.evaluate_run(folder / "collapsed")
    Run.open(folder / "healthy").write_json("evaluation.json", measured(0.2, 0.15, 0.25))
    Run.open(folder / "barely").write_json("evaluation.json", measured(0.01, -0.03, 0.05))
    return {
        "healthy": write_report(folder / "healthy", [folder / "barely"]),
        "collapsed": write_report(folder / "collapsed"),
        "barely": write_report(folder / "barely"),
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


def look(browser: Any, path: Path, *, phone: bool, dark: bool) -> tuple[Any, list[str]]:
    """A drawn page, and what went wrong on it."""
    wrong: list[str] = []
    page = browser.new_page(
        viewport={"width": 390 if phone else 1280, "height": 844},
        color_scheme="dark" if dark else "light",
        has_touch=phone,
        is_mobile=phone,
    )
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on(
        "request",
        lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else wrong.append(request.url),
    )
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-drawn]", timeout=120_000)
    if page.locator("body").get_attribute("data-drawn") != "yes":
        wrong.append(page.locator("body").get_attribute("data-drawn"))
    return page, wrong


def colours(page: Any) -> int:
    """How many colours a screenshot of the window has; an empty page has a few."""
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    return len(np.unique(pixels.reshape(-1, 3), axis=0))


@pytest.mark.parametrize(
    ("name", "phone", "dark", "sentence"),
    [
        ("healthy", True, True, "Better than untrained by 20.0 points"),
        ("collapsed", False, True, "The representation has collapsed"),
        ("barely", True, False, "Barely trained: 2 steps"),
    ],
)
def test_a_look_says_how_the_run_went(
    name: str, phone: bool, dark: bool, sentence: str, pages: dict[str, Path], browser: Any
) -> None:
    page, wrong = look(browser, pages[name], phone=phone, dark=dark)
    answer = page.locator("#answer")
    assert sentence in answer.inner_text()
    assert answer.is_visible()
    assert answer.bounding_box()["y"] < 400
    assert answer.get_attribute("data-kind") == {"healthy": "good", "collapsed": "bad", "barely": "poor"}[name]
    assert page.evaluate("document.documentElement.scrollWidth") <= (390 if phone else 1280)
    assert colours(page) > 100
    assert not wrong
    if name == "collapsed":
        assert "collapsed" in page.locator(".gauge .pill").first.inner_text()
    page.close()


def test_a_click_shows_neighbours_and_a_hover_says_values(pages: dict[str, Path], browser: Any) -> None:
    page, wrong = look(browser, pages["healthy"], phone=False, dark=False)
    assert colours(page) > 100
    panel = page.locator("#panel")
    assert panel.inner_text() == "Nothing chosen."
    page.locator(".example").first.click()
    assert "Its nearest, by cosine" in panel.inner_text()
    assert panel.locator(".near .example").count() == 6
    before = panel.inner_text()
    panel.locator(".near .example").first.click()
    assert panel.inner_text() != before

    drawn = page.locator("#map").screenshot()
    group = page.locator(".group").nth(1)
    group.click()
    assert group.get_attribute("aria-pressed") == "true"
    page.wait_for_timeout(300)
    assert page.locator("#map").screenshot() != drawn
    assert page.locator(".group", has_text=HOSTILE).count() == 1  # as words

    chart = page.locator("#curve-0")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert page.locator(".bk-Tooltip:visible").count() == 0
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5)
    page.locator(".bk-Tooltip:visible").first.wait_for(timeout=10_000)
    assert page.locator(".bk-Tooltip:visible").get_by_text("step").first.is_visible()
    assert not wrong
    page.close()
