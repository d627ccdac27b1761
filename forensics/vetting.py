"""Whether an object is a probe of this API, and whose it is."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Mapping
from importlib import metadata
from math import isfinite
from pathlib import Path

from forensics.probe import API, Probe, SketchProbe
from forensics.readings import Aspect

ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def check(probe: object) -> None:
    """Raises TypeError, in words for its author, where an object is not a probe of this API."""
    kind = type(probe)
    if not isinstance(probe, Probe | SketchProbe) or "__dataclass_params__" not in vars(kind):
        raise TypeError(f"{kind.__name__} is not a frozen dataclass derived from Probe or SketchProbe")
    for name in ("id", "version", "title", "measures"):
        if not isinstance(getattr(probe, name, None), str):
            raise TypeError(f"{kind.__name__} lacks the class attribute `{name}`")
    if not ID.fullmatch(probe.id):
        raise TypeError(f"probe id {probe.id!r} is not lower-case words joined by hyphens")
    if probe.api != API:
        raise TypeError(f"{probe.id} speaks API {probe.api}, this version speaks {API}")
    limit: object = probe.time_limit
    if not isinstance(limit, int | float) or not limit > 0:
        raise TypeError(f"time_limit of {probe.id} is no number of seconds")
    aspect: object = probe.aspect
    if not isinstance(aspect, Aspect | None):
        raise TypeError(f"aspect of {probe.id} is no forensics.Aspect")
    values: Mapping[str, object] = probe.parameters()
    for name, value in values.items():
        if not isinstance(value, str | int | float | None) or (
            isinstance(value, float) and not isfinite(value)
        ):
            raise TypeError(f"parameter {name} of {probe.id} is not a plain value")


def owner_of(point: metadata.EntryPoint) -> str:
    """The distribution that brings an entry point."""
    return point.dist.name if point.dist else "unknown"


def version_of(point: metadata.EntryPoint) -> str:
    """That distribution's version."""
    return point.dist.version if point.dist else "unknown"


def source_digest(plugin: object) -> str:
    """SHA-256 of the file a plugin's code stands in, in hexadecimal; empty where there is none."""
    module = inspect.getmodule(plugin) if not inspect.ismodule(plugin) else plugin
    source = getattr(module, "__file__", None)
    if not source or not Path(source).is_file():
        return ""
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()
