"""Create the environment: a virtual environment with pinned versions and a torch that fits this machine.

The processor build of torch is a few hundred megabytes; the default build for Linux brings several gigabytes of
CUDA packages. This asks pip what it *would* install first, and stops with a sentence instead of downloading them
by accident. Set NEARFAR_CUDA=1 where the CUDA build is wanted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = next(
    line.strip() for line in (ROOT / "requirements.lock").read_text().splitlines() if line.startswith("torch==")
)


def main() -> int:
    if sys.version_info < (3, 11):
        print(f"nearfar needs Python 3.11 or newer; this is {sys.version.split()[0]}", file=sys.stderr)
        return 1
    folder = Path(sys.argv[1])
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    if not os.environ.get("NEARFAR_CUDA"):
        unwanted = cuda_packages(pip)
        if unwanted:
            print(
                f"pip would install {TORCH} with {len(unwanted)} CUDA packages (such as {unwanted[0]}), several\n"
                "gigabytes. Either point pip at PyTorch's index of processor builds (PIP_EXTRA_INDEX_URL) and run\n"
                "this again, or accept them with NEARFAR_CUDA=1.",
                file=sys.stderr,
            )
            return 1
    subprocess.check_call([*pip, "install", "--quiet", TORCH])
    subprocess.check_call([*pip, "install", "--quiet", "-c", str(ROOT / "requirements.lock"), "-e", f"{ROOT}[dev]"])
    return 0


def cuda_packages(pip: list[str]) -> list[str]:
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        subprocess.check_call([*pip, "install", "--quiet", "--dry-run", "--report", report.name, TORCH])
        planned = json.loads(Path(report.name).read_text())["install"]
    names = [package["metadata"]["name"].lower() for package in planned]
    return [name for name in names if name.startswith(("nvidia-", "cuda-", "triton"))]


if __name__ == "__main__":
    sys.exit(main())
