"""What one job is allowed: which files it reads, where it writes, how much memory and time. Decided by the parent."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

READING_MEMORY = 3 << 30
"""Bytes for the worker that reads a checkpoint: blocks are bounded, so the size of the model does not matter."""
MEMORY_VARIABLE = "FORENSICS_WORKER_MEMORY"
SECRET = re.compile(
    r"(?i)token|secret|passw|credential|api_?key|access_?key|auth_sock|_proxy$|^aws_|^azure_|cookie"
)
"""Environment variables that a worker has no use for."""
CACHES = (
    "HOME", "TMPDIR", "HF_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TORCH_HOME", "TRITON_CACHE_DIR",
    "TORCHINDUCTOR_CACHE_DIR", "NUMBA_CACHE_DIR", "MPLCONFIGDIR",
)  # fmt: skip
"""Where libraries write; in a worker all of it is the scratch folder."""
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Workers run side by side, and an order of additions that does not depend on the machine gives equal records."""
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}
"""glibc: blocks that one thread reads and another lets go of are used again, not given back and faulted in anew, which
cost 7 % of a reading pass."""
PART = re.compile(r"(?P<stem>.*)-[0-9]{5}-of-(?P<count>[0-9]{5}\.gguf)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What `confine` leaves to a worker; travels as JSON inside the job."""

    readable: tuple[str, ...] = ()
    """Files and folders of the job's subjects."""
    listed: tuple[str, ...] = ()
    """Folders whose names may be read, but no file: where the other parts of a split file are looked for."""
    scratch: str = ""
    """The only folder in which anything can be written; it goes away with the job."""
    memory: int = READING_MEMORY
    """Bytes of private memory."""
    processor_seconds: float = 600.0
    processes: bool = True
    """Whether the job may start processes: bundled readers do not, a stranger's probe may."""

    @classmethod
    def of(cls, job: Mapping[str, Any], scratch: str, seconds: float) -> Allowance:
        """For a job as `jobs.run` gets it, ended by its parent after `seconds` of wall clock."""
        readable = readable_for(job)
        reading = job.get("task") in ("read", "inspect", "self-test") and not job.get("digest")
        return cls(
            readable=tuple(readable),
            listed=tuple(sorted({os.path.dirname(p) for p in readable if p.endswith(".gguf")})),
            scratch=os.path.realpath(scratch),
            memory=_memory(reading=reading),
            # a second line of defence: a worker has a few threads, and is ended by the wall clock first
            processor_seconds=min(seconds, 1e6) * (os.cpu_count() or 1) + 60,
            processes=not (reading and job.get("only_bundled")),
        )

    @classmethod
    def received(cls, raw: Mapping[str, Any]) -> Allowance:
        """From the job's JSON."""
        return cls(**{**raw, "readable": tuple(raw["readable"]), "listed": tuple(raw["listed"])})

    def sent(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def _memory(*, reading: bool) -> int:
    """Bytes; nine tenths of the machine's where other libraries run a model, unless the user says otherwise."""
    try:
        return max(256, int(os.environ[MEMORY_VARIABLE])) << 20
    except (KeyError, ValueError):
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10
        return min(READING_MEMORY, machine) if reading else machine


def readable_for(job: Mapping[str, Any]) -> list[str]:
    """Every file and folder that a job's own locations stand for; what is not on this machine is left out."""
    named: list[str] = []
    for key in ("location", "base", "suspect", "candidate", "repositories"):
        value = job.get(key)
        named += [value] if isinstance(value, str) else value or []
    return [place for location in dict.fromkeys(named) if location for place in _places(Path(location))]


def _places(location: Path) -> list[str]:
    """A folder, with the blobs of the hub cache it is a snapshot of; or a file, with the other parts of a split one."""
    try:
        real = location.resolve()
        if real.is_dir():
            inside_cache = real.parent.name == "snapshots"
            return [str(real), *([str(real.parent.parent / "blobs")] if inside_cache else [])]
        if not real.exists():
            return []
        split = PART.fullmatch(real.name)
        if split is None:
            return [str(real)]
        pattern = re.compile(
            re.escape(split["stem"]) + r"-[0-9]{5}-of-" + re.escape(split["count"]), re.DOTALL
        )
        return [str(real.parent / n) for n in os.listdir(real.parent) if pattern.fullmatch(n)]
    except (OSError, RuntimeError, ValueError):
        return []


def environment(scratch: str) -> dict[str, str]:
    """The environment of a worker: ours without secrets, every cache in the scratch folder, nothing asked of a hub."""
    kept = {name: value for name, value in os.environ.items() if not SECRET.search(name)}
    kept |= dict.fromkeys(ONE_THREAD, "1") | dict.fromkeys(CACHES, scratch) | ONE_HEAP
    return kept | {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONDONTWRITEBYTECODE": "1"}
