"""`--self-test` as part of a case: a certificate that can be trusted, and an alarm where an instrument cries out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics import jobs
from forensics.archive import encode
from forensics.case import Named, Request
from forensics.certificates import Certificate
from forensics.errors import CaseError, ForensicsError
from forensics.investigation import Investigated, investigate
from forensics.jobs import JobEnd
from forensics.readings import Measurement
from forensics.registry import Registry
from forensics.report.html import html_of
from forensics.report.terminal import summary_text, text_of
from forensics.testing import descend, tiny_checkpoint
from forensics.testing.files import read_safetensors, write_safetensors
from forensics.twins import reading
from forensics.worker import perform

PROBES = ("neuron-match", "norm-gains", "weight-std", "tokenizer-diff")


@pytest.fixture(autouse=True)
def workers_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers without processes, so that a probe can be patched; a crash ends the job as it ends a worker."""

    def run(job: Mapping[str, Any], *, listen: Callable[[Mapping[str, Any]], None], **_: Any) -> JobEnd:
        try:
            perform(job, listen)
        except RuntimeError as error:
            return JobEnd(done=False, error="RuntimeError", detail=str(error))
        return JobEnd(done=True)

    monkeypatch.setattr(jobs, "run", run)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, its descendant, and a stranger."""
    folder = tmp_path_factory.mktemp("self-test")
    tiny_checkpoint(folder / "base", seed=1, layers=4, width=64)
    tiny_checkpoint(folder / "stranger", seed=2, layers=4, width=64)
    descend(folder / "base", folder / "suspect", noise=0.02)
    return folder


def case(place: Path, *candidates: str, probes: tuple[str, ...] = PROBES) -> Investigated:
    """A case with the self-test."""
    request = Request(
        suspect=Named(label="suspect", path=place / "suspect"),
        candidates=tuple(Named(label=name, path=place / name) for name in candidates),
        probes=probes,
        self_test=True,
        only_bundled=True,
    )
    return investigate(request, Registry.load(only_bundled=True))


def answers(certificate: Certificate, probe: str) -> dict[str, str]:
    """A probe's answer by twin."""
    return {t.name: one.answer for t in certificate.twins for one in t.tests if one.probe == probe}


def test_certificate_of_sound_instruments(place: Path) -> None:
    """neuron-match sees every copy and not the noise; what a probe cannot see stands as stated; nothing cries out."""
    dossier = case(place, "base", "stranger").dossier
    (certificate,) = dossier.certificates
    assert (certificate.candidate, certificate.alarms) == ("base", ())
    assert certificate.untested == ("tokenizer-diff",)
    made = {twin.name for twin in certificate.twins if not twin.not_made}
    assert made == {"noise", "permuted", "flipped", "rotated", "rescaled", "quantised", "noised", "nudged"}
    found = {t.name: one for t in certificate.twins for one in t.tests if one.probe == "neuron-match"}
    assert {one.answer for one in found.values()} <= {
        "right",
        "not-judged",
    }  # until the reference is read again
    assert found["noise"].answer == "right"
    assert [name for name, one in found.items() if (one.value or 0.0) > 0.5] == [
        t.name for t in certificate.twins if t.kin
    ]
    gains = answers(certificate, "norm-gains")
    assert (gains["noise"], gains["permuted"], gains["quantised"]) == ("right", "blind", "right")
    assert answers(certificate, "weight-std")["noise"] == "blind"
    assert not [p for p in dossier.problems if p.code == "SELF_TEST"]


def test_record_is_the_same_to_the_byte_and_shown_everywhere(place: Path) -> None:
    """Two runs write one record, and every report tells of the self-test."""
    one, other = (case(place, "base", probes=("neuron-match", "norm-gains")).dossier for _ in range(2))
    record = encode(one)
    assert record == encode(other)
    page, text, summary = html_of(one, record), text_of(one), summary_text(one)
    for shown in (page, text, summary):
        assert "twins of base" in " ".join(shown.split())
    for shown in (page, text):
        assert "No instrument took the noise for kin." in " ".join(shown.split())


def test_instrument_that_always_cries_out_is_caught(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that calls everything kin takes the noise for kin: nothing is concluded of any candidate."""
    kind: Any = type(Registry.load(only_bundled=True).probes["neuron-match"].probe)
    honest = kind.compare

    def crying(self: Any, suspect: Any, candidate: Any) -> Measurement:
        found = honest(self, suspect, candidate)
        return replace(found, value=1.0, exact=replace(found.exact, p=1e-9))

    monkeypatch.setattr(kind, "compare", crying)
    dossier = case(place, "base", "stranger").dossier
    (alarm,) = dossier.certificates[0].alarms
    assert "neuron-match took the noise twin of base" in alarm
    assert [o.verdict for o in dossier.opinions] == ["inconclusive", "inconclusive"]
    assert all(o.because.startswith(alarm) for o in dossier.opinions)
    assert [p.message for p in dossier.problems if p.code == "SELF_TEST"] == [alarm]
    assert "ALARM" in summary_text(dossier)
    assert "ALARM" in text_of(dossier)


def test_crash_costs_only_the_twins(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that breaks half-way leaves the twins before it, says why there are no others, and harms no opinion."""
    before = replace(case(place, "base").dossier, certificates=())
    honest = reading.sketch_twin

    def breaking(checkpoint: Any, probes: Any, kind: Any, *rest: Any) -> Any:
        if kind.name == "flipped":
            raise ForensicsError("no such symmetry here")
        if kind.name == "rotated":
            raise RuntimeError("out of luck")
        return honest(checkpoint, probes, kind, *rest)

    monkeypatch.setattr(reading, "sketch_twin", breaking)
    dossier = case(place, "base").dossier
    why = {twin.name: twin.not_made for twin in dossier.certificates[0].twins}
    assert why["permuted"] == ""
    assert why["flipped"] == "no such symmetry here"
    assert "out of luck" in why["rotated"]
    assert "out of luck" in why["nudged"]
    assert encode(replace(dossier, certificates=())) == encode(before)


@pytest.mark.parametrize("hostile", ["nan", "odd heads"])
def test_hostile_candidate_harms_nothing_else(hostile: str, place: Path, tmp_path: Path) -> None:
    """Weights that are no numbers, or a config that lies about heads, still end in a certificate and an opinion."""
    descend(place / "base", tmp_path / "bad", noise=0.0)
    tensors = read_safetensors(tmp_path / "bad" / "model.safetensors")
    if hostile == "nan":
        tensors = {n: (d, np.full_like(w, np.nan)) for n, (d, w) in tensors.items()}
        write_safetensors(tmp_path / "bad" / "model.safetensors", tensors)
    else:
        config = (
            (tmp_path / "bad" / "config.json")
            .read_text()
            .replace('"num_attention_heads": 4', '"num_attention_heads": 7')
        )
        (tmp_path / "bad" / "config.json").write_text(config)
    (tmp_path / "suspect").symlink_to(place / "suspect")
    dossier = case(tmp_path, "bad").dossier
    (certificate,) = dossier.certificates
    assert len(certificate.twins) == 8
    assert not certificate.alarms
    assert len(dossier.opinions) == 1


def test_sketch_in_place_of_every_candidate_is_told(place: Path, tmp_path: Path) -> None:
    """Twins are made of weights: where only sketches were handed over, the record says that nothing was tested."""
    command = [
        sys.executable,
        "-m",
        "forensics",
        "sketch",
        str(place / "base"),
        "-o",
        str(tmp_path / "base"),
        "--no-cache",
    ]
    subprocess.run([*command, "--probes", "norm-gains"], check=True, capture_output=True)
    (tmp_path / "suspect").symlink_to(place / "suspect")
    dossier = case(tmp_path, "base", probes=("norm-gains",)).dossier
    assert dossier.certificates == ()
    assert [p.code for p in dossier.problems if p.where == "self-test"] == ["SELF_TEST"]


def test_first_look_has_no_self_test(place: Path) -> None:
    """A first look reads too little for it, and says so before anything is read."""
    named = [Named(label=n, path=place / n) for n in ("suspect", "base")]
    with pytest.raises(CaseError, match="self-test"):
        Request(suspect=named[0], candidates=(named[1],), self_test=True, quick=True).checked()


def test_confined_worker_makes_the_same_twins(place: Path, tmp_path: Path) -> None:
    """The command line, with real workers, writes a certificate and one line of it."""
    done = subprocess.run(
        [
            sys.executable, "-m", "forensics", "investigate", "--suspect", str(place / "suspect"), "--candidates",
            str(place / "base"), "--self-test", "--probes", "norm-gains", "--only-bundled", "--no-cache", "--out",
            str(tmp_path / "out"),
        ],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "self-test on twins of base:" in done.stdout
    assert '"not_made": ""' in (tmp_path / "out" / "dossier.json").read_text(encoding="utf-8")
