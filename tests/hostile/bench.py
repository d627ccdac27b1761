"""A process that reads one checkpoint per line in a fork of itself, watched: what it opened, how much, how long.

It does what a worker does (`forensics.worker.read_task`, with the bundled probes) without Landlock, so that a payload
would succeed and be seen, and reports every file outside the folder that was opened, every connection, process, import
and pickle that was tried, by the interpreter's own audit events.
"""

from __future__ import annotations

import json
import os
import re
import resource
import select
import signal
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

FORBIDDEN = re.compile(
    r"socket\.(connect|bind|getaddrinfo|sendto)|subprocess\.Popen|os\.(system|exec|posix_spawn|fork|spawn|kill|putenv)|"
    r"pickle\.find_class|marshal\.loads?|webbrowser|urllib|shutil|pty\."
)
"""Events that no reading of a checkpoint may cause; `marshal` only outside the import system, see `watched`."""


def trusted() -> tuple[str, ...]:
    """Where Python, its libraries and this program lie."""
    repository = str(Path(__file__).resolve().parents[2])
    ours = [f"{repository}/{room}" for room in ("forensics", "plugins", "templates")]
    system = [
        "/proc/self",
        "/proc/cpuinfo",
        "/sys",
        "/usr",
        "/lib",
        "/etc/ld.so",
        "/etc/localtime",
        "/dev/null",
    ]
    return (*ours, sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), *system)


def watched(allowed: tuple[str, ...], touched: list[str]) -> None:
    """From here on, notes what is opened outside `allowed` and whatever else a checkpoint has no business with."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir"):
            path = arguments[0]
            if isinstance(path, int | None):
                return
            real = os.path.realpath(os.fsdecode(path))
            if not real.startswith(allowed):
                touched.append(f"{event} {real}")
        elif FORBIDDEN.match(event) and not event.startswith("marshal"):
            touched.append(f"{event} {arguments!r}"[:300])
        elif event in ("exec", "compile"):
            code = arguments[0] if event == "exec" else arguments[1]
            name = getattr(code, "co_filename", code)
            if isinstance(name, str) and name.startswith("/") and not name.startswith(trusted()):
                touched.append(f"{event} {name}")

    sys.addaudithook(hook)


def memory(field: str) -> int:
    """A line of /proc/self/status in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0]) << 10


def read(order: dict[str, Any], registry: Any, offered: Any) -> dict[str, Any]:
    """One reading in this process, within limits; what it told, and what it cost."""
    from forensics import worker
    from forensics.errors import CheckpointError, ForensicsError

    answer: dict[str, Any] = {"error": None, "subject": None, "problems": [], "touched": []}

    def send(message: Any) -> None:
        answer.update({k: message[k] for k in ("subject", "problems") if k in message})

    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = memory("VmRSS")
    bound = memory("VmData") + (1 << 30)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    places = (
        f"/proc/{os.getpid()}/",
        *trusted(),
        *map(os.path.realpath, (order["location"], os.path.dirname(order["out"]), *order["also"])),
    )
    watched(places, answer["touched"])
    job = {"digest": "", "label": "case", "base": order["base"], **order}
    began, spent = time.monotonic(), time.process_time()
    try:
        worker.read_task(job, registry, offered, send)
    except ForensicsError as error:
        code = error.code if isinstance(error, CheckpointError) else type(error).__name__
        answer["error"] = {"code": code, "message": error.message, "hint": error.hint}
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told and fails the case
        import traceback

        answer["crash"] = f"{type(error).__name__}: {traceback.format_exc()[-1500:]}"
    answer["waited"], answer["seconds"] = time.monotonic() - began, time.process_time() - spent
    answer["memory"] = memory("VmHWM") - before
    return answer


def forked(order: dict[str, Any], registry: Any, offered: Any) -> dict[str, Any]:
    """The same in a child that is killed when it takes too long."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with os.fdopen(writing, "w", encoding="utf-8", errors="backslashreplace") as out:
            json.dump(read(order, registry, offered), out)
        os._exit(0)
    os.close(writing)
    deadline = time.monotonic() + order["limit"]
    parts = []
    with os.fdopen(reading, "rb", buffering=0) as source:
        while select.select([source], [], [], max(0.0, deadline - time.monotonic()))[0]:
            part = source.read(1 << 16)
            if not part:
                break
            parts.append(part)
        else:
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if status or not parts:
        return {"crash": f"ended with status {status} after {order['limit']} s at most"}
    answer: dict[str, Any] = json.loads(b"".join(parts))
    return answer


def main() -> None:
    """Answers one line per line until its input ends."""
    from forensics.checkpoint import adapter, gguf_facts, gguf_file, torch_file  # noqa: F401 - imported before the clock runs
    from forensics.reading import read as _  # noqa: F401
    from forensics.registry import Registry

    registry = Registry.load(only_bundled=True)
    ids = tuple(i for i, o in registry.probes.items() if not o.probe.isolated)
    offered = registry.chosen(ids, {})
    for line in sys.stdin:
        answer = forked(json.loads(line), registry, offered)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
