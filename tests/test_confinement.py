"""Confinement: what a worker was not given it cannot reach, and what it takes too much of ends it alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics import errands, gather, jobs
from forensics.archive import restored
from forensics.case import Named, Request
from forensics.confinement import Allowance, environment
from forensics.confinement.landlock import restrict
from forensics.errands import Errands
from forensics.investigation import Silence
from forensics.readings import Measurement
from forensics.registry import Registry
from tests.strangers import install, offer, probe
from tests.tiny import llama_tensors, write

TRYING = r"""
import json, resource, socket, tempfile, threading

def tried(action):
    try:
        found = action()
    except BaseException as error:
        return type(error).__name__
    return str(found) if isinstance(found, str) else "done"

def connected(family, place):
    with socket.socket(family) as one:
        one.settimeout(2)
        one.connect(place)

def threaded():
    seen = []
    one = threading.Thread(target=lambda: seen.append(1))
    one.start()
    one.join()
    assert seen

PLACE = json.loads(os.environ.get("PLACES", "{}"))
ATTEMPTS = {
    "reads the subject": lambda: open(PLACE["subject"] + "/config.json").close(),
    "reads a neighbour": lambda: open(PLACE["neighbour"]).close(),
    "lists a neighbour": lambda: os.listdir(os.path.dirname(PLACE["neighbour"])),
    "reads the passwords": lambda: open("/etc/shadow").close(),
    "lists the root": lambda: os.listdir("/"),
    "looks into its parent": lambda: open(f"/proc/{os.getppid()}/environ", "rb").read(),
    "signals its parent": lambda: os.kill(os.getppid(), 0),
    "writes into the subject": lambda: open(PLACE["subject"] + "/canary", "w").close(),
    "changes the subject": lambda: open(PLACE["subject"] + "/config.json", "r+").close(),
    "writes beside it": lambda: open(PLACE["neighbour"] + ".canary", "w").close(),
    "writes into /tmp": lambda: open("/tmp/forensics-canary", "w").close(),
    "makes a folder": lambda: os.mkdir(PLACE["neighbour"] + ".folder"),
    "removes a file": lambda: os.unlink(PLACE["neighbour"]),
    "connects": lambda: connected(socket.AF_INET, ("127.0.0.1", PLACE["port"])),
    "connects by a file": lambda: connected(socket.AF_UNIX, PLACE["unix"]),
    "connects over netlink": lambda: connected(16, (0, 0)),
    "makes a pair": lambda: [s.close() for s in socket.socketpair()],
    "uses scratch": lambda: tempfile.TemporaryFile().close(),
    "runs what it wrote": lambda: subprocess.run([_program()], check=True),
    "is at home": lambda: "scratch" if os.environ["HOME"] == tempfile.gettempdir() else "elsewhere",
    "knows a token": lambda: os.environ.get("HF_TOKEN", "no"),
    "gains privileges": lambda: [l.split()[1] for l in open("/proc/self/status") if l.startswith("NoNewPrivs")][0],
    "dumps": lambda: str(resource.getrlimit(resource.RLIMIT_CORE)),
    "threads": threaded,
    "imports": lambda: __import__("sklearn.cluster") and None,
}

def _program():
    path = tempfile.mkdtemp() + "/program"
    with open(path, "w") as out:
        out.write("#!/bin/sh\nexit 0\n")
    os.chmod(path, 0o755)
    return path
"""
EXAMINING = """
def examine(self, pair):
    return Measurement(value=0.0, quantity="q", summary="s", facts={n: tried(a) for n, a in ATTEMPTS.items()})
"""
OPENING = """
@hookimpl
def forensics_open(location):
    if location.endswith("spins"):
        while True:
            pass
    if location.endswith("devours"):
        taken = []
        try:
            while True:
                taken.append(bytearray(1 << 24))
        except MemoryError:
            os.abort()
"""


class Place:
    """A subject, a neighbouring file that is none of the worker's business, and servers that it must not reach."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.neighbour = folder / "private" / "key"
        self.neighbour.parent.mkdir()
        self.neighbour.write_text("secret")
        self.server = socket.create_server(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(folder / "socket"))
        self.unix.listen()
        for one in (self.server, self.unix):
            one.setblocking(False)

    def variables(self) -> dict[str, str]:
        """What the stranger's probe is told, and a secret that it must not see."""
        places = {
            "subject": str(self.folder / "a"),
            "neighbour": str(self.neighbour),
            "port": self.server.getsockname()[1],
            "unix": str(self.folder / "socket"),
        }
        return {
            "PLACES": json.dumps(places),
            "HF_TOKEN": "hf_secret",
            "PYTHONPATH": str(self.folder / "site"),
        }

    def untouched(self) -> bool:
        """Whether nobody connected and nothing was written."""
        for one in (self.server, self.unix):
            with pytest.raises(BlockingIOError):
                one.accept()
        return [p.name for p in self.neighbour.parent.iterdir()] == ["key"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two tiny checkpoints, a stranger's distribution on every worker's path, and things to steal."""
    folder = tmp_path_factory.mktemp("confined")
    for seed, name in enumerate(("a", "b", "spins", "devours")):
        write(folder / name, llama_tensors(seed))
    install(folder / "site", "curious-plugin", TRYING + OPENING + probe("tries", EXAMINING) + offer("tries"))
    made = Place(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder / "site")
        for name, value in made.variables().items():
            patch.setenv(name, value)
        yield made
    made.server.close()
    made.unix.close()


@pytest.fixture(scope="module")
def attempts(place: Place) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """How each attempt of a probe in a real worker ended, and what the worker said it had given up."""
    heard: list[Mapping[str, Any]] = []
    job = {
        "task": "examine", "probes": ["tries"], "only_bundled": False, "parameters": {}, "labels": ["a", "b"],
        "suspect": str(place.folder / "a"), "candidate": str(place.folder / "b"),
    }  # fmt: skip
    end = jobs.run(job, limit=60, listen=heard.append)
    assert end.done, end
    outcome = restored(Measurement, heard[0]["outcome"])
    return outcome.facts, end.confined


def needs(confined: Mapping[str, Any], what: str) -> None:
    """Skips where this kernel or container does not offer a restriction."""
    if not confined.get(what):
        pytest.skip(f"no {what} restriction to be had on this system")


@pytest.mark.parametrize(
    "attempt",
    [
        "reads a neighbour", "lists a neighbour", "reads the passwords", "lists the root", "looks into its parent",
        "writes into the subject", "changes the subject", "writes beside it", "writes into /tmp", "makes a folder",
        "removes a file", "runs what it wrote",
    ],
)  # fmt: skip
def test_worker_reaches_no_file_but_its_own(attempt: str, attempts: Any, place: Place) -> None:
    """Reading, listing, writing, removing and running are refused outside what the job is about."""
    facts, confined = attempts
    needs(confined, "files")
    assert facts[attempt] == "PermissionError"
    assert place.untouched()
    assert not Path("/tmp/forensics-canary").exists()


def test_worker_cannot_signal_its_parent(attempts: Any) -> None:
    """A worker cannot signal processes outside, from version 6 of Landlock on."""
    facts, confined = attempts
    if int(confined.get("files", "landlock 0").split()[-1] or 0) < 6:
        pytest.skip("signals are restricted by Landlock 6 and later")
    assert facts["signals its parent"] == "PermissionError"


@pytest.mark.parametrize("attempt", ["connects", "connects by a file", "connects over netlink"])
def test_worker_reaches_no_server(attempt: str, attempts: Any, place: Place) -> None:
    """No connection is made over TCP, by a socket file or to the kernel, and the servers see nothing."""
    facts, confined = attempts
    needs(confined, "calls")
    assert facts[attempt] == "PermissionError"
    assert place.untouched()


def test_own_network_alone_keeps_servers_out_of_reach(attempts: Any, place: Place) -> None:
    """Whatever the kernel offers, no TCP connection arrives."""
    facts, confined = attempts
    if not confined.get("own_network") and not confined.get("calls"):
        pytest.skip("neither a network of its own nor a filter on calls to be had")
    assert facts["connects"] != "done"
    assert place.untouched()


EXPECTED = {
    "reads the subject": "done", "makes a pair": "done", "uses scratch": "done", "threads": "done", "imports": "done",
    "is at home": "scratch", "knows a token": "no", "dumps": "(0, 0)",
}  # fmt: skip


@pytest.mark.parametrize(("attempt", "expected"), EXPECTED.items(), ids=EXPECTED)
def test_worker_can_do_its_work_and_knows_no_secret(attempt: str, expected: str, attempts: Any) -> None:
    """The subject, a scratch folder, threads and heavy imports remain; tokens, home and core dumps do not."""
    assert attempts[0][attempt] == expected


def test_worker_says_what_it_gave_up(attempts: Any) -> None:
    """What was achieved comes with the job's end, by name, and holds: flags or text."""
    facts, confined = attempts
    assert "memory" in confined["limits"]
    if sys.platform == "linux":
        assert confined["dies_with_parent"] is confined["no_new_privileges"] is True
        assert facts["gains privileges"] == "1"


def gathered(place: Place, scratch: Path, bad: str) -> list[gather.Read]:
    """A case's reading of the suspect, a candidate that misbehaves, and a second, well-behaved one."""
    named = [Named(label=n, path=place.folder / n) for n in ("a", bad, "b")]
    request = Request(suspect=named[0], candidates=tuple(named[1:]), probes=("norm-gains",))
    offered = Registry.load().chosen(("norm-gains",), {})
    gatherer = gather.Gatherer(
        request=request, offered=offered, scratch=scratch, watch=Silence(), errands=Errands(request=request)
    )
    reads = gatherer.read_all()
    assert gatherer.compare(reads[0], reads[2])["norm-gains"].kind != "failure"
    assert {o.kind for o in gatherer.compare(reads[0], reads[1]).values()} == {"failure"}
    return reads


def test_worker_that_devours_memory_dies_alone(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above its memory limit a worker gets no more, its death is an error of its subject, and others are judged."""
    if sys.platform != "linux":
        pytest.skip("RLIMIT_DATA bounds memory on Linux only")
    monkeypatch.setenv("FORENSICS_WORKER_MEMORY", "600")
    reads = gathered(place, tmp_path, "devours")
    assert [r.error.code if r.error else "" for r in reads] == ["", "WORKER", ""]
    assert "signal 6" in str(reads[1].error)


def test_worker_that_never_ends_is_ended_alone(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endless loop ends at the wall clock, as an error of its subject, and others are judged."""
    monkeypatch.setattr(errands, "READ_LIMIT", 8.0)
    reads = gathered(place, tmp_path, "spins")
    assert [r.error.code if r.error else "" for r in reads] == ["", "WORKER", ""]
    assert "timeout" in str(reads[1].error)


def confined_child(
    tmp_path: Path, code: str, before: str = "", **allowance: Any
) -> subprocess.CompletedProcess[str]:
    """A process that confines itself with this allowance and then runs `code`."""
    sent = Allowance(scratch=str(tmp_path), **allowance).sent()
    program = (
        "import json, os, sys, threading\nfrom forensics.confinement import Allowance, confine\n"
        f"{before}\nconfined = confine(Allowance.received(json.loads(sys.argv[1])))\n{code}\n"
    )
    return subprocess.run(
        [sys.executable, "-P", "-c", program, json.dumps(sent)],
        env=environment(str(tmp_path)), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_processor_time_is_bounded_without_the_parent(tmp_path: Path) -> None:
    """A loop that its parent does not end is ended by the kernel."""
    done = confined_child(tmp_path, "while True: pass", processor_seconds=1.0)
    assert done.returncode in (-9, -24), done.stderr


def test_reader_starts_no_process(tmp_path: Path) -> None:
    """Where a job needs no process, fork and exec of another are refused, and threads still run."""
    code = """
if not confined["calls"]:
    print("skip")
    raise SystemExit
import subprocess
for action in (os.fork, lambda: subprocess.run(["true"]), lambda: os.posix_spawn("/bin/true", ["true"], {})):
    try:
        action()
    except OSError:
        print("refused")
one = threading.Thread(target=lambda: print("thread"))
one.start()
one.join()
"""
    done = confined_child(tmp_path, code, processes=False)
    if done.stdout == "skip\n":
        pytest.skip("no filter on calls to be had on this system")
    assert done.stdout.split() == ["refused"] * 3 + ["thread"], done.stderr


def test_file_size_is_bounded(tmp_path: Path) -> None:
    """What a worker writes ends at a size, as an error."""
    code = """
with open(sys.argv[1] and json.loads(sys.argv[1])["scratch"] + "/x", "wb") as out:
    out.seek((1 << 30) + 1)
    try:
        out.write(b"1" * 100_000)
        out.flush()
    except OSError as error:
        print(error.errno)
        out.raw.close()
"""
    done = confined_child(tmp_path, code)
    assert done.stdout == "27\n", done.stderr


def test_confinement_needs_no_privilege(tmp_path: Path) -> None:
    """An ordinary user's worker is confined as well."""
    if os.getuid() != 0:
        pytest.skip("every other test here is run by an ordinary user already")
    tmp_path.chmod(0o777)
    before = "import forensics.worker, encodings.idna\nos.setgroups([])\nos.setgid(65534)\nos.setuid(65534)"
    code = "print(json.dumps(confined)); open('/proc/version')"
    done = confined_child(tmp_path, code, before=before)
    confined = json.loads(done.stdout)
    needs(confined, "files")
    assert confined["no_new_privileges"]
    assert "PermissionError" in done.stderr


def test_other_systems_keep_the_limits(tmp_path: Path) -> None:
    """Where there is no Linux the limits are set and nothing else is tried."""
    done = confined_child(tmp_path, "print(json.dumps(confined))", before="sys.platform = 'darwin'")
    assert list(json.loads(done.stdout)) == ["limits"], done.stderr


def test_kernel_without_landlock_is_not_an_error() -> None:
    """A kernel that does not know the call leaves files unrestricted, and says so."""

    class OldKernel:
        @staticmethod
        def syscall(*_: object) -> int:
            return -1

    assert restrict(["/"], [], "/tmp", OldKernel()) == ""


def test_nothing_but_a_regular_file_is_taken_from_a_worker(tmp_path: Path) -> None:
    """A link, pipe or folder left in place of a sketch is not moved out of the scratch folder."""
    out = tmp_path / "out"
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder", "absent"):
        jobs._delivered(str(tmp_path / name), str(out))
        assert not os.path.lexists(out)
    (tmp_path / "file").write_text("x")
    jobs._delivered(str(tmp_path / "file"), str(out))
    assert out.read_text() == "x"


def test_allowance_names_the_blobs_of_a_hub_cache_and_the_parts_of_a_split_file(tmp_path: Path) -> None:
    """A snapshot needs its blobs, one part of a split file its other parts, and nothing else in their folders."""
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    for name in ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "n-00001-of-00002.gguf", "m.gguf"):
        (tmp_path / name).touch()
    split = {"task": "read", "location": str(tmp_path / "m-00002-of-00002.gguf"), "base": str(snapshot)}
    allowed = Allowance.of(split, str(tmp_path), 60)
    assert [Path(p).name for p in sorted(allowed.readable)] == [
        "m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "blobs", "0",
    ]  # fmt: skip
    assert allowed.listed == (str(tmp_path),)
    assert Allowance.received(json.loads(json.dumps(allowed.sent()))) == allowed


def read_by_worker(location: Path, tmp_path: Path, base: str = "") -> tuple[Mapping[str, Any], list[str]]:
    """The record of a subject and the codes of its problems, as a confined worker reads it."""
    heard: dict[str, Any] = {}
    job = {
        "task": "read", "probes": ["norm-gains"], "only_bundled": True, "parameters": {}, "location": str(location),
        "label": "x", "out": str(tmp_path / "x.sketch"), "digest": "", "base": base,
    }  # fmt: skip
    end = jobs.run(job, limit=60, listen=heard.update)
    assert end.done, end
    assert "error" not in heard, heard["error"]
    assert (tmp_path / "x.sketch").is_file()
    assert 0 < end.peak < 1 << 30
    return heard["subject"], [p["code"] for p in heard["problems"]]


def test_every_part_of_a_split_file_is_within_reach(tmp_path: Path) -> None:
    """One part stands for its set: the others are read too, from a folder that is otherwise closed."""
    from tests.checkpoint.test_gguf_split import part

    for name, raw in (part(1, 2, 2, ["token_embd.weight"]), part(2, 2, 2, ["output_norm.weight"])):
        (tmp_path / name).write_bytes(raw)
    subject, codes = read_by_worker(tmp_path / "model-00002-of-00002.gguf", tmp_path)
    assert [f["name"] for f in subject["files"]] == ["model-00001-of-00002.gguf", "model-00002-of-00002.gguf"]
    assert "SPLIT_ABSENT" not in codes


def test_a_hub_caches_blobs_are_within_reach(tmp_path: Path) -> None:
    """A snapshot's links lead into the cache's blobs, and are followed there."""
    snapshot = write(tmp_path / "models--a--b" / "snapshots" / "0")
    (tmp_path / "models--a--b" / "blobs").mkdir()
    for path in list(snapshot.iterdir()):
        path.rename(snapshot.parent.parent / "blobs" / path.name)
        path.symlink_to(f"../../blobs/{path.name}")
    (tmp_path / "current").symlink_to(snapshot)
    for place in (snapshot, tmp_path / "current"):
        subject, codes = read_by_worker(place, tmp_path)
        assert codes == []
        assert subject["recognised"] == subject["parameters"] > 0


def test_an_adapters_base_is_within_reach(tmp_path: Path) -> None:
    """A base that the user named is read beside the adapter."""
    from safetensors.numpy import save_file

    write(tmp_path / "base")
    (tmp_path / "adapter").mkdir()
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(settings))
    ones = {
        f"base_model.model.model.layers.0.self_attn.q_proj.{n}.weight": np.ones(s, np.float32)
        for n, s in {"lora_A": (2, 8), "lora_B": (8, 2)}.items()
    }
    save_file(ones, tmp_path / "adapter" / "adapter_model.safetensors")
    subject, _ = read_by_worker(tmp_path / "adapter", tmp_path, base=str(tmp_path / "base"))
    assert subject["recognised"] > 500
