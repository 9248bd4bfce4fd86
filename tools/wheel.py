"""The wheel as people get it: built, installed into a fresh environment with what it asks for and nothing else, used.

    python tools/wheel.py

The fresh environment sees the packages of this one, so that nothing is downloaded, but only those that the wheel
requires without extras, and theirs: others cannot be imported. It runs in an empty folder, away from the checkout.
"""

from __future__ import annotations

import email
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

from packaging.metadata import Metadata
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    ["nearfar", "--version"],
    ["nearfar", "list"],
    ["nearfar", "doctor"],
    ["nearfar", "train", "simclr", "--preset", "tiny", "--out", "run"],
    ["nearfar", "report", "run"],
    ["nearfar", "embed", "run", "-o", "vectors.parquet"],
    ["nearfar", "export", "run", "--to", "torch-export"],
)
BLOCK = '''
import sys
from importlib.machinery import PathFinder


class Required(PathFinder):
    """Finds what the wheel asks for; other packages are not there."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in NAMES else PathFinder.find_spec(name, path, target)


sys.meta_path[:] = [Required if finder is PathFinder else finder for finder in sys.meta_path]
'''


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
        place = Path(folder)
        wheel = build(place)
        check_contents(wheel)
        required = check_metadata(wheel)
        python = fresh(place / "env", wheel, required)
        work = place / "elsewhere"
        work.mkdir()
        clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        for command in COMMANDS:
            began = time.monotonic()
            done = subprocess.run([python.parent / command[0], *command[1:]], cwd=work, env=clean, capture_output=True)
            took = time.monotonic() - began
            print(f"{' '.join(command)}: {'fine' if done.returncode == 0 else 'FAILED'}, {took:.0f} s", flush=True)
            if done.returncode:
                print((done.stdout + done.stderr).decode()[-3000:])
                return 1
        for name in ("run/report.html", "vectors.parquet", "run-torch-export/model.pt2"):
            assert (work / name).stat().st_size > 0, name
    print(f"{len(COMMANDS)} passed, 0 failed")
    return 0


def build(place: Path) -> Path:
    """Build from what git knows, so that nothing that lies about gets in."""
    source = place / "source"
    source.mkdir()
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file() and name.startswith(("nearfar/", "pyproject", "README", "LICENSE")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-w", str(place), str(source)], check=True)
    return next(place.glob("nearfar-*.whl"))


def check_contents(wheel: Path) -> None:
    """Every file of the package is in it, and nothing else."""
    tracked = subprocess.run(
        ["git", "ls-files", "nearfar"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    wanted = {name for name in tracked.split() if (ROOT / name).is_file() and not Path(name).name.startswith(".")}
    there = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert wanted == there, f"missing {sorted(wanted - there)[:5]}, unexpected {sorted(there - wanted)[:5]}"
    print(f"{wheel.name}: {len(there):,} files, {wheel.stat().st_size / 1e6:.1f} MB")


def check_metadata(wheel: Path) -> list[Requirement]:
    """What an index of packages would refuse is refused here; the requirements without extras."""
    with zipfile.ZipFile(wheel) as file:
        raw = file.read(next(name for name in file.namelist() if name.endswith(".dist-info/METADATA")))
    found = Metadata.from_email(raw, validate=True)
    assert found.description, "no description"
    assert found.description_content_type == "text/markdown"
    assert found.license_expression
    assert email.message_from_bytes(raw)["License-File"] == "LICENSE"
    return [each for each in found.requires_dist or [] if each.marker is None]


def fresh(folder: Path, wheel: Path, required: list[Requirement]) -> Path:
    """An environment with the wheel and this one's packages, of which all but the required ones are hidden."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(pip, check=True)
    allowed = closure(required)
    hidden = {
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if not any(plain(name) in allowed for name in packages) and module not in ("nearfar", "pip", "sitecustomize")
    }
    site = next(folder.glob("lib/python*/site-packages"))
    here = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (site / "of_the_other.pth").write_text(f"{here}\n")  # a path alone: what is editable there stays there
    (site / "sitecustomize.py").write_text(f"NAMES = {hidden!r}\n{BLOCK}")
    print(f"{len(allowed)} packages are seen, {len(hidden)} modules of others are hidden")
    return python


def closure(required: list[Requirement]) -> set[str]:
    """The names of packages that are needed, and of those that they need."""
    found: set[str] = set()
    todo = [(each.name, each.extras) for each in required]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        name, extras = todo.pop()
        if (plain(name), frozenset(extras)) in seen:
            continue
        seen.add((plain(name), frozenset(extras)))
        found.add(plain(name))
        try:
            asked = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for each in map(Requirement, asked):
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                todo.append((each.name, each.extras))
    return found


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
