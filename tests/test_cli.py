"""The command line as its users meet it: whole cases, bad input, exit statuses."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal as signals
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from forensics import archive
from forensics.arguments import parse
from forensics.asking import request_of
from forensics.cli import main
from forensics.prompts import DEFAULT_PROMPTS, prompts_from
from forensics.testing import descend, tiny_checkpoint
from tests import strangers

EPOCH = "1790000000"
SOME = (
    "weight-std",
    "neuron-match",
    "attention-circuits",
    "identity-attention",
    "tokenizer-diff",
    "metadata-lineage",
)
"""A probe or two of each kind, for a case that does not take minutes."""
QUICK = ["--probes", "weight-std", "norm-gains", "--only-bundled"]


def command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`forensics …` in a process of its own."""
    variables = {k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"} | environment
    return subprocess.run(
        [sys.executable, "-m", "forensics", *arguments],
        cwd=cwd, env=variables, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, its permuted descendant, a stranger and another stranger."""
    folder = tmp_path_factory.mktemp("cli")
    for seed, name in enumerate(("base", "stranger", "control")):
        tiny_checkpoint(folder / name, seed=seed, layers=4, width=64)
    descend(folder / "base", folder / "suspect", noise=0.02, permute=True, seed=9)
    return folder


@pytest.fixture(scope="module")
def whole(place: Path) -> subprocess.CompletedProcess[str]:
    """One case, in `place`/out."""
    return investigated(place, "out", "--probes", *SOME)


def investigated(place: Path, out: str, *more: str) -> subprocess.CompletedProcess[str]:
    """A case of the suspect, two candidates and a control."""
    return command(
        "investigate", "--suspect", "suspect", "--candidates", "base", "other=stranger", "--controls", "control",
        "--out", out, "--case-id", "a case", "--only-bundled", *more, cwd=place, SOURCE_DATE_EPOCH=EPOCH,
    )  # fmt: skip


@pytest.fixture(scope="module")
def record(place: Path, whole: subprocess.CompletedProcess[str]) -> Mapping[str, Any]:
    """Its record."""
    assert whole.returncode == 0, whole.stderr
    return json.loads((place / "out" / "dossier.json").read_text(encoding="utf-8"))


def test_case_leaves_its_files(place: Path, record: Mapping[str, Any]) -> None:
    """A case writes record, renderings, sums that hold, and the run's notes, and nothing half-written."""
    del record
    out = place / "out"
    assert sorted(p.name for p in out.iterdir()) == [
        "SHA256SUMS", "dossier.html", "dossier.json", "dossier.pdf", "run.json",
    ]  # fmt: skip
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest


def test_every_opinion_states_seven_propositions(place: Path, record: Mapping[str, Any]) -> None:
    """A whole case says of candidates and controls how each explanation stands, and `explain` tells it."""
    for opinion in (*record["opinions"], *record["controls"]):
        stood = {one["id"]: one["standing"] for one in opinion["propositions"]}
        assert len(stood) == 7
        named = {"derived", "independent"} & {name for name, how in stood.items() if how == "supported"}
        assert named == {opinion["verdict"]} - {"inconclusive"}
        assert all(one["grounds"] for one in opinion["propositions"])
    told = command("explain", "out/dossier.json", "base", cwd=place)
    assert told.returncode == 0, told.stderr
    assert "sibling or common ancestor: Neither was made from the other" in told.stdout


def test_record_keeps_its_schema(record: Mapping[str, Any]) -> None:
    """The record validates against the published schema and comes back equal from the archive."""
    jsonschema.validate(record, archive.schema())
    raw = archive.encode(archive.decode(json.dumps(record).encode()))
    assert json.loads(raw) == record


def test_record_says_what_was_asked(record: Mapping[str, Any]) -> None:
    """Labels stand as given, every probe has one outcome per candidate and control, each of a known kind."""
    assert [s["label"] for s in record["subjects"]] == ["suspect", "base", "other", "control"]
    assert [o["candidate"] for o in record["opinions"]] == ["base", "other"]
    assert [o["candidate"] for o in record["controls"]] == ["control"]
    told = [(f["probe"]["id"], f["candidate"]) for f in record["findings"]]
    assert len(told) == len(set(told)) == 3 * len(record["case"]["probes"])
    assert {f["outcome"]["kind"] for f in record["findings"]} <= {"measurement", "abstention"}


def test_record_holds_no_path_and_no_host(place: Path, record: Mapping[str, Any]) -> None:
    """Absolute paths, host and timings stay out of the record and stand in run.json."""
    text = json.dumps(record)
    assert str(place) not in text
    assert "seconds" not in text
    run = json.loads((place / "out" / "run.json").read_text())
    assert run["paths"]["other"] == str(place / "stranger")
    assert run["seconds"]


def test_permuted_descendant_is_seen_and_strangers_are_not(record: Mapping[str, Any]) -> None:
    """The permuted copy's neurons and circuits match its base's, and no stranger comes out derived."""
    values = {
        (f["probe"]["id"], f["candidate"]): f["outcome"]["value"]
        for f in record["findings"]
        if f["outcome"]["kind"] == "measurement"
    }
    for probe in ("neuron-match", "attention-circuits"):
        assert values[probe, "base"] > 0.8
        assert values[probe, "other"] < 0.3
    verdicts = {o["candidate"]: o["verdict"] for o in [*record["opinions"], *record["controls"]]}
    assert verdicts["base"] == "derived"
    assert "derived" not in {verdicts["other"], verdicts["control"]}


def test_table_is_on_stdout_and_nothing_else(whole: subprocess.CompletedProcess[str]) -> None:
    """Without a terminal there is one opinion per candidate on stdout, no escapes, and a silent stderr."""
    assert "base" in whole.stdout
    assert "other" in whole.stdout
    assert "\x1b" not in whole.stdout
    assert whole.stderr == ""


def test_same_inputs_give_the_same_record(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of one case leave the same bytes; the slow test below compares page and PDF too."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    monkeypatch.setattr("forensics.casefiles.render", lambda *_: [])
    for out in ("one", "two"):
        assert (
            main(["investigate", "--suspect", "suspect", "--candidates", "base", "--out", out, *QUICK]) == 0
        )
    assert (place / "one" / "dossier.json").read_bytes() == (place / "two" / "dossier.json").read_bytes()


@pytest.mark.slow
def test_a_whole_case_with_every_probe_is_the_same_again(place: Path) -> None:
    """The same with every bundled probe, several candidates and a control; no probe fails."""
    first = investigated(place, "every")
    assert first.returncode == 0, first.stderr
    found = json.loads((place / "every" / "dossier.json").read_text(encoding="utf-8"))
    assert {f["outcome"]["kind"] for f in found["findings"]} <= {"measurement", "abstention"}
    assert len(found["case"]["probes"]) > 20
    verdicts = {o["candidate"]: o["verdict"] for o in [*found["opinions"], *found["controls"]]}
    assert verdicts["base"] == "derived"
    assert "derived" not in {verdicts["other"], verdicts["control"]}
    again = investigated(place, "again", "--json")
    assert again.returncode == 0, again.stderr
    for name in ("dossier.json", "dossier.html", "dossier.pdf", "SHA256SUMS"):
        assert (place / "again" / name).read_bytes() == (place / "every" / name).read_bytes(), name
    assert again.stdout == (place / "again" / "dossier.json").read_text(encoding="utf-8")


def test_sketches_stand_in_for_weights(
    place: Path, record: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A case between sketch files comes to the same readings, and the record says what was handed over."""
    monkeypatch.chdir(place)
    for name in ("suspect", "base"):
        assert main(["sketch", name, "-o", f"{name}.sketch", "--only-bundled", "--probes", *SOME]) == 0
    monkeypatch.setattr(
        "forensics.casefiles.render", lambda *_: []
    )  # what a page says of sketches is told elsewhere
    arguments = [
        "--suspect",
        "suspect=suspect.sketch",
        "--candidates",
        "base=base.sketch",
        "--out",
        "sketched",
    ]
    assert main(["investigate", *arguments, "--only-bundled", "--probes", *SOME]) == 0
    sketched = json.loads((place / "sketched" / "dossier.json").read_text())
    assert {s["form"] for s in sketched["subjects"]} == {"sketch"}
    first = {f["probe"]["id"]: f["outcome"] for f in record["findings"] if f["candidate"] == "base"}
    assert {f["probe"]["id"]: f["outcome"] for f in sketched["findings"]} == first


@pytest.mark.parametrize(
    "form", [*(pytest.param(f, marks=pytest.mark.slow) for f in ("pdf", "html")), "text"]
)
def test_report_renders_without_a_checkpoint(
    form: str, place: Path, record: Mapping[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`report` renders from the record alone, with the bytes of the first rendering."""
    del record
    shutil.copy(place / "out" / "dossier.json", tmp_path)
    assert main(["report", str(tmp_path / "dossier.json"), "--to", form]) == 0
    printed = capsys.readouterr().out
    if form == "text":
        assert "a case" in printed
    else:
        written = (tmp_path / f"dossier.{form}").read_bytes()
        assert written == (place / "out" / f"dossier.{form}").read_bytes()


def test_probes_lists_every_probe_and_what_failed(tmp_path: Path) -> None:
    """`probes` names each probe with its origin, and a plugin that does not load with the reason."""
    strangers.install(tmp_path, "broken-thing", "\nraise RuntimeError('no luck')\n")
    listed = command("probes", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert listed.returncode == 0
    for word in ("weight-std", "neuron-match", "model-forensics", "broken-thing", "no luck"):
        assert word in listed.stdout


@pytest.mark.slow
def test_strict_fails_where_a_plugin_does_not_load(place: Path, tmp_path: Path) -> None:
    """`--strict` exits 3 after the dossier was written; without it the case is completed with a problem."""
    strangers.install(tmp_path, "broken-thing", "\nraise RuntimeError('no luck')\n")
    arguments = ["investigate", "--suspect", "suspect", "--candidates", "base", "--probes", "weight-std"]
    strict = command(*arguments, "--strict", "--out", str(tmp_path), cwd=place, PYTHONPATH=str(tmp_path))
    assert strict.returncode == 3
    assert "broken-thing" in strict.stderr
    problems = json.loads((tmp_path / "dossier.json").read_text())["problems"]
    assert [p["code"] for p in problems] == ["PLUGIN_NOT_LOADED"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Runs a case that the user must put right: status 2, at most two lines on stderr, nothing written."""
    out = Path("refused")
    assert main(["investigate", *arguments, "--out", str(out), *QUICK]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert len(told.splitlines()) <= 2
    assert not list(out.glob("dossier*"))
    return told


def empty(folder: Path) -> None:
    """Nothing in it."""
    folder.mkdir()


def pickled(folder: Path) -> None:
    """A pickle that must not be opened."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n")


def overlapping(folder: Path) -> None:
    """Two tensors over the same bytes."""
    spoilt(folder, {"a": [0, 8], "b": [4, 12]}, 12)


def overlong(folder: Path) -> None:
    """A header that claims more than the file holds."""
    folder.mkdir()
    (folder / "model.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")


def spoilt(folder: Path, offsets: Mapping[str, list[int]], size: int) -> None:
    """A safetensors file with these offsets."""
    folder.mkdir()
    items = {n: {"dtype": "F32", "shape": [2], "data_offsets": o} for n, o in offsets.items()}
    header = json.dumps(items).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))


BAD = {
    "empty": (empty, "empty"),
    "pickled": (pickled, "pickle"),
    "overlapping": (overlapping, "overlap"),
    "overlong": (overlong, "header"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("role", ["suspect", "candidate"])
def test_unreadable_checkpoint_is_two_lines(
    kind: str, role: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A checkpoint that cannot be read at all is an error of two lines that names it and says why."""
    make, word = BAD[kind]
    make(tmp_path / "bad")
    monkeypatch.chdir(tmp_path)
    good = f"good={place / 'base'}"
    suspect, candidate = ("bad", good) if role == "suspect" else (good, "bad")
    told = refused(capsys, "--suspect", suspect, "--candidates", candidate)
    assert "bad" in told
    assert word in told.lower()


def test_questions_that_make_no_sense_are_two_lines(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing path, one name twice, one place twice, unknown probe: each says what and how to mend it."""
    monkeypatch.chdir(place)
    assert "nowhere" in refused(capsys, "--suspect", "nowhere", "--candidates", "base")
    assert "LABEL=PATH" in refused(capsys, "--suspect", "suspect", "--candidates", "x=base", "x=stranger")
    assert "same place" in refused(capsys, "--suspect", "base", "--candidates", "./base")
    assert "same place" in refused(capsys, "--suspect", "suspect", "--candidates", "base", "again=base")
    status = main(["investigate", "--suspect", "suspect", "--candidates", "base", "--probes", "nonsense"])
    assert status == 2
    assert "forensics probes" in capsys.readouterr().err


def quick_case(folder: Path, suspect: Path, candidates: list[str]) -> Mapping[str, Any]:
    """A case with two probes that is completed, as its record; nothing is rendered, which takes longest."""
    arguments = ["--suspect", f"suspect={suspect}", "--candidates", *candidates, "--out", str(folder / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("forensics.casefiles.render", lambda *_: [])
        assert main(["investigate", *arguments, *QUICK]) == 0
    return json.loads((folder / "out" / "dossier.json").read_text())


def truncated(folder: Path) -> None:
    """The last third of the weights is missing."""
    path = folder / "model.safetensors"
    os.truncate(path, path.stat().st_size * 2 // 3)


def escaping(folder: Path) -> None:
    """An index that names a file outside the folder beside the true one."""
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    index = {"weight_map": {"a": "part.safetensors", "b": "../base/model.safetensors", "c": "/etc/passwd"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def not_finite(folder: Path) -> None:
    """One attention matrix of NaN."""
    from forensics.testing import read_safetensors, write_safetensors

    tensors = read_safetensors(folder / "model.safetensors")
    name = next(n for n in tensors if n.endswith("layers.1.self_attn.q_proj.weight"))
    dtype, values = tensors[name]
    tensors[name] = (dtype, np.full_like(values, np.nan))
    write_safetensors(folder / "model.safetensors", tensors)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(truncated, "ST_TRUNCATED"), (escaping, "PATH_ESCAPE"), (not_finite, "NOT_FINITE")],
)
def test_spoilt_suspect_is_examined_as_far_as_it_goes(
    spoil: Callable[[Path], None], code: str, place: Path, tmp_path: Path
) -> None:
    """A half-downloaded, hostile or broken suspect gives a completed case that says what was not examined."""
    shutil.copytree(place / "suspect", tmp_path / "spoilt")
    spoil(tmp_path / "spoilt")
    case = quick_case(tmp_path, tmp_path / "spoilt", [f"base={place / 'base'}"])
    assert code in {p["code"] for p in case["problems"]}
    subject = case["subjects"][0]
    if spoil is not escaping:
        assert subject["recognised"] < subject["parameters"]
        assert subject["unexamined"]
    assert case["opinions"][0]["coverage"] <= 1


def test_one_bad_candidate_does_not_end_the_case(place: Path, tmp_path: Path) -> None:
    """Beside a readable candidate an unreadable one is entered as such and comes out inconclusive."""
    pickled(tmp_path / "bad")
    case = quick_case(tmp_path, place / "suspect", [f"base={place / 'base'}", f"bad={tmp_path / 'bad'}"])
    assert [s["form"] for s in case["subjects"]] == ["checkpoint", "checkpoint", "unreadable"]
    assert {f["outcome"]["kind"] for f in case["findings"] if f["candidate"] == "bad"} == {"failure"}
    assert case["opinions"][1]["verdict"] == "inconclusive"


def test_copy_is_identical_and_derived_only_by_the_rules(place: Path, tmp_path: Path) -> None:
    """A byte-for-byte copy under another path is called identical."""
    shutil.copytree(place / "base", tmp_path / "copy")
    case = quick_case(tmp_path, tmp_path / "copy", [f"base={place / 'base'}"])
    assert case["opinions"][0]["relation"] == "identical"
    assert case["subjects"][0]["digest"] == case["subjects"][1]["digest"]


def test_unknown_architecture_is_not_an_error(place: Path, tmp_path: Path) -> None:
    """A suspect of which nothing is recognised is completed with everything listed as unexamined."""
    from forensics.testing import write_safetensors

    (tmp_path / "odd").mkdir()
    values = np.ones((4, 4), dtype=np.float32)
    write_safetensors(tmp_path / "odd" / "model.safetensors", {"something.else": ("f32", values)})
    case = quick_case(tmp_path, tmp_path / "odd", [f"base={place / 'base'}"])
    assert case["subjects"][0]["architecture"]["layout"] == "unknown"
    assert [u["name"] for u in case["subjects"][0]["unexamined"]] == ["something.else"]
    assert case["opinions"][0]["verdict"] == "inconclusive"


def test_record_survives_a_failing_rendering(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the PDF cannot be made the record and its sums are there all the same."""
    from forensics import report
    from forensics.errors import ReportError

    def fail(*_: object, **__: object) -> None:
        raise ReportError("no Pango here", "install it")

    monkeypatch.setattr(report, "pdf_of", fail, raising=False)
    arguments = ["--suspect", str(place / "suspect"), "--candidates", str(place / "base")]
    assert main(["investigate", *arguments, "--out", str(tmp_path / "out"), *QUICK]) == 2
    assert "no Pango here" in capsys.readouterr().err
    assert archive.decode((tmp_path / "out" / "dossier.json").read_bytes())
    assert not (tmp_path / "out" / "dossier.pdf").exists()
    assert "dossier.json" in (tmp_path / "out" / "SHA256SUMS").read_text()


@pytest.mark.parametrize("text", ["not json", "{}", '{"schema": "forensics-dossier/9"}'])
def test_report_of_something_else_is_two_lines(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is no dossier is refused with status 2."""
    path = tmp_path / "dossier.json"
    path.write_text(text)
    assert main(["report", str(path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.slow
def test_code_in_the_current_folder_is_never_run(place: Path, tmp_path: Path) -> None:
    """Standing in the suspect's folder, no module that lies there is imported by us or by a worker."""
    shutil.copytree(place / "suspect", tmp_path / "evil")
    for name in ("queue", "json", "forensics"):
        (tmp_path / "evil" / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'a').write('{name}')\nraise OSError"
        )
    arguments = [
        "--suspect",
        "suspect=.",
        "--candidates",
        f"base={place / 'base'}",
        "--out",
        str(tmp_path / "out"),
    ]
    script = [str(Path(sys.executable).with_name("forensics")), "investigate", *arguments, *QUICK]
    done = subprocess.run(
        script, cwd=tmp_path / "evil", capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


def test_weights_that_loaders_would_take_are_read(place: Path, tmp_path: Path) -> None:
    """An index beside model.safetensors cannot point the examination at other weights, and keeps `independent` away."""
    shutil.copytree(place / "base", tmp_path / "decoy")
    shutil.copy(place / "stranger" / "model.safetensors", tmp_path / "decoy" / "zz.safetensors")
    index = {"weight_map": {"model.embed_tokens.weight": "zz.safetensors"}}
    (tmp_path / "decoy" / "model.safetensors.index.json").write_text(json.dumps(index))
    case = quick_case(tmp_path, tmp_path / "decoy", [f"base={place / 'base'}"])
    assert {p["code"] for p in case["problems"]} == {"WEIGHTS_AMBIGUOUS"}
    gains = next(f["outcome"] for f in case["findings"] if f["probe"]["id"] == "norm-gains")
    assert gains["value"] == pytest.approx(1)
    grounds = case["opinions"][0]["grounds"]
    assert any(g.startswith("For independent, not met") and "zz.safetensors" in g for g in grounds)


def test_nothing_is_written_into_a_checkpoint(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a case nor a sketch may be written into a checkpoint's folder: that would alter the evidence."""
    shutil.copytree(place / "base", tmp_path / "model")
    before = sorted((p.name, p.stat().st_size) for p in (tmp_path / "model").iterdir())
    arguments = ["--suspect", str(place / "suspect"), "--candidates", str(tmp_path / "model")]
    assert main(["investigate", *arguments, "--out", str(tmp_path / "model" / "case"), *QUICK]) == 2
    assert "inside" in capsys.readouterr().err
    weights = str(tmp_path / "model" / "model.safetensors")
    assert main(["sketch", str(tmp_path / "model"), "-o", weights]) == 2
    assert "inside" in capsys.readouterr().err
    assert sorted((p.name, p.stat().st_size) for p in (tmp_path / "model").iterdir()) == before


def test_links_in_the_output_folder_are_not_followed(place: Path, tmp_path: Path) -> None:
    """A link lying where a file is to be written is replaced, its target left alone."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out").mkdir()
    for name in ("dossier.json.part", ".writable.part"):
        (tmp_path / "out" / name).symlink_to(victim)
    quick_case(tmp_path, place / "suspect", [f"base={place / 'base'}"])
    assert victim.read_text() == "precious"
    assert not (tmp_path / "out" / "dossier.json").is_symlink()


def test_an_output_that_cannot_be_is_two_lines(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder in the place of the record, or a file in the place of the folder, is told before the case starts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "dossier.json").mkdir(parents=True)
    (tmp_path / "b").write_text("")
    for out in ("a", "b"):
        arguments = ["--suspect", str(place / "suspect"), "--candidates", str(place / "base"), "--out", out]
        assert main(["investigate", *arguments, *QUICK]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 2


def _heed_signals() -> None:
    """Undoes what a shell does to jobs in the background: it lets them ignore interrupts."""
    for number in (signals.SIGINT, signals.SIGHUP, signals.SIGTERM):
        signals.signal(number, signals.SIG_DFL)


@pytest.mark.parametrize("signal", ["TERM", "INT", "HUP"])
def test_a_signal_ends_the_case_and_its_workers(signal: str, place: Path, tmp_path: Path) -> None:
    """A case that is told to end leaves no worker, no scratch folder and no half-written dossier behind."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    arguments = [
        "--suspect",
        "suspect",
        "--candidates",
        "base",
        "--out",
        str(tmp_path / "out"),
        "--only-bundled",
        "--probes",
        *SOME,
    ]
    case = subprocess.Popen(
        [sys.executable, "-m", "forensics", "investigate", *arguments],
        cwd=place, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
        preexec_fn=_heed_signals,  # noqa: PLW1509 - no threads here
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not any(tmp_path.glob("forensics-*/*.sketch")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(case.pid, getattr(signals, f"SIG{signal}"))
    _, told = case.communicate(timeout=30)
    assert case.returncode == 128 + getattr(signals, f"SIG{signal}")
    assert b"Traceback" not in told
    assert not list(tmp_path.glob("forensics-*"))
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_streams_are_not_a_bug(closed: str, tmp_path: Path) -> None:
    """With a standard stream closed a command still ends with status 0."""
    line = f"exec {sys.executable} -m forensics probes {closed}"
    assert (
        subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, capture_output=True, timeout=60, check=False
        ).returncode
        == 0
    )


def test_prompts_replace_the_shipped_set_or_stand_behind_it(tmp_path: Path) -> None:
    """`--prompts` is put alone, `--more-prompts` after the shipped texts; both at once are refused."""
    (tmp_path / "mine.txt").write_text("one of mine\nanother of mine\n")
    asked = ["investigate", "--suspect", "a", "--candidates", "b"]
    sets = {
        option: prompts_from(
            request_of(parse([*asked, option, str(tmp_path / "mine.txt")]), "a").parameters["prompts"]
        )
        for option in ("--prompts", "--more-prompts")
    }
    assert sets["--prompts"] == ("one of mine", "another of mine")
    assert sets["--more-prompts"] == (*DEFAULT_PROMPTS, *sets["--prompts"])
    assert "prompts" not in request_of(parse(asked), "a").parameters
    with pytest.raises(SystemExit):
        parse([*asked, "--prompts", "x", "--more-prompts", "x"])


def test_pipes_are_refused_as_dossier_and_prompts(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipe named where a file is read does not hang the program."""
    os.mkfifo(tmp_path / "pipe")
    assert main(["report", str(tmp_path / "pipe")]) == 2
    arguments = ["--suspect", str(place / "suspect"), "--candidates", str(place / "base")]
    assert main(["investigate", *arguments, "--prompts", str(tmp_path / "pipe"), *QUICK]) == 2
    assert capsys.readouterr().err.count("no regular file") == 2
