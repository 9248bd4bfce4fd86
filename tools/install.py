"""Create the environment: a virtual environment with pinned versions and a torch that fits this machine.

    python tools/install.py FOLDER base|dev

A torch that is in the environment already and in range is taken. Otherwise the processor build is looked for where
there is no NVIDIA GPU: pip's own choice where it brings no CUDA packages, then uv, which knows where the processor
builds are. The CUDA build, about 3 GB of downloads, is taken where there is a GPU, where NEARFAR_CUDA=1 asks for it,
and where nothing else can be had.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
TORCH = next(line.strip() for line in LOCK.read_text().splitlines() if line.startswith("torch=="))
EXTRAS = {"base": "", "dev": "[dev]"}
LARGE = "about 3 GB of downloads and 6 GB on disk"

Run = Callable[[list[str]], int]


def main() -> int:
    if sys.version_info < (3, 11):
        print(f"nearfar needs Python 3.11 or newer; this is {sys.version.split()[0]}", file=sys.stderr)
        return 1
    folder, which = Path(sys.argv[1]), sys.argv[2]
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    if not has_torch(python):
        cuda = bool(os.environ.get("NEARFAR_CUDA")) or has_gpu()
        code = install_torch(python, cuda=cuda, unwanted=[] if cuda else cuda_packages(python), run=subprocess.call)
        if code:
            return code
    return subprocess.call([*pip(python), "-c", str(LOCK), "-e", f"{ROOT}{EXTRAS[which]}"])


def pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]


def install_torch(python: Path, *, cuda: bool, unwanted: list[str], run: Run) -> int:
    """Install torch by the smallest way there is; the exit code of the last command.

    Args:
        python: of the environment.
        cuda: take the build for NVIDIA GPUs.
        unwanted: the CUDA packages that pip would bring along.
        run: runs a command and gives its exit code.
    """
    if cuda:
        print(f"torch for NVIDIA GPUs: {LARGE}", file=sys.stderr)
        return run([*pip(python), TORCH])
    if not unwanted:
        return run([*pip(python), TORCH])
    uv = [str(python), "-m", "uv", "pip", "install", "--quiet", "--python", str(python), "--torch-backend=cpu", TORCH]
    if run([*pip(python), "uv"]) == 0 and run(uv) == 0:
        return 0
    print(
        f"the processor build of torch could not be had, so pip's own goes in, with {len(unwanted)} CUDA packages "
        f"(such as {unwanted[0]}): {LARGE}",
        file=sys.stderr,
    )
    return run([*pip(python), TORCH])


def has_torch(python: Path) -> bool:
    """Whether the environment has a torch that nearfar takes."""
    asked = "import torch; print(torch.__version__)"
    found = subprocess.run([str(python), "-c", asked], capture_output=True, text=True)
    return found.returncode == 0 and in_range(found.stdout.strip())


def in_range(version: str) -> bool:
    """Whether a version of torch is one that pyproject.toml asks for (>=2.6,<3)."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return match is not None and (2, 6) <= (int(match[1]), int(match[2])) < (3, 0)


def has_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU with its driver."""
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidia0").exists()


def cuda_packages(python: Path) -> list[str]:
    """The CUDA packages that pip would install with torch, by its own word."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        if subprocess.call([*pip(python), "--dry-run", "--report", report.name, TORCH]):
            return []
        planned = json.loads(Path(report.name).read_text())["install"]
    names = [package["metadata"]["name"].lower() for package in planned]
    return [name for name in names if name.startswith(("nvidia-", "cuda-", "triton"))]


if __name__ == "__main__":
    sys.exit(main())
