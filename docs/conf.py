"""Settings of the documentation: `make docs` writes it to docs/_build."""

from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

from fastnn import __version__

project = "fastnn"
author = "The fastnn developers"
release = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_parser"]
exclude_patterns = ["_build", "benchmark_tables.md"]
html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"fastnn {release}"
numpydoc_show_class_members = False
autodoc_default_options = {"members": True}
autodoc_typehints = "none"  # the lists of parameters say the types in words
python_maximum_signature_line_length = 88
myst_heading_anchors = 3

# Tables that `make bench TABLE=docs/benchmark_tables.md` has written, on the page about benchmarks.
_tables = Path(__file__).with_name("benchmark_tables.md")
_how = "Make them on your machine: `make bench TABLE=docs/benchmark_tables.md`."
myst_enable_extensions = ["dollarmath", "substitution"]
myst_substitutions = {"benchmark_tables": _tables.read_text("utf-8") if _tables.exists() else _how}


def write_mathml(self, node):
    """Write a formula as MathML, which browsers draw themselves: no script from another host."""
    try:
        self.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    except MathError as error:
        logging.getLogger(__name__).warning(f"{error} in {node.astext()!r}", location=node)
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (write_mathml, None), (write_mathml, None))
