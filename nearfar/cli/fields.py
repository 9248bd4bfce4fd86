"""Commands that fields bring along: ``COMMANDS`` of ``nearfar.<field>.commands``, found by looking.

Such a module is light: its functions import what they need when they are called.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

import nearfar
from nearfar.system import Command, UsageError

Claims = list[tuple[str, Command]]


def commands() -> dict[str, Claims]:
    """The fields that have a command of each name, by name."""
    found: dict[str, Claims] = {}
    for file in sorted(Path(nearfar.__file__).parent.glob("*/commands.py")):
        of_field = importlib.import_module(f"nearfar.{file.parent.name}.commands").COMMANDS
        for name, command in of_field.items():
            found.setdefault(name, []).append((file.parent.name, command))
    return dict(sorted(found.items()))


def choose(name: str, claims: Claims, words: Sequence[str]) -> int:
    """Run the command of the field that is meant: named by ``--field``, by a system or a run among the words,
    or by the kind of files that they name.

    Raises:
        UsageError: several fields have such a command and nothing tells which is meant.
    """
    words = list(words)
    wanted = _named_field(words)
    if wanted is None and len(claims) > 1:
        wanted = next((f for f in map(_field_of, words) if f in dict(claims)), None)
    if wanted is None and len(claims) > 1:
        wanted = next((field for field, command in claims if command.meant is not None and command.meant(words)), None)
    if wanted is None:
        default = [field for field, command in claims if command.default]
        wanted = claims[0][0] if len(claims) == 1 else default[0] if default else None
    if wanted is None and {"-h", "--help"} & set(words):
        print(f"usage: nearfar {name} [--field FIELD] ...\n\n{helps(claims)}")
        print(f"\nA run among the words tells the field; nearfar {name} --field FIELD --help shows its arguments.")
        return 0
    command = dict(claims).get(wanted or "")
    if command is None:
        fields = ", ".join(field for field, _ in claims)
        what = f"the field {wanted!r} has none" if wanted else "give --field"
        raise UsageError(f"nearfar {name} is a command of the fields {fields}; {what}")
    return command.run(words)


def helps(claims: Claims) -> str:
    """What the command does in each of its fields, a line each."""
    width = max(len(field) for field, _ in claims)
    return "\n".join(f"  {field:<{width}}  {command.help}" for field, command in claims)


def _named_field(words: list[str]) -> str | None:
    """The value of ``--field``, which is taken out of the words."""
    for position, word in enumerate(words):
        if word == "--field" and position + 1 < len(words):
            del words[position]
            return words.pop(position)
        if word.startswith("--field="):
            return words.pop(position).partition("=")[2]
    return None


def _field_of(word: str) -> str | None:
    """The field of a system that is called so, or of a run in a folder of that name."""
    from nearfar.catalogue import ENTRIES, find

    slugs = {entry.slug: entry.field for entry in ENTRIES}
    if word in slugs:
        return slugs[word]
    if (Path(word) / "config.yaml").is_file():
        from nearfar.runs.run import Run

        return find(Run.open(word).config["method"]).field
    return None
