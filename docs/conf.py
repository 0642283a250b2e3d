"""Sphinx builds the pages with this: `make docs`."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from amaranth.hdl import Elaboratable
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.inspect import stringify_signature

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs.api import write_api_pages  # noqa: E402
from golden.manifest import VERSION  # noqa: E402

project, release = "dmp-core", VERSION
author = "the authors of dmp-core"
copyright = f"2026, {author}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
exclude_patterns = ["results/*", "findings/*"]
smartquotes = False  # they would change the dashes of options
html_theme = "furo"
html_title = f"dmp-core {release}"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # the registers' headings are below those of any page

highlight_language = "none"
default_role = "literal"  # single backquotes in docstrings are code
napoleon_google_docstring = False
napoleon_custom_sections = [("Members", "params_style")]
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "exclude-members": "elaborate",
    "member-order": "bysource",
}
# Slow, and needed by nothing here.
autodoc_mock_imports = ["torch", "snntorch", "h5py", "dask", "distributed"]
autodoc_typehints = "signature"
python_maximum_signature_line_length = 90

TIMING = re.compile("Latency|Throughput")


def _visit_inline(self: Any, node: nodes.math) -> None:
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _visit_block(self: Any, node: nodes.math_block) -> None:
    self.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def _arrange(app: Any, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """Bring a docstring into the form that Sphinx reads: what is indented before its first section
    (equations, code) is a literal block, and latency and throughput come before the sections.
    """
    rules = [i for i, line in enumerate(lines) if line.startswith("---")]
    end = rules[0] - 1 if rules else len(lines)
    last = next((i for i in range(end, len(lines)) if TIMING.match(lines[i])), len(lines))
    lines[:] = [*lines[:end], *lines[last:], "", *lines[end:last]]
    for i in range(end - 1, 0, -1):
        if lines[i].startswith("    ") and not lines[i - 1]:
            lines[i:i] = ["::", ""]


def _sign(app: Any, what: str, name: str, of: Any, *_: Any) -> tuple[str, str] | None:
    """Give a component the signature of its `__init__`: Amaranth's bases hide it."""
    if what != "class" or not issubclass(of, Elaboratable):
        return None
    signature = inspect.signature(of.__init__)
    kept = [value for key, value in signature.parameters.items() if key != "self"]
    signature = signature.replace(parameters=kept, return_annotation=signature.empty)
    return stringify_signature(signature, unqualified_typehints=True), ""


def setup(app: Any) -> None:
    """Write the pages of the API, and let browsers set the equations: no script, no network."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    app.connect("autodoc-process-docstring", _arrange, priority=100)  # napoleon comes after it
    app.connect("autodoc-process-signature", _sign)
    write_api_pages(ROOT)
