"""Sphinx: make docs."""

import importlib.metadata

project = "microreg"
author = "microreg authors"
release = importlib.metadata.version("microreg")
extensions = [
    "matplotlib.sphinxext.mathmpl",  # formulas as pictures: pages need nothing from elsewhere
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
mathmpl_fontsize = 14.0
mathmpl_srcset = ["2x"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {
    "description": "Small networks whose subject is regularization",
    "fixed_sidebar": True,
    "page_width": "76rem",
    "body_max_width": "none",
    "code_font_size": "0.8em",
}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_custom_sections = ["Shapes"]
suppress_warnings = ["docutils", "ref.python"]  # formulas in docstrings are plain text
