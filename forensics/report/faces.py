"""The shipped typefaces, as style rules: by name for the typesetter, inlined for a page that must work offline.

They are subsets of IBM Plex (SIL Open Font License) under names of their own, as its licence asks of changed versions.
Where a text needs a glyph that they lack, a font of the system takes its place.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from importlib import resources

FACES = (
    ("Dossier Sans", "normal", "DossierSans-Regular.woff2"),
    ("Dossier Sans", "bold", "DossierSans-SemiBold.woff2"),
    ("Dossier Serif", "normal", "DossierSerif-Regular.woff2"),
    ("Dossier Serif", "bold", "DossierSerif-SemiBold.woff2"),
    ("Dossier Mono", "normal", "DossierMono-Regular.woff2"),
)
"""Family, weight and file."""


def font_bytes() -> dict[str, bytes]:
    """Every shipped font by its file's name."""
    folder = resources.files("forensics.templates").joinpath("fonts")
    return {name: folder.joinpath(name).read_bytes() for _, _, name in FACES}


@lru_cache(maxsize=2)
def font_faces(*, inline: bool) -> str:
    """`@font-face` rules, with the fonts themselves in them or with names that only the typesetter knows."""
    found = font_bytes() if inline else {}
    return "".join(
        f'@font-face {{ font-family: "{family}"; font-weight: {weight}; src: url("{_address(name, found)}"); }}\n'
        for family, weight, name in FACES
    )


def _address(name: str, found: dict[str, bytes]) -> str:
    if name not in found:
        return f"asset:{name}"
    return "data:font/woff2;base64," + base64.b64encode(found[name]).decode()
