"""The site: that it builds without a warning and fetches nothing, and that the API's pages leave nothing out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import nearfar

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
SHOWN = re.compile(r"automodule:: ([\w.]+)")
LOADED = re.compile(
    r"<(?:script|img|iframe|link)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*\"|url\((?:https?:)?//|@import"
)


def packages(room: str) -> set[str]:
    """The packages of a room that export something."""
    names = {file.parent.name for file in (Path(nearfar.__file__).parent / room).glob("*/__init__.py")}
    return {f"nearfar.{room}.{name}" for name in names - {"engine"}}


def test_the_api_shows_every_family_of_losses_and_every_fields_views() -> None:
    losses = set(SHOWN.findall((DOCS / "api" / "losses.md").read_text()))
    assert losses == {"nearfar.losses", *packages("losses")}
    views = set(SHOWN.findall((DOCS / "api" / "views.md").read_text()))
    there = [file.parent for file in (ROOT / "nearfar").glob("*/views/__init__.py")]
    there += (ROOT / "nearfar").glob("*/views.py")
    assert views == {f"nearfar.{place.parent.name}.views" for place in there}


def test_every_page_is_reached_from_the_start() -> None:
    trees = "\n".join(
        block for file in DOCS.rglob("*.md") for block in re.findall(r"```\{toctree\}(.*?)```", file.read_text(), re.S)
    )
    globbed = [file.parent for file in DOCS.rglob("index.md") if ":glob:" in file.read_text()]
    for file in (*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")):
        if file == DOCS / "index.md" or file.parent in globbed:
            continue
        names = {file.relative_to(DOCS).with_suffix("").as_posix(), file.stem}
        assert any(re.search(rf"^{re.escape(name)}$", trees, re.M) for name in names), f"{file} is in no toctree"


@pytest.mark.long
def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "sphinx", "--builder", "html", "--fail-on-warning", "--keep-going", "--quiet"]
    done = subprocess.run([*build, str(DOCS), str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "info_nce" in (tmp_path / "api" / "losses.html").read_text()
    for file in [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")]:
        found = LOADED.search(file.read_text())
        assert found is None, f"{file.name} loads {found.group()}"
