"""Imports point one way, and heavy packages are not loaded before they are needed."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import textwrap
import tokenize
from collections.abc import Mapping
from pathlib import Path

import pytest

import nearfar
from nearfar import catalogue

ROOT = Path(nearfar.__file__).parent
FIELDS = {file.parent.name for file in ROOT.glob("*/field.py")}
"""Read from disk: a new field is held to the rules from its first file on."""
BOTTOM = {"system", "spelling"}
"""The contract, and what was meant by a misspelt name: what everything may know."""
BELOW = {
    "system": set(),
    "spelling": set(),
    "losses": set(),
    "common": {"losses"},
    "catalogue": set(),
    "evaluation": {"common"},
    "parts": {"common", "losses"},
    "encoders": {"common", "parts"},
    "sources": {"common"},
    "runs": {"common", "catalogue", "sources"},
    "exporting": {"common", "encoders", "training"},
    "training": {"common", "sources", "runs", "evaluation", "catalogue", "losses"},
    "workflow": {"common", "sources", "runs", "evaluation", "catalogue", "training", "exporting", "encoders"},
    "report": {"common", "sources", "catalogue", "runs", "evaluation", "workflow", "training"},
    "estimator": {"catalogue", "exporting", "runs", "training", "workflow"},
    "testing": {"catalogue", "sources", "runs", "training", "workflow"},
    "reproductions": {"workflow", "estimator", *FIELDS},
    "cli": {"workflow", "report", "reproductions", "estimator", "exporting"},
    **{
        f: {"losses", "parts", "encoders", "sources", "runs", "training", "evaluation", "common", "exporting"}
        for f in FIELDS
    },
}
for top in ("reproductions", "cli"):
    BELOW[top] |= {"losses", "parts", "encoders", "sources", "runs", "training", "evaluation", "common", "catalogue"}
SHARED_ROOMS = {
    "multimodal": ("nearfar.vision.data", "nearfar.vision.views"),
    # Dense pre-training is vision's random crops with their places kept.
    "segmentation": ("nearfar.vision.data", "nearfar.vision.views", "nearfar.vision.method"),
    # Pictures with labels are vision's pictures with a table beside them, their views vision's.
    "taxonomy": ("nearfar.vision.data",),
    # Pictures to learn from and to work on are vision's, those with captions multimodal's.
    "generation": ("nearfar.vision.data", "nearfar.vision.method", "nearfar.multimodal.data"),
    "security": ("nearfar.vision.data", "nearfar.vision.views", "nearfar.vision.method"),
    # Frames are pictures, varied as vision varies them.
    "video": ("nearfar.vision.data", "nearfar.vision.views"),
    "labels": ("nearfar.vision.data", "nearfar.vision.views", "nearfar.vision.method"),
}
"""What a field may take of another: never its methods."""
LONGEST_METHOD = 120
"""Lines of code in a method's file."""
ABOVE_A_FIELD = {"commands": {"workflow", "cli", "catalogue"}}
"""A field's commands are part of the command line, and its module ``commands`` alone may look up to it."""


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


def test_every_room_has_its_place() -> None:
    rooms = {p.name for p in ROOT.iterdir() if p.is_dir() and (p / "__init__.py").is_file()}
    assert rooms <= set(BELOW), f"say in BELOW what {rooms - set(BELOW)} may import, or give it a module field"


def test_dependencies_point_one_way() -> None:
    wrong = []
    for path in files():
        parts = path.relative_to(ROOT).with_suffix("").parts
        room = parts[0]
        if room in ("__init__", "__main__"):
            continue
        for name in imports(path):
            if not name.startswith("nearfar."):
                continue
            target = name.split(".")[1]
            shared = name.startswith(SHARED_ROOMS.get(room, ("-",)))
            allowed = BELOW[room] | BOTTOM | {room}
            if room in FIELDS and len(parts) == 2:
                allowed |= ABOVE_A_FIELD.get(parts[-1], set())
            if target not in allowed and not shared:
                wrong.append(f"{'/'.join(parts)} imports {name}")
    assert not wrong, wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside of functions counted: what two modules need of each other belongs into a third."""
    modules = {}
    for path in files():
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    del modules["nearfar"]  # hands out what users import, when they ask for it
    after = {name: {m for m in _imported(path, modules) if m != name} for name, path in modules.items()}
    while leaves := [name for name, others in after.items() if not others]:
        for name in leaves:
            del after[name]
        after = {name: others - {*leaves} for name, others in after.items()}
    circle = _around(after) if after else []
    assert not circle, f"these import each other: {' -> '.join(circle)}"


def _imported(path: Path, modules: Mapping[str, Path]) -> set[str]:
    """The modules that a file imports; ``from package import module`` means the module."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []  # never imported
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in modules else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules.keys()


def _around(after: Mapping[str, set[str]]) -> list[str]:
    """A circle of a graph in which everything leads on."""
    way = [min(after)]
    while way.count(way[-1]) == 1:
        way.append(min(after[way[-1]]))
    return way[way.index(way[-1]) :]


@pytest.mark.parametrize("package", ["torchvision", "torchaudio"])
def test_packages_without_a_processor_build_are_never_imported(package: str) -> None:
    assert not [p for p in files() if any(n.split(".")[0] == package for n in imports(p))]


def test_no_file_is_too_long_to_explain() -> None:
    assert not [str(p) for p in files() if len(p.read_text().splitlines()) > 420]


def code_lines(text: str) -> int:
    """Lines that are neither blank nor a comment nor a docstring, of modules, classes, functions and attributes."""
    said: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            said.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - said)


def test_lines_of_code_are_counted_without_words() -> None:
    text = '"""Doc\n\nof two."""\n\nx = 1  # why\n"""Of x."""\n# alone\n\n\ndef f():\n    """Doc."""\n'
    text += '    return """a\nb"""\n'
    assert code_lines(text) == 4


def test_no_method_is_longer_than_its_papers_section() -> None:
    """What is longer has a formula that belongs to losses, or machinery that belongs to parts or to its field."""
    own = [p for p in files() if {"methods", "procedures"} & {*p.relative_to(ROOT).parts[1:-1]}]
    assert len(own) > 150
    long = {str(p.relative_to(ROOT)): n for p in own if (n := code_lines(p.read_text())) > LONGEST_METHOD}
    assert not long, long


def test_constructors_do_not_dominate_methods() -> None:
    """Of the first version's methods 46% was ``__init__``; settings that travel together are dataclasses."""
    code = init = 0
    for path in (p for p in files() if p.parent.name == "methods"):
        text = path.read_text()
        code += code_lines(text)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
                init += code_lines(textwrap.dedent("\n".join(lines)))
    assert init / code < 0.4, f"{init / code:.0%} of the methods' code is __init__"


def test_methods_use_the_engines_hooks_and_not_lightnings() -> None:
    """An override of these would take the check for gradients that are not finite away."""
    closed = ("on_before_optimizer_step", "training_step", "configure_optimizers")
    wrong = []
    for path in files():
        if path.relative_to(ROOT).parts[0] in FIELDS:
            tree = ast.walk(ast.parse(path.read_text()))
            wrong += [f"{path.stem}.{n.name}" for n in tree if isinstance(n, ast.FunctionDef) and n.name in closed]
    assert not wrong, wrong


def test_fields_are_declared_and_have_rows() -> None:
    for name in FIELDS:
        assert catalogue.field(name).name == name
    assert set(catalogue.FIELDS) == FIELDS


def test_the_contract_imports_no_torch() -> None:
    code = "import sys, nearfar.catalogue, nearfar.cli.fields as f; f.commands(); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
