"""Another package's systems and fields appear in every command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGE = {
    "otherlib/__init__.py": "",
    "otherlib/rows.py": """
from nearfar.system import Entry, Parts

ENTRIES = (
    Entry(
        slug="other-system",
        name="Other",
        field="otherfield",
        paper="nobody, never",
        target="otherlib.method:Other",
        summary="A system of another package.",
        parts=Parts(views="noise", encoder="linear", head="none", loss="NT-Xent"),
        laptop={"steps": 2, "batch_size": 8},
    ),
)
""",
    "otherlib/method.py": '''
import torch
from torch import nn

from nearfar.losses import nt_xent
from nearfar.training import Method


class Other(Method):
    """A method. Args: width: of the representation."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, width)

    def views(self, batch):
        return tuple(batch + torch.randn(batch.shape, generator=self.generator) for _ in range(2))

    def loss(self, views):
        return nt_xent(*(self.encoder(v) for v in views), temperature=0.5)
''',
    "otherlib/field.py": """
import numpy as np
import torch

from nearfar.system import Field, Scores
from nearfar.training import Data


class Rows(Data):
    name = "rows"

    def __len__(self):
        return 16

    def batch(self, indices):
        return torch.arange(48.0).view(16, 3)[torch.as_tensor(indices)] / 48


def load(data=None):
    return Rows()


def evaluate(method, data, *, seed=0):
    return Scores({"made up": 1.0})


FIELD = Field(name="otherfield", load=load, protocol=evaluate)
""",
    "otherlib-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: otherlib\nVersion: 1.0\n",
    "otherlib-1.0.dist-info/entry_points.txt": "[nearfar.systems]\nother = otherlib.rows\n",
}


def test_a_package_adds_a_system_and_a_field(tmp_path: Path) -> None:
    for name, content in PACKAGE.items():
        file = tmp_path / "site" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    run = tmp_path / "run"
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "from nearfar.cli import main\n"
        "codes = [main(words.split()) for words in ('list --field otherfield', 'show other-system',\n"
        f"    'train other-system --out {run}', 'evaluate {run}')]\n"
        "sys.exit(max(codes))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path.cwd(), timeout=120)
    assert done.returncode == 0, done.stderr
    assert "other-system" in done.stdout
    assert "made up" in done.stdout
