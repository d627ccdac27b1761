"""The ground that figures are drawn on: settings that make an SVG's bytes repeatable, and the finished drawing."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.report.display import display

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

MM = 1 / 25.4
INK, GREY, PALE, DERIVED = "#1b2430", "#7a828c", "#d9dde2", "#a9c4d6"
HATCH = "////"
"""What is drawn of derived pairs is hatched, of unrelated ones plain, in every figure."""
SMALL = 6.0
"""Smallest letters of a figure but for the numbers in a heat map's cells, in points at print size."""
WIDTH = 166.0
"""Width of the text column on paper, in mm."""
LARGEST = 1e100
"""Values are clipped here: axis arithmetic must not overflow on a hostile series."""
REMEMBERED = 128
"""Drawings kept, since a case is told as a page and as a PDF with the same figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One figure: the SVG document and the words for who cannot see it."""

    svg: str
    alt: str
    width: float
    """Natural width in mm."""
    note: str = ""
    """What was left out, if anything was."""

    @property
    def uri(self) -> Markup:
        """The figure as a `data:` address, so that nothing needs fetching."""
        from markupsafe import Markup

        return Markup("data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode())  # noqa: S704


def short(text: str, limit: int = 34) -> str:
    """Hostile text for a legend or axis: shown by the one filter, cut short."""
    text = display(text, 4 * limit)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    # matplotlib hides labels that begin with an underscore
    return f" {text}" if text.startswith("_") else text


@contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of `width` × `height` mm under settings that make its bytes repeatable."""
    import logging

    import matplotlib

    logging.getLogger("matplotlib").setLevel(
        logging.ERROR
    )  # an unwritable home is no news in the middle of an answer
    from matplotlib.figure import Figure

    settings: dict[str, Any] = {
        "svg.hashsalt": "forensics",
        "svg.fonttype": "none",
        "font.family": ["DejaVu Sans"],
        "font.size": 7.0,
        "text.parse_math": False,  # names of a subject are text, never formulas
        "text.color": INK,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.5,
        "axes.titlesize": 7.0,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": True,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.major.width": 0.5,
        "ytick.major.width": 0.5,
        "legend.frameon": False,
        "hatch.linewidth": 0.4,
    }
    with matplotlib.rc_context(rc=settings):
        yield Figure(figsize=(width * MM, height * MM))


def svg_of(figure: Figure) -> str:
    """The figure as an SVG document without date or program name."""
    page = io.BytesIO()
    with warnings.catch_warnings():
        # Text stays text: whoever displays the figure brings the font for scripts that DejaVu lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # A stranger's words may leave a picture no room: it is drawn as it is.
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        figure.savefig(page, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return page.getvalue().decode()
