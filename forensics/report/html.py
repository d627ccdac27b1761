"""A dossier as one HTML document that works offline: style and figures inlined, nothing fetched, nothing executed.

Every expression that a template prints passes through `display` (jinja2's `finalize`) and is then escaped, so
no template can forget it; only our own style sheet and figures are marked as safe.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from forensics.records import Dossier
from forensics.report import among, claims, margins, numbers, parties, posterior, relations, self_test, view
from forensics.report.chapters import Chapter, chapters
from forensics.report.display import Shown, display, isolate
from forensics.report.gallery import pictures, strips
from forensics.report.grids import grid, row_cap

if TYPE_CHECKING:
    from jinja2 import Environment

WIDTHS = "".join(f".w{share} {{ width: {share}%; }}\n" for share in range(1, 101))
"""Classes for widths in per cent: the page's content policy allows no style attribute."""

OFFERED = '<a download="dossier.json" href="data:application/json;base64,'
"""How the page offers its record for saving: once, and nothing else in this way."""

EMBED_LIMIT = 8_000_000
"""Bytes of record up to which the page offers it for saving."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleBand:
    """One row of the verbal scale: likelihood ratios above `above` up to `up_to` (None: without end)."""

    above: float
    up_to: float | None
    words: str


def html_of(dossier: Dossier, record: bytes) -> str:
    """The report as a standalone page; `record` is the dossier's own bytes, hashed and offered for saving."""
    return _page(dossier, record, screen=True)


def html_for_paper(dossier: Dossier, record: bytes) -> str:
    """The same page without the copy of the record, which a PDF carries as an attachment."""
    return _page(dossier, record, screen=False)


def template_text(name: str) -> str:
    """A file of the templates room."""
    return resources.files("forensics.templates").joinpath(name).read_text("utf-8")


def _page(dossier: Dossier, record: bytes, *, screen: bool) -> str:
    """Fills the template with the dossier and what `view`, `grids` and `gallery` make of it."""
    from markupsafe import Markup

    offer = screen and len(record) <= EMBED_LIMIT
    answers = view.answers(dossier)
    sections = view.probe_sections(dossier)
    measured = view.measured(dossier)
    css = template_text("dossier.css") + template_text("screen.css" if screen else "print.css") + WIDTHS
    context: dict[str, Any] = {
        "dossier": dossier,
        "answers": answers,
        "candidates": [answer for answer in answers if answer.role == "candidate"],
        "controls": [answer for answer in answers if answer.role == "control"],
        "sections": sections,
        "tags": view.tags(dossier),
        "chapters": chapters(dossier, sections),
        "strips": strips(answers),
        "pictures": pictures(sections, view.tags(dossier)),
        "row_cap": row_cap([table for found in measured for table in found.tables]),
        "file_cap": max(20, min(view.ROWS, 4000 // max(1, len(dossier.subjects)))),
        "posteriors": posterior.posteriors(dossier.opinions),
        "scale": _scale(dossier.environment.verbal_scale),
        "record_sha256": hashlib.sha256(record).hexdigest(),
        "record_size": len(record),
        "offered": Markup(OFFERED),  # noqa: S704 - our own words
        "record_base64": Markup(base64.b64encode(record).decode()) if offer else None,  # noqa: S704 - base64 only
        "screen": screen,
        "css": Markup(css),  # noqa: S704 - our own file
        "css_sha256": Markup(base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()),  # noqa: S704
    }
    return _environment().get_template("dossier.html.j2").render(context)


def _environment() -> Environment:
    """Templates from the package only, escaping always on, an unknown name an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(template_text),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        among=among,
        claims=claims,
        margins=margins,
        numbers=numbers,
        parties=parties,
        view=view,
        relations=relations,
        self_test=self_test,
        grid=grid,
        find_chapter=_find_chapter,
        ROWS=view.ROWS,
        UNEXAMINED=view.UNEXAMINED,
    )
    return environment


def _shown(value: object) -> object:
    """What a template prints: text through the hygiene filter, our own markup and undefined names as they are."""
    if isinstance(value, str) and not isinstance(value, Shown) and not hasattr(value, "__html__"):
        return isolate(display(value))
    return value


def _find_chapter(found: Sequence[Chapter], key: str) -> Chapter:
    """The chapter of this key; a template that names an unknown one is a bug."""
    return next(chapter for chapter in found if chapter.key == key)


def _scale(name: str) -> tuple[ScaleBand, ...]:
    """The verbal scale that the record used, or nothing where this version ships another one."""
    text = resources.files("forensics").joinpath("evidence/reference/verbal-scale.json").read_text("utf-8")
    found = json.loads(text)
    if name != f"{found['id']}/{found['version']}":
        return ()
    edges = [1.0, *(band["up_to"] for band in found["bands"])]
    return tuple(
        ScaleBand(above=above, up_to=band["up_to"], words=band["words"])
        for above, band in zip(edges, found["bands"], strict=False)
    )
