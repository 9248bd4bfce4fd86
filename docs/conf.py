"""The documentation site: Markdown pages and the API from docstrings. Built by ``make docs``; fetches nothing."""

from __future__ import annotations

import inspect
import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

import nearfar

logger = logging.getLogger(__name__)

project = "nearfar"
author = "The nearfar developers"
copyright = author
version = release = nearfar.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
    "sphinx_copybutton",
]
exclude_patterns = ["pictures/**"]
html_theme = "furo"
html_title = "nearfar"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
templates_path: list[str] = []

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence", "attrs_block"]
myst_heading_anchors = 3
nb_execution_mode = "off"
copybutton_exclude = ".linenos, .gp, .go"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
add_module_names = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
nitpicky = False


def _visit_math(self: Any, node: nodes.Element) -> None:
    """A formula as MathML, which browsers draw by themselves."""
    formula = re.sub(r"\\(Big|big|Bigg|bigg)(?![a-zA-Z])", r"\\\1l", node.astext())  # docutils knows these with a side
    try:
        self.body.append(latex2mathml.tex2mathml(formula, as_block=isinstance(node, nodes.math_block)))
    except MathError as error:
        logger.warning("%s in the formula %s", error, formula, location=node)
    raise nodes.SkipNode


def _own_members(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class has from elsewhere, such as torch or Lightning."""
    module = getattr(inspect.unwrap(obj) if callable(obj) else obj, "__module__", None)
    if isinstance(module, str) and not module.startswith("nearfar") and what == "class":
        return True
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math, None))
    app.connect("autodoc-skip-member", _own_members)
    return {"parallel_read_safe": True}
