"""What is remembered of a checkpoint: it stands for the files only where they cannot have changed, and never lies."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from forensics import jobs, sighting, vintage
from forensics.archive import encode
from forensics.cache import Store
from forensics.case import Named, Remembering, Request, Trust
from forensics.checkpoint import open_checkpoint
from forensics.cli import main
from forensics.errands import Errands
from forensics.errors import CaseError
from forensics.gather import Gatherer
from forensics.investigation import Silence, investigate
from forensics.probe import SketchProbe
from forensics.reading import sketch_with
from forensics.readings import Abstention, Failure, Reason
from forensics.reads import Read
from forensics.records import FileSeen, Subject
from forensics.registry import Offered, Registry
from forensics.remembered import Memory
from forensics.sketches import load
from forensics.sketching import sketch_checkpoint
from forensics.testing import tiny_checkpoint
from forensics.visits import READ, REHASHED, TRUSTED, UNCHANGED, content_key, visited
from tests.strangers import install, offer, probe
from tests.tiny import llama_tensors, write

PROBES = ("norm-gains", "weight-std", "repository-scan")


@pytest.fixture(autouse=True)
def _files_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh files count as old, so that no test has to wait two seconds."""
    monkeypatch.setattr(sighting, "RACY", 0)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, Any]]:
    """Every worker's job, as it is started."""
    orders: list[Mapping[str, Any]] = []
    run = jobs.run

    def listed(job: Mapping[str, Any], **rest: Any) -> jobs.JobEnd:
        orders.append(job)
        return run(job, **rest)

    monkeypatch.setattr(jobs, "run", listed)
    return orders


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Our own probes."""
    return Registry.load(only_bundled=True)


@dataclass(slots=True, kw_only=True)
class Bench:
    """Reads single checkpoints with one cache."""

    registry: Registry
    folder: Path
    only_bundled: bool = True

    def gatherer(
        self, *places: Path, trust: Trust | None = "unchanged", probes: tuple[str, ...] = PROBES
    ) -> Gatherer:
        """A case of these places; `trust` None for one without a cache."""
        remember = Remembering(folder=str(self.folder / "cache"), trust=trust) if trust else None
        named = [Named(label=place.name, path=place) for place in places]
        request = Request(
            suspect=named[0],
            candidates=tuple(named[1:]),
            probes=probes,
            remember=remember,
            only_bundled=self.only_bundled,
        )
        offered = self.registry.chosen(probes, {})
        scratch = self.folder / f"scratch{time.monotonic_ns()}"
        scratch.mkdir()
        memory = Memory.of(request, self.registry.readers(), offered, scratch)
        return Gatherer(
            request=request,
            offered=offered,
            scratch=scratch,
            watch=Silence(),
            errands=Errands(request=request),
            memory=memory,
        )

    def read(self, place: Path, **rest: Any) -> tuple[Read, str]:
        """One place read as a suspect, and how its digest came about."""
        gatherer = self.gatherer(place, **rest)
        found = gatherer.read(0, (gatherer.request.suspect, "suspect"))
        return found, gatherer.digests.get(place.name, "")

    def entries(self, kind: str) -> list[Path]:
        """What the cache holds of one kind."""
        return sorted((self.folder / "cache").glob(f"{kind}-*"))


@pytest.fixture
def bench(registry: Registry, tmp_path: Path) -> Bench:
    """An empty cache."""
    return Bench(registry=registry, folder=tmp_path)


def told(found: Read) -> tuple[Any, ...]:
    """Everything a dossier can hold of a reading: record, problems, and every number of every sketch."""
    sketches = {}
    for path in found.sketches:
        for name, s in load(path).sketches.items():
            arrays = {n: (a.dtype.str, a.shape, a.tobytes()) for n, a in s.arrays.items()}
            sketches[name] = (arrays, dict(s.facts), s.subject, s.precision, s.absent, s.version)
    return found.subject, found.problems, sketches


def spoilt(path: Path) -> None:
    """Other weights of the same length under the old modification time."""
    status = path.stat()
    raw = bytearray(path.read_bytes())
    raw[-400:] = np.full(100, 3.0, np.float32).tobytes()
    path.write_bytes(bytes(raw))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_second_case_reads_no_weights_and_says_the_same(
    registry: Registry, started: list[Mapping[str, Any]], tmp_path: Path
) -> None:
    """With a full cache no worker opens a checkpoint, and the record is that of a case without a cache, to the byte."""
    for seed, name in enumerate(("suspect", "candidate")):
        write(tmp_path / name, llama_tensors(seed, layers=5))
        (tmp_path / name / "tokenizer.json").write_text("[")  # a problem that only some probes come across
    request = Request(
        suspect=Named(label="s", path=tmp_path / "suspect"),
        candidates=(Named(label="c", path=tmp_path / "candidate"),),
        probes=PROBES,
        only_bundled=True,
    )
    caching = replace(request, remember=Remembering(folder=str(tmp_path / "cache")))
    without, first = investigate(request, registry), investigate(caching, registry)
    assert first.digests == {"s": READ, "c": READ}
    started.clear()
    second = investigate(caching, registry)
    assert [job["task"] for job in started] == ["compare"]
    assert second.digests == {"s": UNCHANGED, "c": UNCHANGED}
    assert not second.notes
    assert encode(without.dossier) == encode(first.dossier) == encode(second.dossier)
    assert "JSON" in {p.code for p in second.dossier.problems}


def test_tampering_under_the_old_time_is_seen(bench: Bench, started: list[Mapping[str, Any]]) -> None:
    """Weights exchanged with size and modification time kept are read again by default, through the change time."""
    place = write(bench.folder / "model", llama_tensors(layers=5))
    before, _ = bench.read(place)
    time.sleep(0.02)
    spoilt(place / "model.safetensors")
    trusting, how = bench.read(place, trust="mtime")
    assert (told(trusting), how) == (told(before), TRUSTED)  # which is what --trust-mtime asks for
    started.clear()
    after, how = bench.read(place)
    assert how == READ
    assert [job["digest"] for job in started] == [""]
    assert after.subject.digest != before.subject.digest


def test_trusting_sizes_leaves_nothing_for_the_careful(bench: Bench) -> None:
    """What a probe sees under --trust-mtime is not kept as if it were of the remembered content."""
    place = write(bench.folder / "model", llama_tensors(layers=5))
    bench.read(place, probes=("norm-gains",))
    kept = bench.entries("sketch"), [p.read_bytes() for p in bench.entries("place")]
    time.sleep(0.02)
    spoilt(place / "model.safetensors")
    _, how = bench.read(place, trust="mtime")
    assert how == TRUSTED
    assert (bench.entries("sketch"), [p.read_bytes() for p in bench.entries("place")]) == kept


def test_rehash_trusts_nothing_and_reuses_what_hashes_the_same(
    bench: Bench, started: list[Mapping[str, Any]]
) -> None:
    """With --rehash every byte is hashed and nobody sketches; other bytes are read whole and by everybody."""
    place = write(bench.folder / "model", llama_tensors(layers=5))
    before, how = bench.read(place, trust="rehash")
    assert how == READ
    os.utime(place / "model.safetensors", (1, 1))
    started.clear()
    again, how = bench.read(place, trust="rehash")
    assert (told(again), how) == (told(before), REHASHED)
    assert [(job["probes"], job["digest"]) for job in started] == [([], "")]
    spoilt(place / "model.safetensors")
    started.clear()
    after, how = bench.read(place, trust="rehash")
    assert how == READ
    assert sorted(started[-1]["probes"]) == sorted(PROBES)
    assert told(after) == told(bench.read(place, trust=None)[0])


def test_what_an_earlier_pass_found_in_quantised_weights_is_not_forgotten(bench: Bench) -> None:
    """A NaN among quantised numbers, which only a pass with a probe for them sees, stays after --rehash without one."""
    place = write(bench.folder / "model", llama_tensors(layers=5))
    path = place / "model.safetensors"
    raw = path.read_bytes()
    behind = 8 + int.from_bytes(raw[:8], "little")
    header, body = json.loads(raw[8:behind]), raw[behind:]
    header.pop("__metadata__", None)
    name = "model.layers.1.self_attn.q_proj.weight"
    (begin, end), size = header[name]["data_offsets"], 8 * 8
    for item in header.values():
        if item["data_offsets"][0] >= end:
            item["data_offsets"] = [n - (end - begin - size) for n in item["data_offsets"]]
    header[name] |= {"dtype": "F8_E4M3", "data_offsets": [begin, begin + size]}
    written = json.dumps(header).encode()
    codes = b"\x7f" + b"\x30" * (size - 1)  # 0x7f is NaN
    path.write_bytes(len(written).to_bytes(8, "little") + written + body[:begin] + codes + body[end:])
    before, _ = bench.read(place)
    assert "NOT_FINITE" in {p.code for p in before.problems}
    for trust in ("rehash", "unchanged"):
        again, how = bench.read(place, trust=trust)
        assert how == (REHASHED if trust == "rehash" else UNCHANGED)
        assert told(again) == told(before)


def test_only_missing_probes_read_again(bench: Bench, started: list[Mapping[str, Any]]) -> None:
    """A probe that was not there before is read by itself, without hashing, and the rest is remembered."""
    place = write(bench.folder / "model", llama_tensors(layers=5))
    bench.read(place, probes=("norm-gains",))
    started.clear()
    found, how = bench.read(place)
    assert how == UNCHANGED
    (job,) = started
    assert sorted(job["probes"]) == ["repository-scan", "weight-std"]
    assert job["digest"] == found.subject.digest
    assert told(found) == told(bench.read(place, trust=None)[0])
    started.clear()
    assert told(bench.read(place)[0]) == told(found)
    assert not started


LONE = """
def sketcher(self, checkpoint):
    if self.id == "fails":
        os.abort()
    return Named(self, checkpoint.label)

def compare(self, suspect, candidate):
    raise Abstain(Reason.TOO_SMALL, "too small")
"""
NAMED = """
class Named:
    def __init__(self, probe, label):
        self.probe, self.label = probe, label

    def wants(self, spec):
        return False

    def see(self, spec, rows, start):
        pass

    def finish(self):
        return self.probe.sketch({}, {"label": self.label})
"""


def test_lone_probes_are_remembered_by_content_and_label(
    tmp_path: Path, started: list[Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's sketch is found again, even after a pass over touched files; under another label, or failed, not."""
    source = NAMED + "".join(probe(name, LONE, base="SketchProbe") for name in ("lone", "fails"))
    install(tmp_path / "site", "lone-plugin", source + offer("lone", "fails"))
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    bench = Bench(registry=Registry.load(), folder=tmp_path, only_bundled=False)
    place = write(tmp_path / "model")
    probes = ("norm-gains", "lone", "fails")

    def read_for() -> list[list[str]]:
        started.clear()
        found, _ = bench.read(place, probes=probes)
        assert sorted(told(found)[2]) == ["lone", "norm-gains"]
        assert list(found.absent) == ["fails"]
        return [job["probes"] for job in started]

    assert read_for() == [["norm-gains"], ["lone"], ["fails"]]
    assert read_for() == [["fails"]]
    os.utime(place / "config.json", (1, 1))
    assert read_for() == [["norm-gains"], ["fails"]]
    memory = bench.gatherer(place, probes=probes).memory
    assert list(visited(memory, str(place), "model", ["norm-gains", "lone"]).sketches) == [
        "norm-gains",
        "lone",
    ]
    assert list(visited(memory, str(place), "other", ["norm-gains", "lone"]).sketches) == ["norm-gains"]


@dataclass(frozen=True, kw_only=True)
class Newer(SketchProbe):
    """norm-gains as another version would offer it."""

    id: ClassVar[str] = "norm-gains"
    version: ClassVar[str] = "999"
    title: ClassVar[str] = "t"
    measures: ClassVar[str] = "m"


@dataclass(frozen=True, kw_only=True)
class Tunable(Newer):
    """The same with a parameter."""

    level: int = 1


def test_whatever_can_change_a_sketch_is_part_of_its_name(bench: Bench) -> None:
    """Another version, parameter, plugin source, reading code or content finds nothing; the same finds it."""
    place = write(bench.folder / "model", llama_tensors(layers=5))
    bench.read(place, probes=("norm-gains",))
    memory = bench.gatherer(place, probes=("norm-gains",)).memory
    offered = memory.offered["norm-gains"]
    visit = visited(memory, str(place), "model", ["norm-gains"])
    assert visit.subject
    digest = visit.subject.digest

    def found(memory: Memory, content: str = visit.content, label: str = "model") -> bool:
        return bool(memory.sketches(content, label, ["norm-gains"], digest))

    def with_(**changes: Any) -> Memory:
        return replace(memory, offered={"norm-gains": replace(offered, **changes)})

    assert found(memory)
    assert found(memory, label="another name")
    assert not found(with_(probe=Newer()))
    assert not found(with_(origin=replace(offered.origin, sha256="0" * 64)))
    assert not found(with_(origin=replace(offered.origin, bundled=False, sha256="")))
    assert not found(replace(memory, vintage="0" * 64))
    assert not found(memory, content="subject-" + "0" * 64)
    sketch = replace(Tunable().sketch({}), subject=digest)
    with_(probe=Tunable()).keep(visit.content, "model", sketch)
    assert found(with_(probe=Tunable()))
    assert not found(with_(probe=Tunable(level=2)))


def test_entry_under_another_name_is_not_believed(bench: Bench) -> None:
    """A whole sketch file of ours under the name of another is removed and made again."""
    place = write(bench.folder / "model", llama_tensors(layers=5))
    before, _ = bench.read(place, probes=("norm-gains",))
    (mine,) = bench.entries("sketch")
    memory = bench.gatherer(place, probes=("norm-gains",)).memory
    sketch = load(before.sketches[0]).sketches["norm-gains"]
    memory.keep("subject-1", "model", replace(sketch, facts={"forged": 1}))
    (theirs,) = [p for p in bench.entries("sketch") if p != mine]
    mine.write_bytes(theirs.read_bytes())
    found, how = bench.read(place, probes=("norm-gains",))
    assert (told(found), how) == (told(before), UNCHANGED)


def test_garbage_in_the_cache_changes_nothing(bench: Bench) -> None:
    """An entry that is whole and holds nonsense is as good as none, whatever its kind."""
    place = write(bench.folder / "model", llama_tensors(layers=5))
    before, _ = bench.read(place, probes=("norm-gains",))
    store = Store.open(bench.folder / "cache")
    memory = bench.gatherer(place, probes=("norm-gains",)).memory
    for kind in ("sketch", "subject", "place"):
        (entry,) = bench.entries(kind)
        sound = store.get(entry.name)
        assert sound is not None
        for nonsense in (
            b"",
            b"[" * 5000,
            b"{}",
            b'{"seen": {"place": 3}, "subject": []}',
            sound[:-1],
        ):
            assert store.put(entry.name, nonsense)
            visit = visited(memory, str(place), "model", ["norm-gains"])
            assert not visit.sketches
            assert kind == "sketch" or visit.subject is None
        if kind != "place":
            store.put(entry.name, sound)
    assert told(bench.read(place, probes=("norm-gains",))[0]) == told(before)


def test_failure_is_not_remembered_and_an_abstention_is(bench: Bench) -> None:
    """A probe that failed is tried again; one that had nothing to say has not changed its mind."""
    place = write(bench.folder / "model")
    memory = bench.gatherer(place, probes=("norm-gains",)).memory
    sketch = replace(memory.offered["norm-gains"].probe.sketch({}), subject="d")  # type: ignore[union-attr]
    memory.keep("subject-1", "model", replace(sketch, absent=Failure(error="E", detail="d")))
    assert not bench.entries("sketch")
    memory.keep("subject-1", "model", replace(sketch, absent=Abstention(reason=Reason.TOO_SMALL, detail="d")))
    assert memory.sketches("subject-1", "model", ["norm-gains"], "d")["norm-gains"].absent


def test_interrupted_case_goes_on_where_it_stood(
    bench: Bench, started: list[Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sketches of checkpoints that were through before an interrupt are kept; only the others are read again."""
    done = write(bench.folder / "done", llama_tensors(layers=5))
    cut = write(bench.folder / "cut", llama_tensors(1, layers=5))
    run = jobs.run

    def interrupted(job: Mapping[str, Any], **rest: Any) -> jobs.JobEnd:
        if job["label"] == "cut":
            while len(bench.entries("sketch")) < len(PROBES):
                time.sleep(0.01)
            raise KeyboardInterrupt
        return run(job, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "run", interrupted)
        gatherer = bench.gatherer(done, cut)
        with pytest.raises(KeyboardInterrupt):
            gatherer.read_all()
    started.clear()
    reads = bench.gatherer(done, cut).read_all()
    assert [job["label"] for job in started] == ["cut"]
    assert [sorted(told(read)[2]) for read in reads] == [sorted(PROBES)] * 2
    assert not any(read.error for read in reads)


def test_files_that_change_under_the_reading_are_not_remembered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file was touched between the first look at it and the end of the pass, nothing is kept."""
    place = write(bench.folder / "model", llama_tensors(layers=5))
    run = jobs.run

    def touching(job: Mapping[str, Any], **rest: Any) -> jobs.JobEnd:
        end = run(job, **rest)
        os.utime(place / "config.json", (1, 1))
        return end

    monkeypatch.setattr(jobs, "run", touching)
    bench.read(place, probes=("norm-gains",))
    assert not bench.entries("")
    assert not list((bench.folder / "cache").iterdir())


def test_record_that_does_not_fit_the_files_is_not_remembered(tmp_path: Path) -> None:
    """A record that names other files or sizes than lie there, or files that were not read, has no content key."""
    found = sighting.sighting(str(write(tmp_path / "model")), "")
    assert found is not None
    files = [FileSeen(name=n, size=f[0], sha256="0" * 64) for n, f in found.files.items()]
    subject = Subject(label="m", role="suspect", form="checkpoint", files=tuple(files), digest="d")
    assert content_key(found, subject)
    odd = [
        files[:1],
        [*files, replace(files[0], name="elsewhere/model.safetensors")],
        [*files, files[0]],
        [replace(files[0], size=1), *files[1:]],
        [replace(files[0], sha256="", note="not opened: no permission"), *files[1:]],
    ]
    assert [content_key(found, replace(subject, files=tuple(f))) for f in odd] == [""] * len(odd)
    assert content_key(found, replace(subject, form="first-look")) == ""
    elsewhere = replace(found, place="/elsewhere")
    unhashed = replace(subject, files=(replace(files[0], sha256="", note="too large"), *files[1:]))
    touched = replace(found, files={n: (f[0], f[1], 1, f[3], f[4]) for n, f in found.files.items()})
    assert content_key(found, subject) == content_key(touched, subject)
    assert content_key(found, unhashed) != content_key(touched, unhashed)
    assert content_key(found, subject) != content_key(elsewhere, subject)


def test_sketches_depend_on_a_label_only_where_the_probe_says_so(registry: Registry, tmp_path: Path) -> None:
    """Every bundled probe keeps the same of a checkpoint under any label, save one that says that it does not."""
    tiny_checkpoint(tmp_path / "model", layers=4, width=64)
    (tmp_path / "model" / "README.md").write_text("licence: none")
    probes = [o.probe for o in registry.probes.values() if isinstance(o.probe, SketchProbe)]
    quick = [p for p in probes if not p.isolated]
    sketches = []
    for label in ("one", "another"):
        checkpoint = open_checkpoint(tmp_path / "model", label=label)
        sketches.append(sketch_with(checkpoint, quick))
        checkpoint.close()
    for each in quick:
        one, other = (s[each.id] for s in sketches)
        same = dict(one.facts) == dict(other.facts) and all(
            np.array_equal(one.arrays[n], other.arrays[n]) for n in one.arrays
        )
        assert same != each.knows_label, each.id


def test_sketch_file_is_the_same_from_the_cache(
    registry: Registry, started: list[Mapping[str, Any]], tmp_path: Path
) -> None:
    """`forensics sketch` writes the same bytes whether it reads or remembers."""
    place = write(tmp_path / "model", llama_tensors(layers=5))
    remember = Remembering(folder=str(tmp_path / "cache"))
    request = Request(suspect=Named(label="m", path=place), candidates=(), probes=PROBES, remember=remember)
    for name in ("one", "two"):
        sketch_checkpoint(request, registry, tmp_path / name, Silence())
    assert len(started) == 1
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def request_of(place: Path, cache: str) -> Request:
    """A question about one place, with this cache."""
    return Request(
        suspect=Named(label="model", path=place), candidates=(), remember=Remembering(folder=cache)
    )


UNUSABLE: dict[str, Callable[[Path], str]] = {
    "below a file": lambda p: str(p / "file" / "cache"),
    "open to all": lambda p: str(p / "open"),
}


@pytest.mark.parametrize("where", UNUSABLE.values(), ids=UNUSABLE)
def test_case_goes_on_without_an_unusable_cache(where: Callable[[Path], str], bench: Bench) -> None:
    """A cache that cannot be had or trusted costs one note and nothing else."""
    place = write(bench.folder / "model", llama_tensors(layers=5))
    (bench.folder / "file").write_text("")
    (bench.folder / "open").mkdir()
    (bench.folder / "open").chmod(0o777)
    memory = Memory.of(request_of(place, where(bench.folder)), (), {}, bench.folder)
    assert memory.store is None
    (note,) = memory.notes
    assert (note.where, note.code) == ("cache", "NO_CACHE")
    assert "goes on without" in note.message
    assert visited(memory, str(place), "model", PROBES).seen is None


def test_full_disk_costs_one_note(bench: Bench) -> None:
    """A cache that vanishes or fills up while the case runs is told once, and the reading stands."""
    place = write(bench.folder / "model", llama_tensors(layers=5))
    gatherer = bench.gatherer(place, probes=("norm-gains",))
    (bench.folder / "cache").rmdir()
    found = gatherer.read(0, (gatherer.request.suspect, "suspect"))
    assert not found.error
    assert [n.code for n in gatherer.memory.notes] == ["NO_CACHE"]


def test_cache_inside_a_checkpoint_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A named cache inside a subject or the base is an error, also through a link; the usual one is left out."""
    place = write(tmp_path / "model")
    (tmp_path / "link").symlink_to(place)
    arguments = ["sketch", str(place), "-o", str(tmp_path / "s"), "--probes", "norm-gains", "--only-bundled"]
    assert main([*arguments, "--cache-dir", str(tmp_path / "link" / "cache")]) == 2
    assert "the cache lies inside" in capsys.readouterr().err
    base = replace(request_of(tmp_path / "elsewhere", str(place / "c")), base=str(place))
    with pytest.raises(CaseError, match="inside the base"):
        Memory.of(base, (), {}, tmp_path)
    monkeypatch.setenv("FORENSICS_CACHE", str(place / ".cache"))
    assert main(arguments) == 0
    assert "goes on without a cache" in capsys.readouterr().err
    assert not (place / ".cache").exists()


def test_flags_choose_cache_and_trust(tmp_path: Path) -> None:
    """--no-cache leaves the folder alone, and a first look neither asks nor fills it."""
    place = write(tmp_path / "model")
    arguments = ["sketch", str(place), "-o", str(tmp_path / "s"), "--probes", "norm-gains", "--only-bundled"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORENSICS_CACHE", str(tmp_path / "cache"))
        assert main([*arguments, "--no-cache"]) == 0
    assert not (tmp_path / "cache").exists()
    quick = replace(request_of(place, str(tmp_path / "cache")), quick=True)
    assert Memory.of(quick, (), {}, tmp_path).store is None
    for clash in (["--no-cache", "--cache-dir", "x"], ["--rehash", "--trust-mtime"]):
        with pytest.raises(SystemExit):
            main([*arguments, *clash])


@pytest.fixture
def _computed_again() -> Iterator[None]:
    vintage._ours.cache_clear()
    yield
    vintage._ours.cache_clear()


@pytest.mark.usefixtures("_computed_again")
def test_vintage_changes_with_our_sources(
    monkeypatch: pytest.MonkeyPatch, registry: Registry, tmp_path: Path
) -> None:
    """A changed source, layout or opener is another vintage; an opener whose source cannot be told has none."""
    names = [name for name, _ in vintage._sources()]
    for needed in ("checkpoint/plan.py", "checkpoint/layouts/llama.json", "alignment/heads.py", "reading.py"):
        assert needed in names
    before = vintage.vintage(())
    assert before == vintage.vintage(())
    stranger = replace(registry.origins[0], bundled=False)
    assert vintage.vintage([stranger]) not in {before, ""}
    assert vintage.vintage([replace(stranger, sha256="")]) == ""
    (tmp_path / "plan.py").write_text("changed")
    sources = [(n, tmp_path / "plan.py" if n.endswith("/plan.py") else p) for n, p in vintage._sources()]
    monkeypatch.setattr(vintage, "_sources", lambda: sources)
    vintage._ours.cache_clear()
    assert vintage.vintage(()) != before


def test_offer_is_not_needed_to_ignore_a_stray_sketch(bench: Bench) -> None:
    """A sketch by a probe that this case does not offer is not kept."""
    place = write(bench.folder / "model")
    memory = bench.gatherer(place, probes=("norm-gains",)).memory
    offered: Offered = memory.offered["norm-gains"]
    memory.keep("subject-1", "model", replace(offered.probe.sketch({}), probe="somebody"))  # type: ignore[union-attr]
    assert not bench.entries("sketch")
