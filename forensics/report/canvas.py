"""The ground that figures are drawn on: settings that make an SVG's bytes repeatable, and the finished drawing."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

MM = 1 / 25.4
INK, GREY, PALE = "#1b2430", "#7a828c", "#d9dde2"


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
    }
    with matplotlib.rc_context(rc=settings):
        yield Figure(figsize=(width * MM, height * MM))


def svg_of(figure: Figure) -> str:
    """The figure as an SVG document without date or program name."""
    page = io.BytesIO()
    with warnings.catch_warnings():
        # Text stays text: whoever displays the figure brings the font for scripts that DejaVu lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(page, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return page.getvalue().decode()
