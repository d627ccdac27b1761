"""Makes forensics/licences/samples.json from a folder of licence texts, which are not in this repository.

    python -m benchmarks.licence_samples FOLDER

FOLDER is ScanCode's licence data (`licensedcode/data/licenses`, one KEY.LICENSE each, YAML between dashes first). The
table holds hashes of word shingles only: nothing of a text can be read from it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from forensics.licences.known import FORM, sample_text
from forensics.licences.matching import named_in
from forensics.licences.words import Words, shingles

ROOM = Path(__file__).parents[1] / "forensics" / "licences"
ABOUT = (
    "Hashes of five-word shingles of licence texts (forensics/licences/words.py). The texts were taken from ScanCode's "
    "licence data, version 32.5.0 (CC-BY-4.0, nexB Inc. and others), by benchmarks/licence_samples.py."
)


def body(raw: str) -> str:
    """The licence text without the description in front of it."""
    return raw.split("\n---\n", 1)[1] if raw.startswith("---\n") else raw


def main() -> None:
    """Writes the table and says how large it is."""
    folder = Path(sys.argv[1])
    listed = json.loads((ROOM / "known.json").read_text("utf-8"))["licences"]
    texts = {
        entry["id"]: body((folder / f"{entry['text']}.LICENSE").read_text("utf-8"))
        for entry in listed
        if "text" in entry
    }
    samples = {name: sample_text(shingles(Words.of(text).words)) for name, text in texts.items()}
    mentions = {
        name: sorted({m.licence.id for m in named_in(Words.of(text))} - {name})
        for name, text in texts.items()
    }
    table = {
        "about": ABOUT,
        "form": FORM,
        "samples": samples,
        "mentions": {n: m for n, m in mentions.items() if m},
    }
    written = json.dumps(table, indent=1, sort_keys=True) + "\n"
    (ROOM / "samples.json").write_text(written)
    print(f"{len(samples)} licences, {len(written) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
