"""Numbered pictures of a dossier for docs/reading-a-dossier.md: `python docs/pictures.py demo/case/dossier.pdf`.

What is numbered is found by its words, not by its place, so that another layout needs no change here while the words
stay. Where they do not, the picture fails and says which words it misses. Needs pdftoppm and pdftotext (poppler).
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parent / "pictures"
RESOLUTION = 100
"""Dots per inch."""
RADIUS = 12
"""Pixels, of the discs with numbers."""
COLOUR = (178, 34, 52)
COLOURS = 24
"""Of a picture: enough for text and one ink, and small."""
LARGEST = 150_000
"""Bytes of a picture, less than."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in points, from the top left corner of a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One page, or the strip of it that holds what is numbered."""

    name: str
    """Of the file, without its ending."""
    notes: tuple[str, ...]
    """Regular expressions, in the order of their numbers; the first match behind the first note is meant, else the
    first on the page. Words are joined by single spaces; those on the line of the match's first word are framed."""
    also: str = ""
    """What else has to stand on the page, to tell it from others with the same words."""


PICTURES = (
    Picture(
        name="answer",
        also="What this is not",
        notes=(
            r"Do the weights of .+?\?",
            r"SHA-256 [0-9a-f]{64}",
            r"The candidates among each other",
            r"● Derived",
            r"if independent .*? if derived",
            r"bound [±+−][\d.]+",
            r"(?i)moderate support for derivation",
            r"The findings are about [\d ]+ times more probable",
            r"Rests on",
            r"Does not mean",
            r"What this is not",
        ),
    ),
    Picture(
        name="method",
        notes=(
            r"MLP neurons matched one by one",
            r"Expected\.? Derived: agreement near",
            r"neuron-match [\d.]+, from model-forensics",
            r"Parameters",
        ),
    ),
    Picture(
        name="finding",
        notes=(
            r"MLP neurons matched one by one",
            r"agreement of two matchings",
            r"Outcome",
            r"Read from",
            r"Weight by",
            r"if the MLPs are independent",
            r"In \d+ matched layers",
            r"This case among reference",
        ),
    ),
    Picture(
        name="weighing",
        also="how the findings were weighed",
        notes=(
            r"Result",
            r"Exact tests",
            r"Population",
            r"For derived, met – weight",
            r"For derived, met – tensor groups",
            r"For independent, not met",
        ),
    ),
)  # fmt: skip


class MissingWordsError(Exception):
    """No page holds all that a picture numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The words of one page and where they stand."""

    number: int
    words: tuple[tuple[str, Box], ...]

    @property
    def text(self) -> str:
        """All words, joined by spaces."""
        return " ".join(word for word, _ in self.words)

    def find(self, expression: str, behind: str = "") -> Box | None:
        """The box around the first match behind the first of `behind`, else on the page, as far as one line goes."""
        start = re.search(behind, self.text)
        found = start and re.compile(expression).search(self.text, start.start())
        found = found or re.search(expression, self.text)
        if found is None:
            return None
        at, boxes = 0, []
        for word, box in self.words:
            if at < found.end() and at + len(word) > found.start():
                boxes.append(box)
            at += len(word) + 1
        line = [box for box in boxes if box[1] < boxes[0][3] and box[3] > boxes[0][1]]
        left, top, right, bottom = zip(*line, strict=True)
        return min(left), min(top), max(right), max(bottom)


def pages(pdf: Path) -> list[Page]:
    """Every page with its words, in the order in which pdftotext reads them."""
    told = subprocess.run(["pdftotext", "-bbox", str(pdf), "-"], check=True, capture_output=True).stdout
    tree = ElementTree.fromstring(re.sub(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", b"", told))  # noqa: S314
    space = "{http://www.w3.org/1999/xhtml}"
    sides = ("xMin", "yMin", "xMax", "yMax")
    read = []
    for number, page in enumerate(tree.iter(f"{space}page"), start=1):
        words = [(w.text or "", [float(w.attrib[side]) for side in sides]) for w in page.iter(f"{space}word")]
        read.append(Page(number=number, words=tuple((text, (b[0], b[1], b[2], b[3])) for text, b in words)))
    return read


def chosen(picture: Picture, among: Sequence[Page]) -> tuple[Page, list[Box]]:
    """The first page that holds all that `picture` numbers, with the boxes; MissingWordsError where none does."""
    best: tuple[int, str] = (-1, "")
    for page in among:
        if not re.search(picture.also, page.text):
            continue
        boxes = [page.find(note, picture.notes[0]) for note in picture.notes]
        missing = [note for note, box in zip(picture.notes, boxes, strict=True) if box is None]
        if not missing:
            return page, [box for box in boxes if box is not None]
        best = max(
            best, (-len(missing) + len(boxes), f"page {page.number} comes nearest and lacks {missing}")
        )
    nearest = best[1] or f"no page holds {picture.also!r}"
    raise MissingWordsError(f"{picture.name}: {nearest}; adapt PICTURES in {Path(__file__).name}")


def drawn(page: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """The strip of a rendered page around `boxes`, framed, each with its number beside it where the page is blank."""
    scale = RESOLUTION / 72
    frames = [
        (round(a * scale) - 4, round(b * scale) - 3, round(c * scale) + 4, round(d * scale) + 3)
        for a, b, c, d in boxes
    ]
    blank, pen = page.convert("L"), ImageDraw.Draw(page)
    font, taken = ImageFont.load_default(15), list[tuple[int, int]]()
    for number, frame in enumerate(frames, start=1):
        x, y = _free_place(blank, frame, taken)
        taken.append((x, y))
        pen.rectangle(frame, outline=COLOUR, width=2)
        pen.line((x, y, frame[0] if x < frame[0] else frame[2], (frame[1] + frame[3]) // 2), fill=COLOUR)
        pen.ellipse((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS), fill=COLOUR)
        pen.text((x, y), str(number), fill="white", font=font, anchor="mm")
    top = max(min(frame[1] for frame in frames) - 50, 0)
    return page.crop((0, top, page.width, min(max(frame[3] for frame in frames) + 160, page.height)))


def _free_place(
    blank: Image.Image, frame: tuple[int, ...], taken: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    """Where a number's disc covers nothing: beside its frame, else in the nearer margin, moved down as needed."""
    y = (frame[1] + frame[3]) // 2
    for x in (frame[0] - RADIUS - 1, frame[2] + RADIUS + 1):
        under = blank.crop((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS))
        if under.getextrema()[0] > 200 and all(math.dist((x, y), other) > 2 * RADIUS for other in taken):
            return x, y
    x = 2 * RADIUS if frame[0] + frame[2] < blank.width else blank.width - 2 * RADIUS
    while any(math.dist((x, y), other) <= 2 * RADIUS for other in taken):
        y += RADIUS
    return x, y


def render(pdf: Path, number: int) -> Image.Image:
    """One page as an image."""
    with tempfile.TemporaryDirectory() as folder:
        only = ["-f", str(number), "-l", str(number), "-singlefile"]
        subprocess.run(
            ["pdftoppm", "-r", str(RESOLUTION), "-png", *only, str(pdf), f"{folder}/page"], check=True
        )
        with Image.open(f"{folder}/page.png") as image:
            return image.convert("RGB")


def make(pdf: Path, folder: Path) -> None:
    """All pictures of `pdf` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    read = pages(pdf)
    for picture, (page, boxes) in [(picture, chosen(picture, read)) for picture in PICTURES]:
        path = folder / f"{picture.name}.png"
        inked = drawn(render(pdf, page.number), boxes).quantize(COLOURS, dither=Image.Dither.NONE)
        inked.save(path, optimize=True)
        size = path.stat().st_size
        if size >= LARGEST:
            raise ValueError(f"{path.name} has {size} bytes, more than {LARGEST}")
        print(f"{path.name}: page {page.number}, {inked.width} × {inked.height}, {size} bytes")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("pdf", metavar="DOSSIER.PDF", type=Path, help="of script/demo")
    arguments.add_argument("--out", metavar="DIR", type=Path, default=FOLDER)
    given = arguments.parse_args()
    try:
        make(given.pdf, given.out)
    except MissingWordsError as error:
        sys.exit(f"pictures: {error}")
