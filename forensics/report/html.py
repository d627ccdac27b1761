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
from forensics.report import (
    among,
    claims,
    front,
    glossary,
    margins,
    numbers,
    parties,
    posterior,
    relations,
    reproduce,
    self_test,
    validated,
    view,
    wording,
)
from forensics.report.chapters import Chapter, chapters, only_answer, spoke
from forensics.report.display import Shown, display, isolate
from forensics.report.faces import font_faces
from forensics.report.gallery import pictures, strips, weighed
from forensics.report.grids import grid, row_cap

if TYPE_CHECKING:
    from jinja2 import Environment

WIDTHS = "".join(f".w{share} {{ width: {share}%; }}\n" for share in range(1, 101))
"""Classes for widths in per cent: the page's content policy allows no style attribute."""

OFFERED = '<a download="dossier.json" href="data:application/json;base64,'
"""How the page offers its record for saving: once, and nothing else in this way."""

EMBED_LIMIT = 8_000_000
"""Bytes of record up to which the page offers it for saving."""


PAPER_ROWS, PAPER_FILES, PAPER_UNEXAMINED = 10, 60, 15
"""Rows of a table, files of a subject and unexamined tensors that are printed on paper; the page shows more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleBand:
    """One row of the verbal scale: likelihood ratios above `above` up to `up_to` (None: without end)."""

    above: float
    up_to: float | None
    words: str


_LAST: list[Any] = []
"""The dossier whose pictures were drawn last, and these."""


def html_of(dossier: Dossier, record: bytes) -> str:
    """The report as a standalone page; `record` is the dossier's own bytes, hashed and offered for saving."""
    return _filled({**_shared(dossier, record, screen=True), **_chapters(dossier, screen=True)}, screen=True)


def html_for_paper(dossier: Dossier, record: bytes) -> str:
    """The same page without the copy of the record, which a PDF carries as an attachment; long tables are cut."""
    return _filled(
        {**_shared(dossier, record, screen=False), **_chapters(dossier, screen=False)}, screen=False
    )


def summary_of(dossier: Dossier, record: bytes, *, screen: bool) -> str:
    """The first page alone, for the screen or for paper; `record` is hashed and not offered."""
    context = _shared(dossier, record, screen=screen)
    return _filled({**context, "summary": True, "chapters": only_answer()}, screen=screen)


def template_text(name: str) -> str:
    """A file of the templates room."""
    return resources.files("forensics.templates").joinpath(name).read_text("utf-8")


def _filled(context: dict[str, Any], *, screen: bool) -> str:
    """The page of a context, with its style sheet and the digest that the content policy asks for."""
    from markupsafe import Markup

    own = "screen.css" if screen else "print.css"
    css = font_faces(inline=screen) + template_text("dossier.css") + template_text(own) + WIDTHS
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    style = {"css": Markup(css), "css_sha256": Markup(digest)}  # noqa: S704 - our own file
    return _environment().get_template("dossier.html.j2").render({**context, **style})


def _shared(dossier: Dossier, record: bytes, *, screen: bool) -> dict[str, Any]:
    """What the first page needs."""
    answers = view.answers(dossier)
    candidates = [answer for answer in answers if answer.role == "candidate"]
    return {
        "dossier": dossier,
        "summary": False,
        "screen": screen,
        "answers": answers,
        "candidates": candidates,
        "controls": [answer for answer in answers if answer.role == "control"],
        "first": front.front(candidates, dossier.case.suspect),
        "tags": view.tags(dossier),
        "strips": strips(answers),
        "record_sha256": hashlib.sha256(record).hexdigest(),
        "record_size": len(record),
        **_offer(record, screen=screen),
    }


def _offer(record: bytes, *, screen: bool) -> dict[str, Any]:
    """The record for saving from the page, where it is not too large."""
    from markupsafe import Markup

    offer = screen and len(record) <= EMBED_LIMIT
    return {
        "offered": Markup(OFFERED),  # noqa: S704 - our own words
        "record_base64": Markup(base64.b64encode(record).decode()) if offer else None,  # noqa: S704 - base64 only
    }


def _chapters(dossier: Dossier, *, screen: bool) -> dict[str, Any]:
    """What the chapters need; on paper tables are shorter, for the record holds them whole."""
    answers = view.answers(dossier)
    sections = view.probe_sections(dossier)
    cap = row_cap([table for found in view.measured(dossier) for table in found.tables])
    per_subject = max(20, min(view.ROWS, 4000 // max(1, len(dossier.subjects))))
    return {
        "sections": sections,
        "places": [k for k, section in enumerate(sections) if spoke(section)],
        "silent": not all(map(spoke, sections)),
        "chapters": chapters(dossier, sections),
        "standings": wording.standings(answers),
        **_drawn(dossier, sections, answers),
        "row_cap": cap if screen else min(cap, PAPER_ROWS),
        "file_cap": per_subject if screen else min(per_subject, PAPER_FILES),
        "unexamined_cap": view.UNEXAMINED if screen else PAPER_UNEXAMINED,
        "posteriors": posterior.posteriors(dossier.opinions),
        "validations": validated.validated(dossier),
        "nearness": validated.nearness(dossier),
        "scale": _scale(dossier.environment.verbal_scale),
        "glossary": glossary.GLOSSARY,
        "references": glossary.REFERENCES,
    }


def _drawn(
    dossier: Dossier, sections: Sequence[view.ProbeSection], answers: Sequence[view.Answer]
) -> dict[str, Any]:
    """The pictures, which take longest: drawn once where page and PDF of one case are made one after another."""
    if not _LAST or _LAST[0] is not dossier:
        made = {"pictures": pictures(sections, view.tags(dossier)), "weighed": weighed(answers)}
        _LAST[:] = [dossier, made]
    found: dict[str, Any] = _LAST[1]
    return found


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
        front=front,
        margins=margins,
        numbers=numbers,
        parties=parties,
        view=view,
        relations=relations,
        reproduce=reproduce,
        self_test=self_test,
        wording=wording,
        grid=grid,
        spoke=spoke,
        find_chapter=_find_chapter,
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
