"""The notebooks run from the first cell to the last, and what is kept in them is what they say."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.tools import tool

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_was_run_in_order(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    assert all(each.output_type != "error" for cell in code for each in cell.outputs)
    assert notebook.cells[0].cell_type == "markdown"


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    found = tool("notebooks").run(path)
    assert all(cell.execution_count for cell in found.cells if cell.cell_type == "code")
