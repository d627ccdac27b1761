"""The probes as a list for people and for programs."""

from __future__ import annotations

import textwrap
from typing import Any

from forensics.archive import plain
from forensics.registry import Registry


def described(registry: Registry) -> dict[str, Any]:
    """Probes and plugins that failed to load, as JSON-able maps."""
    probes = [
        {
            "id": offered.probe.id,
            "version": offered.probe.version,
            "title": offered.probe.title,
            "measures": offered.probe.measures,
            "needs": offered.probe.needs,
            "kind": offered.probe.kind,
            "parameters": offered.probe.parameters(),
            "origin": plain(offered.origin),
        }
        for offered in registry.probes.values()
    ]
    return {"probes": probes, "failed": [plain(p) for p in registry.problems]}


def listing_text(registry: Registry, width: int = 100) -> str:
    """The same for a reader."""
    lines: list[str] = []
    for offered in registry.probes.values():
        probe, origin = offered.probe, offered.origin
        lines.append(f"{probe.id} {probe.version}  ({origin.distribution} {origin.version})")
        for title, text in (("measures", probe.measures), ("needs", probe.needs)):
            lines += textwrap.wrap(
                text, width, initial_indent=f"  {title:9}", subsequent_indent=" " * 11, break_on_hyphens=False
            )
        lines.append("")
    if registry.problems:
        lines.append("failed to load:")
        lines += [f"  {p.where}: {p.message}" for p in registry.problems]
    else:
        lines.append("every installed plugin loaded")
    return "\n".join(lines)
