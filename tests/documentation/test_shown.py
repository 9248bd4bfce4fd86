"""Every command and snippet of README and the pages is parsed as it stands; ``test_run.py`` runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documentation.blocks import GENERATED, PAGES, ROOT, RUN, Block, blocks, inline, prose
from tests.documentation.parsing import Reader, check_other, check_python, nearfar_words

COMMAND = re.compile(r"^\s*(?:\$ )?nearfar [a-z]")


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_every_command_is_understood_by_the_real_parser(page: Path, monkeypatch, capsys) -> None:
    reader = Reader(monkeypatch)
    for block in blocks(page):
        if block.kind in ("bash", "console") and not block.sketch:
            for command in block.commands():
                words = nearfar_words(command)
                if words is None:
                    check_other(command)
                    continue
                try:
                    reader.read(words)
                except Exception as error:
                    raise AssertionError(f"{block}: {command}: {error} {capsys.readouterr().err}") from error
    for number, command in inline(page):
        try:
            reader.name(nearfar_words(command) or [])
        except Exception as error:
            raise AssertionError(f"{title(page)}:{number}: {command}: {error} {capsys.readouterr().err}") from error


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_every_snippet_compiles_and_names_what_exists(page: Path) -> None:
    for block in blocks(page):
        if block.kind == "python" and not block.sketch:
            try:
                check_python(block.text)
            except Exception as error:
                raise AssertionError(f"{block}: {error}") from error


@pytest.mark.parametrize("page", [page for page in PAGES if page not in GENERATED], ids=title)
def test_no_command_hides_where_it_would_not_be_read(page: Path) -> None:
    for block in blocks(page):
        if block.kind not in RUN:
            assert not any(map(COMMAND.match, block.text.splitlines())), f"{block} is no bash, console or python block"
    for number, line in prose(page):
        assert not re.match(r"^ {4,}nearfar [a-z]", line), f"{title(page)}:{number} belongs into a fence"


def test_the_checks_see_what_is_wrong(monkeypatch, capsys) -> None:
    reader = Reader(monkeypatch)
    reader.read(["train", "clip", "--out", "runs/clip", "--steps", "5"])
    reader.read(["search", "runs/clip", "a red circle", "--in", "photos"])
    for words in ("train simclr --stepz 5", "evaluate runs/clip --siez 3", "list --field visoin", "trian simclr"):
        with pytest.raises((Exception, AssertionError)):
            reader.read(words.split())
    capsys.readouterr()
    for code in ("import nearfar\nnearfar.fti", "from nearfar.losses import nt_xant", "x = = 1"):
        with pytest.raises((AssertionError, SyntaxError, AttributeError)):
            check_python(code)
    with pytest.raises(AssertionError, match="no argument tau"):
        check_python("from nearfar.losses import nt_xent\nnt_xent(a, b, tau=1)")
    with pytest.raises(AssertionError, match="no such target"):
        check_other("make tea")


def test_blocks_are_found_with_their_files_and_reasons(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- files: photos few.csv -->\n\n```bash\nnearfar list \\\n  --field text  # a remark\n```\n\n"
        "<!-- not run: takes hours -->\n```console\n$ nearfar list\nsimclr\n```\n   ```python\n   x = 1\n   ```\n"
    )
    first, second, third = blocks(page)
    assert first.files == ("photos", "few.csv")
    assert [*first.commands()] == ["nearfar list   --field text  # a remark"]
    assert nearfar_words(next(first.commands())) == ["list", "--field", "text"]
    assert (second.not_run, [*second.commands()]) == ("takes hours", ["nearfar list"])
    assert third == Block(page, 13, "python", "x = 1")
