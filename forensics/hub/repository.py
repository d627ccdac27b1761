"""What a hub says about one repository, asked through huggingface_hub, pinned to a commit and checked."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

from forensics.checkpoint.place import budgeted, display_name, proper
from forensics.errors import CheckpointError
from forensics.hub.connection import BROKEN, Connection
from forensics.hub.endpoint import Endpoint
from forensics.hub.location import COMMIT, HubLocation, repository_name
from forensics.hub.patience import Patience, Pauses, retry_after
from forensics.records import Problem

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo
    from huggingface_hub.errors import HfHubHTTPError

ANSWER_LIMIT = 8 << 20
"""Bytes of the hub's description of a repository; 5,000 files need about 2 MB."""
SIZE_LIMIT = 1 << 50
NAME_LIMIT = 1_000
WHOLE_LIMIT = 16 << 20
"""Hubs keep larger files in LFS; what is not in LFS may be served without ranges."""
SHA256 = re.compile(r"[0-9a-f]{64}")
SENSELESS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What huggingface_hub may raise over an answer that is no description of a repository (RecursionError included)."""
_ASKING = threading.Lock()
"""huggingface_hub has one client per process; ours is its client only while this is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """One file as the hub describes it; everything here is a claim."""

    name: str
    size: int
    sha256: str = ""
    """Of the content, for files in LFS; empty for others."""

    @property
    def whole(self) -> bool:
        """Whether it is fetched in one piece: a small file of the Git repository itself."""
        return not self.sha256 and self.size <= WHOLE_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class HubRepository:
    """A repository at one commit."""

    endpoint: Endpoint
    location: HubLocation
    commit: str
    files: tuple[HubFile, ...]
    problems: tuple[Problem, ...] = ()
    """Without `where`."""

    @classmethod
    def open(
        cls,
        location: HubLocation,
        *,
        offline: bool = False,
        token_env: str = "",
        patience: Patience | None = None,
    ) -> HubRepository:
        """Asks the hub of `HF_ENDPOINT`; CheckpointError where it cannot or will not tell, or talks nonsense.

        `token_env` names the environment variable that holds a token for this hub; see Endpoint.from_environment.
        """
        if offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise CheckpointError(
                f"{location} is on a hub, and the network is not to be used",
                "download the checkpoint and name its folder",
                code="HUB_OFFLINE",
            )
        endpoint = Endpoint.from_environment(token_env=token_env)
        told = _told(endpoint, location, patience or Patience())
        commit = str(told.sha)
        if not COMMIT.fullmatch(commit):
            raise _nonsense(endpoint, "names no commit")
        if COMMIT.fullmatch(location.revision) and commit != location.revision:
            raise _nonsense(endpoint, "describes another commit than the one asked for")
        files, problems = _files(endpoint, told.siblings)
        if told.id != location.name and repository_name(str(told.id)):
            message = f"the hub now calls {location.name} {told.id}"
            problems.append(Problem(where="", code="HUB_RENAMED", message=message))
        return cls(endpoint=endpoint, location=location, commit=commit, files=files, problems=tuple(problems))

    def url(self, file: HubFile) -> httpx2.URL:
        """Where the hub serves a file of this commit."""
        from huggingface_hub import hf_hub_url

        made = hf_hub_url(self.location.name, file.name, revision=self.commit, endpoint=self.endpoint.url)
        return httpx2.URL(made)

    def manifest(self) -> dict[str, Any]:
        """The files as plain JSON for a worker: `checkpoint.brokered.BrokeredPlace` reads it."""
        return {
            "files": [[file.name, file.size, file.sha256] for file in self.files],
            "problems": [[problem.code, problem.message] for problem in self.problems],
        }


def _nonsense(endpoint: Endpoint, what: str) -> CheckpointError:
    return CheckpointError(f"the answer of {endpoint.host} {what}", code="HUB_ANSWER")


def _told(endpoint: Endpoint, location: HubLocation, patience: Patience) -> ModelInfo:
    """The hub's description, after as many pauses as it asks for within our patience."""
    from huggingface_hub.errors import HfHubHTTPError

    pauses = Pauses(patience)
    tries = 0
    while True:
        try:
            return _asked(endpoint, location, patience)
        except HfHubHTTPError as error:
            if error.response.status_code not in (429, 500, 502, 503, 504):
                raise _refusal(endpoint, location, error) from None
            asked = retry_after(error.response.headers)
        except (httpx2.TooManyRedirects, *SENSELESS) as error:
            raise _nonsense(endpoint, f"makes no sense ({type(error).__name__})") from None
        except BROKEN as error:
            if tries >= patience.attempts:
                raise unreachable(endpoint, error) from None
            asked = 0.0
        pauses.pause(tries, asked, endpoint.host)
        tries += 1


def _asked(endpoint: Endpoint, location: HubLocation, patience: Patience) -> ModelInfo:
    """One question through huggingface_hub, with a client that follows our rules and has no token to give away.

    Without its telemetry: else it would ask the hub for a list of coding agents, look for them, and write to HOME.
    """
    from huggingface_hub import HfApi, constants, set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    def ours() -> httpx2.Client:
        return Connection(endpoint, patience, limit=ANSWER_LIMIT, home_only=True).client

    with _ASKING:
        quiet, constants.HF_HUB_DISABLE_TELEMETRY = constants.HF_HUB_DISABLE_TELEMETRY, True
        set_client_factory(ours)
        try:
            return HfApi(endpoint=endpoint.url, token=False).model_info(
                location.name, revision=location.revision or None, files_metadata=True, timeout=patience.read
            )
        finally:
            set_client_factory(default_client_factory)
            constants.HF_HUB_DISABLE_TELEMETRY = quiet


def unreachable(endpoint: Endpoint, error: BaseException) -> CheckpointError:
    """A connection that failed again and again; only the kind of failure is told, since messages hold addresses."""
    return CheckpointError(
        f"{endpoint.host} cannot be reached or breaks off ({type(error).__name__})",
        "check the network, or HF_ENDPOINT; or download the checkpoint and name its folder",
        code="HUB_UNREACHABLE",
    )


def _refusal(endpoint: Endpoint, location: HubLocation, error: HfHubHTTPError) -> CheckpointError:
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            return gated(endpoint, location, error.response.status_code)
        case errors.RepositoryNotFoundError():
            return CheckpointError(
                f"{endpoint.host} has no repository {location.name}, or a private one",
                "check the name; for a private repository set HF_TOKEN",
                code="HUB_MISSING",
            )
        case errors.RevisionNotFoundError():
            return CheckpointError(
                f"{location.name} has no revision {location.revision!r}", "check the branch, tag or commit",
                code="HUB_MISSING",
            )  # fmt: skip
    return refused_status(endpoint, location, error.response.status_code)


def gated(endpoint: Endpoint, location: HubLocation, status: int) -> CheckpointError:
    """The hub wants to know who asks."""
    return CheckpointError(
        f"{endpoint.host} does not let us read {location.name} (status {status}): it is gated or private",
        "accept its terms on the hub and set HF_TOKEN; or download it and name its folder",
        code="HUB_GATED",
    )


def refused_status(endpoint: Endpoint, location: HubLocation, status: int) -> CheckpointError:
    """What an answer other than the expected one means."""
    if status in (401, 403):
        return gated(endpoint, location, status)
    if status in (404, 410):
        return CheckpointError(
            f"{endpoint.host} has no such repository, revision or file of {location.name}",
            "check the name and the revision",
            code="HUB_MISSING",
        )
    return CheckpointError(
        f"{endpoint.host} answers with status {status}", "try again later", code="HUB_STATUS"
    )


def _files(endpoint: Endpoint, siblings: Any) -> tuple[tuple[HubFile, ...], list[Problem]]:
    """Every file, checked; those whose names lead elsewhere are left out and told."""
    if not isinstance(siblings, list) or not siblings:
        raise _nonsense(endpoint, "lists no files")
    found: dict[str, HubFile] = {}
    problems = []
    for sibling in siblings:
        name = sibling.rfilename
        if not isinstance(name, str) or name in found:
            raise _nonsense(endpoint, "lists a file without name or twice")
        try:
            proper(name)
            name.encode()
        except (CheckpointError, UnicodeError):
            message = f"{display_name(name)!r} names a file outside the repository; left out"
            problems.append(Problem(where="", code="PATH_ESCAPE", message=message))
            continue
        if len(name) > NAME_LIMIT:
            raise _nonsense(endpoint, "lists a file with an endless name")
        found[name] = _file(endpoint, name, sibling.size, sibling.lfs)
    kept = budgeted(found)
    if len(kept) < len(found):
        message = f"only {len(kept)} of {len(found)} files were listed"
        problems.append(Problem(where="", code="TOO_MANY_FILES", message=message))
    return tuple(found[name] for name in kept), problems[:20]


def _file(endpoint: Endpoint, name: str, size: Any, lfs: Mapping[str, Any] | None) -> HubFile:
    if type(size) is not int or not 0 <= size <= SIZE_LIMIT:
        raise _nonsense(endpoint, f"gives {display_name(name)!r} no sensible size")
    sha256 = lfs.get("sha256") if isinstance(lfs, Mapping) else ""
    if lfs and (not isinstance(sha256, str) or not SHA256.fullmatch(sha256) or lfs.get("size") != size):
        raise _nonsense(endpoint, f"contradicts itself about {display_name(name)!r}")
    return HubFile(name=name, size=size, sha256=sha256 or "")
