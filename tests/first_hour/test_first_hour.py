"""The first hour in its short form."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.first_hour.desk import Desk
from tests.first_hour.people import PEOPLE


@pytest.mark.parametrize("person", PEOPLE)
def test_the_first_hour_of(person: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with desk.sit_down():
        PEOPLE[person](desk)
