"""What the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.kills import uninterrupted


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of ``tests.training.kills`` that nothing interrupted."""
    return uninterrupted(tmp_path_factory.mktemp("whole"))
