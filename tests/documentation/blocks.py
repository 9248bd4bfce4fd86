"""What README and the pages show: fenced blocks, the commands in them, and commands within a line of text."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
GENERATED = {ROOT / "docs" / name for name in ("results.md", "taxonomy.md", "forest.md")}
RUN = ("bash", "console", "python")
"""Kinds of blocks that are read and run; others are files, formulas and tables."""

FENCE = re.compile(r"^(?P<indent>\s*)(?P<marks>`{3,}|~{3,})(?P<info>.*)$")
COMMENT = re.compile(r"^\s*<!--\s*(?P<word>files|not run|sketch):\s*(?P<rest>.*?)\s*-->\s*$")
INLINE = re.compile(r"(?<!`)`((?:\w+=\S+ )?nearfar [^`]+)`(?!`)")
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]{2,}\b|\.\.\.|<[a-z ]+>|(?<= )[A-Z](?= |$)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page, line: where it begins, for messages.
        kind: the first word after the fence.
        text: what is in it, without its indent.
        files: what has to lie in the folder from here on, by the page's ``<!-- files: NAME ... -->``.
        not_run: why it is not run, by ``<!-- not run: REASON -->`` before it.
        sketch: why it is not even parsed, by ``<!-- sketch: REASON -->``.
    """

    page: Path
    line: int
    kind: str
    text: str
    files: tuple[str, ...] = ()
    not_run: str = ""
    sketch: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def commands(self) -> Iterator[str]:
        """The commands of a shell block, each on one line; what a console prints is left out."""
        lines = self.text.splitlines()
        if self.kind == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        joined = ""
        for line in lines:
            joined += line.rstrip()
            if joined.endswith("\\"):
                joined = joined[:-1]
                continue
            if shlex.split(joined, comments=True):
                yield joined.strip()
            joined = ""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    files: tuple[str, ...] = ()
    notes: dict[str, str] = {}
    lines = iter(enumerate(page.read_text().splitlines(), 1))
    for number, line in lines:
        comment, fence = COMMENT.match(line), FENCE.match(line)
        if comment and comment["word"] == "files":
            files = (*files, *comment["rest"].split())
        elif comment:
            notes[comment["word"]] = comment["rest"]
        elif fence:
            inside = []
            for _, content in lines:
                if content.strip() == fence["marks"]:
                    break
                inside.append(content.removeprefix(fence["indent"]))
            kind = (fence["info"].strip().split() or [""])[0]
            reasons = {"not_run": notes.get("not run", ""), "sketch": notes.get("sketch", "")}
            found.append(Block(page, number, kind, "\n".join(inside), files, **reasons))
            files, notes = (), {}
        elif line.strip():
            notes = {}
    return found


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """The lines of a page outside its fences, with their numbers."""
    marks = ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if marks:
            marks = "" if line.strip() == marks else marks
        elif fence:
            marks = fence["marks"]
        else:
            yield number, line


def inline(page: Path) -> Iterator[tuple[int, str]]:
    """Commands of nearfar within the text, without those that have a placeholder for a word."""
    for number, line in prose(page):
        for command in INLINE.findall(line):
            if not PLACEHOLDER.search(command):
                yield number, command
