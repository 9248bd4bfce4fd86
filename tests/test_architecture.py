"""Imports point one way, and heavy packages are not loaded before they are needed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nearfar

ROOT = Path(nearfar.__file__).parent
FIELDS = {"vision", "segmentation", "text", "graph", "multimodal"}
BELOW = {
    "losses": set(),
    "catalogue": set(),
    "evaluation": set(),
    "training": {"evaluation", "catalogue", "losses"},
    "parts": set(),
    "encoders": set(),
    "report": {"catalogue", "training"},
    "workflow": {"catalogue", "evaluation", "training"},
    "estimator": {"catalogue", "training", "workflow"},
    **{field: {"losses", "parts", "encoders", "training", "evaluation"} for field in FIELDS},
}
ROOMS_OF_VISION = {
    "multimodal": ("nearfar.vision.data", "nearfar.vision.views"),
    # Dense pre-training is vision's random crops with their places kept.
    "segmentation": ("nearfar.vision.data", "nearfar.vision.views", "nearfar.vision.method"),
}


def imports(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


def files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def test_dependencies_point_one_way() -> None:
    wrong = []
    for path in files():
        parts = path.relative_to(ROOT).with_suffix("").parts
        room = parts[0]
        if room not in BELOW:
            continue
        for name in imports(path):
            if not name.startswith("nearfar."):
                continue
            target = name.split(".")[1]
            vision = name.startswith(ROOMS_OF_VISION.get(room, ("-",)))
            # A run's pictures need the trained run, which only the workflow can open.
            pictures = parts[-1] == "pictures" and target == "workflow"
            if target not in BELOW[room] | {room} and not vision and not pictures:
                wrong.append(f"{'/'.join(parts)} imports {name}")
    assert not wrong, wrong


@pytest.mark.parametrize("package", ["torchvision", "torchaudio"])
def test_packages_without_a_processor_build_are_never_imported(package: str) -> None:
    assert not [p for p in files() if any(n.split(".")[0] == package for n in imports(p))]


def test_no_file_is_too_long_to_explain() -> None:
    assert not [str(p) for p in files() if len(p.read_text().splitlines()) > 420]


def test_methods_use_the_engines_hooks_and_not_lightnings() -> None:
    """An override of these would take the check for gradients that are not finite away."""
    closed = ("on_before_optimizer_step", "training_step", "configure_optimizers")
    wrong = []
    for path in files():
        if path.relative_to(ROOT).parts[0] in FIELDS:
            tree = ast.walk(ast.parse(path.read_text()))
            wrong += [f"{path.stem}.{n.name}" for n in tree if isinstance(n, ast.FunctionDef) and n.name in closed]
    assert not wrong, wrong
