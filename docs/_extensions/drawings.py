"""Drawings become part of their page, so that they follow the site's own switch between light and dark.

Rule: as a file, a drawing follows the system's colours (GitHub, a browser); inside a page, the page's.
The drawing holds both in its own style sheet; nothing is drawn twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("doctree-read", _inline)
    return {"parallel_read_safe": True}


def _inline(app: Any, tree: nodes.document) -> None:
    for image in list(tree.findall(nodes.image)):
        if image["uri"].endswith(".svg") and "://" not in image["uri"]:
            path = Path(app.srcdir, image["uri"])
            app.env.note_dependency(str(path))
            image.replace_self(nodes.raw("", path.read_text(), format="html"))
