"""From what is known to one HTML file: templates by Jinja2, which escapes, and a policy that lets nothing be loaded."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from nearfar.report import charts, embedding
from nearfar.report.embedding import Mapped


def filled(
    template: str, content: Mapping[str, Any], drawn: Mapping[str, Mapping[str, Any]], found: Mapped | None = None
) -> str:
    """A page as text, with its style, its script and, where it draws, the charts' library.

    Args:
        template: a file of ``template/``.
        content: what it names.
        drawn: charts with ``title`` and ``item``, by the place where they are drawn.
        found: a map.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("nearfar.report", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.policies["json.dumps_kwargs"] = {}  # Bokeh reads what is defined in the order in which it is written
    source = pages.loader
    assert source is not None
    read = [source.get_source(pages, name)[0] for name in ("page.css", "page.js")]
    some = bool(drawn) or found is not None
    scripts = [charts.library().replace("</script", "<\\/script"), read[1]] if some else [read[1]]
    items = {name: each["item"] for name, each in drawn.items()}
    data: dict[str, Any] = {"charts": items, "map": None}
    if found is not None:
        data = {"charts": {"map": embedding.chart(found), **items}, "map": embedding.as_data(found)}
    return pages.get_template(template).render(
        **content,
        style=read[0],
        scripts=scripts,
        digests=[base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts],
        charts={name: each["title"] for name, each in drawn.items()},
        data=data,
    )
