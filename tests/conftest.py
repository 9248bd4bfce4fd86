"""What every test shares: one thread, shared data when it is there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Tests run side by side, one for each core, and so do the processes that they start; more threads than cores spend
# their time waiting for each other. The libraries read this when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
# Rendered scenes are kept between runs, but not among the user's own.
os.environ.setdefault("NEARFAR_CACHE", str(Path(tempfile.gettempdir()) / "nearfar-tests"))

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of shared data sets named by NEARFAR_DATA."""
    folder = os.environ.get("NEARFAR_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("NEARFAR_DATA does not name the folder of shared data sets")
    return Path(folder)
