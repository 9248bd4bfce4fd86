"""Every command and snippet of README and the pages really runs, page by page, on small files, as a rehearsal.

What is run is what is shown, to the letter; only ``NEARFAR_REHEARSAL=1`` cuts every training.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nearfar.cli import main
from nearfar.common.rehearsal import VARIABLE
from tests.documentation.blocks import PAGES, ROOT, RUN, blocks
from tests.documentation.files import make
from tests.documentation.parsing import nearfar_words

SHELL = set("|&;<>$`(")


def title(page: Path) -> str:
    return str(page.relative_to(ROOT))


def runnable(page: Path) -> bool:
    return any(block.kind in RUN and not block.not_run and not block.sketch for block in blocks(page))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=title)
def test_every_command_and_snippet_runs(page: Path, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "1")
    for block in blocks(page):
        for name in block.files:
            make(name, tmp_path)
        if block.kind not in RUN or block.not_run or block.sketch:
            continue
        if block.kind == "python":
            namespace = {"__name__": "__main__"}
            exec(compile(block.text, str(block), "exec"), namespace)
            continue
        for command in block.commands():
            code = run(command)
            said = capsys.readouterr()
            assert code == 0, f"{block}: {command} returned {code}: {said.err[-2000:]}"


def run(command: str) -> int:
    """Run a line of a shell: a plain nearfar command in this process, anything else by bash."""
    words = nearfar_words(command)
    plain = shlex.split(command, comments=True)
    if words is not None and not SHELL & set("".join(plain)) and plain[0] == "nearfar":
        return main(words)
    shim = Path.cwd() / ".bin" / "nearfar"
    shim.parent.mkdir(exist_ok=True)
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nearfar "$@"\n')
    shim.chmod(0o755)
    path = {"PATH": f"{shim.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return subprocess.run(["bash", "-euo", "pipefail", "-c", command], env={**os.environ, **path}).returncode
