"""Sphinx: make docs."""

import importlib.metadata

project = "microreg"
author = "microreg authors"
release = importlib.metadata.version("microreg")
extensions = ["sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Small networks whose subject is regularization",
    "fixed_sidebar": True,
    "page_width": "68rem",
}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_custom_sections = ["Shapes"]
suppress_warnings = ["docutils", "ref.python"]  # formulas in docstrings are plain text
