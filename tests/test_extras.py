"""Optional packages are asked for by the extra that installs them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from nearfar.cli.lookup import EXTRAS
from nearfar.common.extras import needed


def test_every_extra_is_known_to_doctor() -> None:
    declared = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    extras = set(declared["optional-dependencies"]) - {"all", "dev", "peers", "docs"}
    assert extras == set(EXTRAS)


def test_a_missing_package_is_named_with_its_extra() -> None:
    with pytest.raises(ImportError, match=r"reading tea leaves needs nosuchpackage: pip install 'nearfar\[tea\]'"):
        needed("nosuchpackage.leaves", "tea", "reading tea leaves")
    assert needed("math", "tea", "x").pi > 3
