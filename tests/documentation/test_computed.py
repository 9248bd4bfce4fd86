"""What pages compute: every mark has an answer from results and benchmarks, and filling twice changes nothing."""

from __future__ import annotations

from types import ModuleType

import pytest

from nearfar.catalogue import ENTRIES, FIELDS
from tests.documentation.blocks import ROOT
from tests.tools import tool

FIELDS_WITH_PAGES = [field for field in FIELDS if field != "taxonomy"]


@pytest.fixture(scope="module")
def computed() -> ModuleType:
    return tool("computed")


def test_every_field_has_a_page_with_all_its_systems(computed) -> None:
    assert {page.stem for page in (ROOT / "docs" / "fields").glob("*.md")} == {"index", *FIELDS_WITH_PAGES}
    for field in FIELDS_WITH_PAGES:
        text = (ROOT / "docs" / "fields" / f"{field}.md").read_text()
        assert f"<!-- computed: systems {field} -->" in text
        for entry in ENTRIES:
            if entry.field == field and entry.kind in ("method", "procedure"):
                assert f"| `{entry.slug}` |" in text, f"make docs: {entry.slug} is missing in the page of {field}"


def test_every_mark_has_an_answer_and_filling_again_changes_nothing(computed) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        once = computed.filled(page.read_text())
        assert computed.filled(once) == once, page
    with pytest.raises(KeyError, match="weather"):
        computed.filled("<!-- computed: weather -->\n<!-- end of computed -->\n")


def test_claims_are_counted_from_the_results(computed) -> None:
    entry = next(entry for entry in ENTRIES if entry.verdict == "holds")
    main = [claim for claim in entry.result["claims"] if claim.get("role", "main") == "main"]
    assert computed.claims(entry).startswith(f"{len(main)} of {len(main)} hold, {entry.result['seeds']} seeds")
    contradicted = next(entry for entry in ENTRIES if entry.verdict == "contradicted")
    assert "contradicted" in computed.claims(contradicted)
