"""How Sphinx makes a site of these pages; `script/docs` runs it.

The pages are plain Markdown, as a code host shows them too: what only the site needs stands here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

NAVIGATION: Mapping[str, tuple[str, ...]] = {
    "Using it": ("reading-a-dossier", "worked-case", "commands", "shipping", "policy", "emitting"),
    "What it rests on": ("methods", "validation", "calibrating", "threats"),
    "Building on it": ("writing-a-probe", "architecture"),
}
"""Pages by heading, in the order of the sidebar. One that lies in docs/ and is not named fails the build."""

project = "model-forensics"
author = "The model-forensics authors"
version = release = metadata.version("model-forensics")
html_title = f"{project} {version}"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
myst_heading_anchors = 3
html_theme = "furo"
html_copy_source = False
html_use_index = False
html_show_copyright = False
html_permalinks_icon = "#"
smartquotes = False  # `--option` and quoted names are meant as they are written

FETCHED = re.compile(
    r"<(?:script|img|iframe|source|embed)\b[^>]*\bsrc=\"(?P<src>[^\"]+)\""
    r"|<link\b(?=[^>]*\brel=\"(?:stylesheet|preload|preconnect|icon|manifest)[^\"]*\")[^>]*\bhref=\"(?P<href>[^\"]+)\""
    r"|url\(\s*['\"]?(?P<url>[^'\")]+)"
    r"|@import\s+['\"](?P<style>[^'\"]+)"
)
"""What a browser fetches by itself when it shows a page or reads a style sheet."""


def fetched_elsewhere(site: Path) -> Iterator[str]:
    """`FILE: ADDRESS` of everything that a built page would fetch from another host: there must be nothing."""
    for path in sorted(site.rglob("*")):
        if path.suffix in (".html", ".css"):
            for found in FETCHED.finditer(path.read_text(encoding="utf-8")):
                address = next(filter(None, found.groups()))
                if re.match(r"(?:https?:)?//", address):
                    yield f"{path.relative_to(site)}: {address}"


def adapt(_app: Any, page: str, source: list[str]) -> None:
    """Adds what only the site needs: links to files as files, and the sidebar's lists on the start page."""
    # Markdown outside docs/ is no page of the site: it travels as a file, like every other file of the repository.
    source[0] = re.sub(r"\]\((\.\./[^)#\s]+\.md)(?:#[^)\s]*)?\)", r"](path:\1)", source[0])
    if page != root_doc:
        return
    for heading, pages in NAVIGATION.items():
        there = "\n".join(name for name in pages if (HERE / f"{name}.md").exists())
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{there}\n```\n"


def refuse_other_hosts(app: Any, failure: Exception | None) -> None:
    """Fails a build whose pages would fetch anything from elsewhere."""
    from sphinx.errors import SphinxError

    foreign = [] if failure else list(fetched_elsewhere(Path(app.outdir)))
    if foreign:
        raise SphinxError("the site would fetch from other hosts:\n" + "\n".join(foreign))


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx: the two steps of ours."""
    app.connect("source-read", adapt)
    app.connect("build-finished", refuse_other_hosts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
