"""One probe's answer on one pair as plain data, and a file to which answers are added line by line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from forensics.readings import Measurement, Outcome

Reading: TypeAlias = dict[str, Any]
"""`value` and what goes with it, or `none` with the reason."""


def reading(outcome: Outcome) -> Reading:
    """What a reference table and its makers need of an outcome."""
    if not isinstance(outcome, Measurement):
        what = f"{outcome.error}: " if outcome.kind == "failure" else ""
        return {"none": f"{outcome.kind}: {what}{outcome.detail}"}
    layers = [layer for layer in outcome.layers if layer is not None]
    return {
        "value": outcome.value,
        "group": outcome.group.value if outcome.group else None,
        "layers": list(outcome.layers),
        "peak": max(layers) if layers else None,
        "p": outcome.exact.p if outcome.exact else None,
        "signs": [sign.sign.value for sign in outcome.signs],
    }


def failed(found: Mapping[str, Any]) -> bool:
    """Whether a probe broke, rather than abstained."""
    return str(found.get("none", "")).startswith("failure")


def lines_of(store: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a store; what was cut off by an interruption, or is no object, is passed over."""
    if not store.exists():
        return
    with store.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(line, dict):
                yield line


def add_line(store: Path, line: Mapping[str, Any]) -> None:
    """Adds one line; begins on a new one where the last was cut off."""
    with store.open("a+b") as out:
        if out.seek(0, os.SEEK_END):
            out.seek(-1, os.SEEK_END)
            if out.read(1) != b"\n":
                out.write(b"\n")
        out.write(json.dumps(line, allow_nan=False).encode() + b"\n")
