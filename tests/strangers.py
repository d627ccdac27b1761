"""Distributions of strangers, as installed packages look: a module and entry points in a folder on the path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

HEAD = """
import os, signal, subprocess, sys, time
from dataclasses import dataclass
from forensics import Abstain, Measurement, Pair, Probe, Reason, Sketch, SketchProbe, hookimpl
"""


def install(folder: Path, distribution: str, source: str, points: Mapping[str, str] | None = None) -> None:
    """Puts a distribution into `folder` (on sys.path or PYTHONPATH): one module, one entry point by default."""
    module = distribution.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(HEAD + source, encoding="utf-8")
    info = folder / f"{module}-1.5.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n", encoding="utf-8"
    )
    named = {"main": module} if points is None else points
    lines = "".join(f"{name} = {target}\n" for name, target in named.items())
    (info / "entry_points.txt").write_text(f"[forensics]\n{lines}", encoding="utf-8")


def probe(
    name: str, body: str, *, base: str = "Probe", head: str = "", decorator: str = "frozen=True, kw_only=True"
) -> str:
    """Source of a probe class `name` (an identifier); its id is the name with hyphens, `body` its methods."""
    lines = "\n".join("    " + line for line in body.strip("\n").splitlines())
    decoration = f"@dataclass({decorator})\n" if decorator else ""
    return f"""
{decoration}class {name}({base}):
    id = "{name.replace("_", "-")}"
    version = "1"
    title = "T"
    measures = "M."
    {head}
{lines}
"""


def offer(*names: str) -> str:
    """Source of the hook that offers these classes."""
    made = ", ".join(f"{name}()" for name in names)
    return f"\n@hookimpl\ndef forensics_probes():\n    return [{made}]\n"


MEASURING = """
def examine(self, pair):
    return Measurement(value=0.5, quantity="q", summary="s")
"""
