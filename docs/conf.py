"""How Sphinx makes the site: `./dev docs`.

Rule: the pages are what GitHub shows, as they stand. Whatever only the site needs is done here and in
`_extensions/`, so that a page has no line for Sphinx alone (`index.md`, the navigation, is one).
"""

from __future__ import annotations

import sys
from pathlib import Path

from keptalive import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "keptalive"
author = "The keptalive developers"
copyright = author  # Sphinx's name
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings", "drawings"]
source_suffix = {".md": "markdown"}
suppress_warnings = ["toc.empty_glob"]  # a section of the navigation may have no page yet
exclude_patterns = ["_build"]
templates_path: list[str] = []

# Headings have GitHub's anchors, so a link into a page works here and there.
myst_heading_anchors = 4
myst_enable_extensions: list[str] = []

# `-n` holds the public names to account: keptalive.Policy, keptalive.lab.Lab. The standard library's have
# their documentation elsewhere, and those of inner modules are on the page only where it matters.
nitpick_ignore_regex = [("py:.*", r"(?!keptalive\.(lab\.)?[A-Z]).*")]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
default_role = "code"
smartquotes = False  # what is to be typed stays as it is typed

html_theme = "furo"
html_title = "keptalive"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "default"
pygments_dark_style = "github-dark"
