"""The command: a list of pairs to a calibration file."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from forensics.calibrating.pairs import LeftOut, PairList, read_pairs
from forensics.calibrating.population import content_of, summary
from forensics.calibrating.reference_file import write
from forensics.calibrating.running import Say, measure
from forensics.case import Request
from forensics.errors import CaseError
from forensics.gather import Watch
from forensics.registry import Registry

TOLD = 20
"""Left-out pairs that are told one by one; all stand in the file."""


class Given(Protocol):
    """What the command line says."""

    pairs: str
    out: str
    work: str
    probes: list[str]
    quick: bool
    hub_token_env: str
    only_bundled: bool


def calibrated(given: Given, registry: Registry, watch: Watch, say: Say) -> list[str]:
    """Measures, fits and writes; returns the lines that say what came of it."""
    listed, out = read_pairs(given.pairs), Path(given.out)
    if not listed.pairs:
        _tell_left_out(listed.left_out, say)
        raise CaseError(
            f"{given.pairs} holds no pair that can be used", "each was left out for the reason above"
        )
    request = _request(given, listed)
    request.require_outside(Path(given.work), "the working folder")
    request.require_outside(out, "the calibration file")
    if out.is_dir() or not os.access(out.resolve().parent, os.W_OK):
        raise CaseError(f"cannot write {out}", "name another file with --out")
    families = {family for pair in listed.pairs for family in pair.families}
    say(f"{len(listed.pairs)} pairs of {len(listed.models)} checkpoints of {len(families)} families")
    measured = measure(listed, Path(given.work), request, registry, watch, say)
    if measured.quick:
        say(f"a first look suffices for {', '.join(measured.offered) or 'no probe'}")
        for probe, why in measured.insufficient.items():
            say(f"a first look does not suffice for {probe}: {why}")
    _tell_left_out(measured.left_out, say)
    content = content_of(listed, measured, out.stem)
    try:
        with tempfile.TemporaryDirectory(dir=out.resolve().parent) as beside:
            whole = Path(beside) / "whole.json"
            write(whole, content)
            os.replace(whole, out)
    except OSError as error:
        raise CaseError(f"cannot write {out}: {error.strerror}", "name another file with --out") from None
    return [
        f"{out}: {content['id']}",
        *summary(content),
        f"use it: forensics investigate --calibration {out} …",
    ]


def _request(given: Given, listed: PairList) -> Request:
    """The settings under which workers read, as for a case of all these checkpoints."""
    first, *others = (model.named for model in listed.models.values())
    if given.hub_token_env and "TOKEN" not in given.hub_token_env.upper():
        raise CaseError(f"--hub-token-env names {given.hub_token_env}", "rename it so that it holds TOKEN")
    return Request(
        suspect=first,
        candidates=tuple(others),
        probes=tuple(dict.fromkeys(given.probes)),
        quick=given.quick,
        token_env=given.hub_token_env,
        only_bundled=given.only_bundled,
    )


def _tell_left_out(left: Iterable[LeftOut], say: Say) -> None:
    """The first of them one by one, the rest as a number."""
    told = Counter((one.suspect, one.candidate, one.reason) for one in left)
    for suspect, candidate, reason in list(told)[:TOLD]:
        say(f"left out: {suspect} and {candidate}: {reason}")
    if len(told) > TOLD:
        say(f"left out: {len(told) - TOLD} more")
