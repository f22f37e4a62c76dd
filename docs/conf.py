"""Settings of the documentation: `make docs` writes it to docs/_build."""

from fastnn import __version__

project = "fastnn"
author = "The fastnn developers"
release = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_parser"]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = f"fastnn {release}"
numpydoc_show_class_members = False
autodoc_default_options = {"members": True}
myst_heading_anchors = 2
