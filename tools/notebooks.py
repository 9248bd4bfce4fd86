"""The notebooks of the documentation, run from the first cell to the last, with what they print kept in them.

python tools/notebooks.py              # all
python tools/notebooks.py pictures
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "notebooks"
LONGEST = 900
"""Seconds of a cell."""


def run(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh kernel, without what differs from one run to the next.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=LONGEST, kernel_name="python3").execute()
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            # Progress and times are no part of what is shown.
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    return notebook


def main(names: list[str]) -> int:
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or path.stem in names:
            print(path.stem, flush=True)
            nbformat.write(run(path), path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
