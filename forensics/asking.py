"""What is asked on the command line, as a request: names told apart, files read, times taken from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.errors import CaseError, ReportError

if TYPE_CHECKING:
    import argparse

    from forensics.case import Request


THOROUGH = 100_000_000_000
"""Parameters that a token may pass through in a model that is run, where time is no matter."""


def request_of(given: argparse.Namespace, suspect: str) -> Request:
    """What the command line asks about this suspect; CaseError where it makes no sense."""
    from forensics.case import Remembering, Request
    from forensics.filing import filed
    from forensics.naming import named, named_groups

    no_cache = getattr(given, "no_cache", True)
    if given.hub_token_env and "TOKEN" not in given.hub_token_env.upper():
        hint = "workers are not given variables whose name holds TOKEN; rename it"
        raise CaseError(f"--hub-token-env names {given.hub_token_env}", hint)
    candidates, controls = named_groups(getattr(given, "candidates", ()), getattr(given, "controls", ()))
    return Request(
        suspect=replace(named(suspect), repository=getattr(given, "repository", None) or ""),
        candidates=candidates,
        controls=controls,
        probes=tuple(dict.fromkeys(getattr(given, "probes", ()))),
        parameters=_parameters(given),
        base=given.base,
        quick=getattr(given, "quick", False),
        self_test=getattr(given, "self_test", False),
        token_env=given.hub_token_env,
        remember=None if no_cache else Remembering(folder=given.cache_dir or "", trust=given.trust),
        calibrations=_brought(getattr(given, "calibration", [])),
        filed=filed(
            getattr(given, "exhibits", ()),
            getattr(given, "statement_for", ()),
            getattr(given, "statement_against", ()),
        ),
        case_id=getattr(given, "case_id", "")[:200],
        only_bundled=given.only_bundled,
        generated_at=_generated_at(),
    )


def _brought(files: list[str]) -> tuple[Mapping[str, object], ...]:
    from forensics.calibrating.brought import read_calibrations

    return read_calibrations(files)


def _parameters(given: argparse.Namespace) -> dict[str, str | int]:
    """What is set of every probe that has a field of that name."""
    thorough: dict[str, str | int] = {"max_parameters": THOROUGH} if getattr(given, "thorough", False) else {}
    return thorough | _texts(given)


def _texts(given: argparse.Namespace) -> dict[str, str]:
    """The prompts, where some are given: in place of the default set, or behind it."""
    from forensics.prompts import extended

    if getattr(given, "prompts", ""):
        return {"prompts": _prompts(given.prompts)}
    more = getattr(given, "more_prompts", "")
    return {"prompts": extended(_prompts(more))} if more else {}


def _prompts(path: str) -> str:
    """The text of a file of prompts, which must be usable."""
    from forensics.prompts import prompts_from

    require_file(Path(path), "name a UTF-8 text file")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(4_000_000)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise CaseError(f"cannot read the prompts in {path}: {reason}", "name a UTF-8 text file") from None
    prompts_from(text)
    return text


def require_file(path: Path, hint: str, limit: int = 512 << 20) -> None:
    """Refuses pipes, devices and absurd sizes before they are read; what is missing is told by opening it."""
    if path.exists() and not path.is_file():
        raise CaseError(f"{path} is no regular file", hint)
    if path.exists() and path.stat().st_size > limit:
        raise CaseError(f"{path} is larger than {limit >> 20} MB", hint)


def _generated_at() -> str | None:
    """The time stamp of the record, only ever from SOURCE_DATE_EPOCH."""
    from datetime import UTC, datetime

    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if not epoch:
        return None
    try:
        return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        raise CaseError(
            f"SOURCE_DATE_EPOCH is {epoch[:40]!r}", "set it to whole seconds since 1970, or unset it"
        ) from None


def record_at(source: Path) -> bytes:
    """The bytes of a dossier.json."""
    require_file(source, "name a dossier.json")
    try:
        return source.read_bytes()
    except OSError as error:
        raise ReportError(f"cannot read {source}: {error.strerror}", "name a dossier.json") from None
