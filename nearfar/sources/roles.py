"""What the columns of a table are taken for: by the names that a reader knows, or by those that somebody asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nearfar.sources.tables import Table

__all__ = ["Role", "with_roles"]

Role = tuple[Sequence[str], str | None]
"""The names by which a reader knows a column, and the name of the one that somebody asked for instead."""


def with_roles(table: Table, where: str, roles: Mapping[str, Role]) -> tuple[Table, str]:
    """The table with its columns under the names that a reader knows, and a line on what was taken for what.

    A column that somebody asked for is called by the first name of its role then, and one that had a name of that
    role before is not in the table any more.

    Args:
        table: as it was read.
        where: the table's name in messages.
        roles: by what a column is taken for, in the plural.

    Raises:
        ValueError: there is no column that was asked for, or one was asked for twice.
    """
    columns, taken = dict(table.columns), dict[str, str]()
    for role, (usual, asked) in roles.items():
        found = table.named(asked, where) if asked else next((name for name in usual if name in columns), None)
        if found is None:
            continue
        if asked and found in taken.values():
            raise ValueError(f"the column {found!r} of {where} is asked for twice")
        taken[role] = found
        if asked:
            columns = {n: v for n, v in columns.items() if n == found or n not in usual}
            columns = {usual[0] if n == found else n: v for n, v in columns.items()}
    left = [name for name in table.columns if name not in taken.values()]
    said = ", ".join(f"{name} as {role}" for role, name in taken.items())
    return table._replace(columns=columns), f"columns: {said}" + (f"; not taken: {', '.join(left)}" if left else "")
