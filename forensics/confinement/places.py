"""Which files Python itself, its libraries and installed plugins need, so that imports work inside a worker."""

from __future__ import annotations

import os
import sys
from importlib import metadata, util
from pathlib import Path

SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types",
    "/etc/alternatives", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm",
    "/proc/sys/kernel", "/sys/devices/system", "/sys/fs/cgroup", "/dev/urandom", "/dev/random",
)  # fmt: skip
"""Shared libraries and programs, and what numerical libraries read to find out about the processor."""
GROUP = "forensics"


def needed() -> list[str]:
    """Files and folders to read besides the subject: the interpreter, what is on its path, installed plugins."""
    places = [*SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix, *(p for p in sys.path if p), *_plugins()]
    places += [p for p in os.environ.get("LD_LIBRARY_PATH", "").split(":") if p]
    return [p for p in dict.fromkeys(places) if os.path.realpath(p) != "/" and os.path.exists(p)]


def _plugins() -> list[str]:
    """Where packages lie that are installed as a link to a source tree; found without importing any of them."""
    ours = Path(__file__).resolve().parents[1]
    found = [str(ours)]
    for name in {GROUP + ".plugins", GROUP + ".templates"} | {
        point.module.partition(".")[0] for point in metadata.entry_points(group=GROUP)
    }:
        try:
            spec = util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            continue
        if spec is not None:
            found += spec.submodule_search_locations or ([spec.origin] if spec.origin else [])
    return found
