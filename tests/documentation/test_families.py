"""Pages of families and forest plots: every measured main claim is drawn once, where its numbers say, and readably."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from types import ModuleType

import pytest

from nearfar.catalogue import ENTRIES
from nearfar.catalogue.taxonomy.families import FAMILIES
from nearfar.catalogue.terms import answers, terms
from tests.tools import tool


@pytest.fixture(scope="module")
def families() -> ModuleType:
    return tool("families")


def test_every_family_has_words_and_a_page_with_its_systems(families) -> None:
    assert set(FAMILIES) == set(answers("loss"))
    pages = families.families()
    for entry in ENTRIES:
        for family in terms(entry).get("loss", ()):
            assert f"| `{entry.slug}` |" in pages[f"{families.slug(family)}.md"]
    assert all(FAMILIES[name].known in pages[f"{families.slug(name)}.md"] for name in FAMILIES)


def test_every_main_claim_is_in_one_forest(families) -> None:
    _, pictures = families.forests()
    dots, rows = 0, 0
    for picture in pictures.values():
        nodes = [*ET.fromstring(picture).iter()]
        dots += sum(node.tag.endswith(("circle", "rect")) for node in nodes)
        rows += sum(node.tag.endswith("text") and node.get("x") == "190" for node in nodes)
    claims = [claim for e in ENTRIES if e.result for claim in families.main_claims(e.result)]
    assert rows == len(claims)
    assert dots == sum(math.isfinite(claim["low"]) for claim in claims)


def test_places_keep_order_and_sign_and_end_at_the_ends(families) -> None:
    values = [-5.0, -0.5, -0.02, 0.0, 0.0004, 0.03, 0.5]
    places = [families.place(value, 0.5) for value in values]
    assert places == sorted(places)
    assert places[3] == 0.5
    assert places[0] == 0.0
    assert places[-1] == 1.0
    assert families.place(0.1, 0.5) + families.place(-0.1, 0.5) == pytest.approx(1)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("ground", ["#ffffff", "#131416"])
def test_colours_are_read_on_white_and_on_dark(families, ground: str) -> None:
    for colour in (families.INK, *families.COLOURS.values()):
        dark, light = sorted((luminance(colour), luminance(ground)))
        assert (light + 0.05) / (dark + 0.05) >= 4
