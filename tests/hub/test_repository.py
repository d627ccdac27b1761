"""What a hub says about a repository is as hostile as a file (threat cases 74 and 75)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from forensics.errors import CheckpointError
from forensics.hub.endpoint import Endpoint, kind_of
from forensics.hub.location import HubLocation
from forensics.hub.patience import Patience
from forensics.hub.repository import HubRepository
from forensics.hub.watched import CheckedBackend
from tests.hub.server import COMMIT, NAME, Call, Hub

HERE = HubLocation(name=NAME)
QUICK = Patience(connect=1, read=0.4, window=0.5, pauses=0.3, first_pause=0.02, attempts=0)


def refused(location: HubLocation = HERE, **options: Any) -> CheckpointError:
    """The error by which a repository is not opened, within bounded time."""
    began = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        HubRepository.open(location, patience=QUICK, **options)
    assert time.monotonic() - began < 4
    assert "127.0.0.1:" not in caught.value.message
    return caught.value


def test_a_repository_is_pinned_and_listed(hub: Hub) -> None:
    """huggingface_hub's own client gets names, sizes, digests and the commit, with no token and no chatter."""
    found = HubRepository.open(HERE)
    assert found.commit == COMMIT
    assert {f.name: f.size for f in found.files} == {name: len(raw) for name, raw in hub.files.items()}
    assert {f.name for f in found.files if f.sha256} == {n for n in hub.files if n.endswith(".safetensors")}
    assert found.problems == ()
    assert [one.path for one in hub.seen] == [f"/api/models/{NAME}?blobs=true"]
    assert "authorization" not in hub.seen[0].headers
    assert hub.seen[0].headers["user-agent"] == "model-forensics"
    assert COMMIT in str(found.url(found.files[0]))


def test_a_revision_is_asked_for(hub: Hub) -> None:
    """A named branch goes into the question, whatever slashes it has."""
    HubRepository.open(replace(HERE, revision="refs/pr/1"))
    assert hub.seen[0].path.startswith(f"/api/models/{NAME}/revision/refs%2Fpr%2F1")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a\\b", "http://x/y", "a\0b", "x/../y", ""]
)
def test_hostile_names_are_left_out_and_told(hub: Hub, name: str) -> None:
    """A name that leads outside never becomes a file, and the rest is still listed."""
    said = hub.description()
    said["siblings"].append({"rfilename": name, "size": 3})
    hub.described = said
    found = HubRepository.open(HERE)
    assert len(found.files) == len(hub.files)
    assert [problem.code for problem in found.problems] == ["PATH_ESCAPE"]


SPOILT: dict[str, Any] = {
    "negative size": {"siblings": [{"rfilename": "a", "size": -1}]},
    "endless size": {"siblings": [{"rfilename": "a", "size": 2**63}]},
    "size is text": {"siblings": [{"rfilename": "a", "size": "3"}]},
    "size is a flag": {"siblings": [{"rfilename": "a", "size": True}]},
    "size is a fraction": {"siblings": [{"rfilename": "a", "size": 1.5}]},
    "no size": {"siblings": [{"rfilename": "a"}]},
    "no files": {"siblings": []},
    "files missing": {"siblings": None},
    "files are a number": {"siblings": 7},
    "file is a number": {"siblings": [7]},
    "name is a list": {"siblings": [{"rfilename": ["a"], "size": 1}]},
    "name twice": {"siblings": [{"rfilename": "a", "size": 1}, {"rfilename": "a", "size": 2}]},
    "long name": {"siblings": [{"rfilename": "a" * 5000, "size": 1}]},
    "digest is no digest": {
        "siblings": [{"rfilename": "a", "size": 1, "lfs": {"size": 1, "sha256": "../x", "pointerSize": 1}}]
    },
    "two sizes": {
        "siblings": [{"rfilename": "a", "size": 1, "lfs": {"size": 2, "sha256": "0" * 64, "pointerSize": 1}}]
    },
    "no commit": {"sha": None},
    "commit is a branch": {"sha": "main"},
    "commit leads elsewhere": {"sha": "../../x"},
    "date is none": {"lastModified": "yesterday"},
}


@pytest.mark.parametrize("what", sorted(SPOILT))
def test_nonsense_is_refused(hub: Hub, what: str) -> None:
    """An answer that is no description of a repository is an error in two lines."""
    hub.described = hub.description() | SPOILT[what]
    assert refused().code == "HUB_ANSWER"


BOMBS = {
    "a list": b"[]",
    "text": b'"x"',
    "no JSON": b"<html>",
    "nothing": b"",
    "deep": b'{"siblings":' + b"[" * 200_000,
    "long number": b'{"sha":' + b"9" * 20_000 + b"}",
    "large": b'{"sha":"' + b"x" * (9 << 20) + b'"}',
    "not UTF-8": b'{"sha":"\xff\xfe"}',
}


@pytest.mark.parametrize("what", sorted(BOMBS))
def test_bombs_are_refused(hub: Hub, what: str) -> None:
    """Deep, large or broken JSON ends in an error, bounded in size before it is parsed."""
    hub.answer = lambda call: call.send(200, BOMBS[what])
    assert refused().code == "HUB_ANSWER"


def test_an_endless_answer_is_cut(hub: Hub) -> None:
    """A body without announced length is not read beyond the limit."""

    def endless(call: Call) -> bool:
        call.head(200, {"Transfer-Encoding": "chunked"})
        part = b"x" * (1 << 20)
        while call.write(b"%x\r\n%s\r\n" % (len(part), part)):
            pass
        return True

    hub.answer = endless
    assert refused().code == "HUB_ANSWER"


def test_compressed_answers_are_refused(hub: Hub) -> None:
    """What nobody asked to be compressed is not inflated."""
    hub.answer = lambda call: call.send(200, b"\x1f\x8b", {"Content-Encoding": "gzip"})
    assert refused().code == "HUB_ANSWER"


def test_a_flood_of_files_is_bounded(hub: Hub) -> None:
    """Weights stay on the list of a repository with too many files; 10^5 proper entries are too long an answer."""
    said = hub.description()
    said["siblings"] += [{"rfilename": f"aa/{i}", "size": 1} for i in range(6_000)]
    hub.described = said
    found = HubRepository.open(HERE)
    assert len(found.files) == 5_000
    assert {n for n in hub.files if n != "README.md"} <= {f.name for f in found.files}
    assert [p.code for p in found.problems] == ["TOO_MANY_FILES"]
    said["siblings"] += [{"rfilename": f"bb/{i}", "size": 1, "blobId": "0" * 40} for i in range(100_000)]
    assert refused().code == "HUB_ANSWER"


def moved_to(where: str) -> Callable[[Call], bool]:
    """A hub that has given the repository another name."""
    return lambda call: "/tiny" in call.path and call.send(307, b"", {"Location": where})


def test_a_renamed_repository_is_followed(hub: Hub) -> None:
    """A redirect of the API is followed on the hub itself, and noted."""
    hub.answer = moved_to("/api/models/someone/renamed?blobs=true")
    hub.described = hub.description() | {"id": "someone/renamed"}
    assert [p.code for p in HubRepository.open(HERE).problems] == ["HUB_RENAMED"]


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("http://127.0.0.1:{store}/api/x", "HUB_REDIRECT"), ("http://10.0.0.1/x", "HUB_REDIRECT"),
        ("http://169.254.169.254/x", "HUB_REDIRECT"), ("https://example.org/x", "HUB_REDIRECT"),
        ("http://u:p@127.0.0.1:{port}/x", "HUB_REDIRECT"), ("file:///etc/passwd", "HUB_REDIRECT"),
        ("ftp://x/y", "HUB_REDIRECT"), ("/api/models/someone/tiny", "HUB_ANSWER"), ("http://[", "HUB_REDIRECT"),
    ],
)  # fmt: skip
def test_the_api_redirects_at_home_only(hub: Hub, where: str, code: str) -> None:
    """Another host, scheme or network, and a circle, are refused, and nobody else is asked."""
    hub.answer = moved_to(where.format(store=hub.store, port=hub.port))
    assert refused().code == code
    assert all(one.port == hub.port for one in hub.seen)


@pytest.mark.parametrize(
    ("status", "code_header", "code"),
    [
        (404, "RepoNotFound", "HUB_MISSING"), (404, "RevisionNotFound", "HUB_MISSING"), (404, "", "HUB_MISSING"),
        (401, "RepoNotFound", "HUB_MISSING"), (401, "", "HUB_GATED"), (403, "GatedRepo", "HUB_GATED"),
        (403, "", "HUB_GATED"), (400, "", "HUB_STATUS"), (418, "", "HUB_STATUS"), (500, "", "HUB_BUSY"),
        (503, "", "HUB_BUSY"), (429, "", "HUB_BUSY"),
    ],
)  # fmt: skip
def test_refusals_are_told_plainly(hub: Hub, status: int, code_header: str, code: str) -> None:
    """Each status has its code and a hint, and nothing of the server's own text is shown."""
    more = {"X-Error-Code": code_header, "X-Error-Message": "<script>evil"} if code_header else {}
    hub.answer = lambda call: call.send(status, b'{"error":"<script>evil"}', more)
    error = refused(replace(HERE, revision="v1"))
    assert error.code == code
    assert error.hint
    assert "evil" not in error.message + error.hint


def test_pauses_are_honoured_and_bounded(hub: Hub) -> None:
    """After `Retry-After` the question is put again; one beyond our patience is told at once."""

    def busy(call: Call) -> bool:
        if len(hub.seen) > 1:
            return False
        call.send(429, b"", {"Retry-After": "1"})
        return True

    hub.answer = busy
    began = time.monotonic()
    HubRepository.open(HERE, patience=replace(QUICK, pauses=2.0))
    assert 1 <= time.monotonic() - began < 3
    hub.answer = lambda call: call.send(429, b"", {"Retry-After": "3000"})
    began = time.monotonic()
    assert refused().code == "HUB_BUSY"
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("what", ["status", "header", "body", "silence"])
def test_slow_hubs_are_given_up(hub: Hub, what: str) -> None:
    """A byte now and then, in whatever part of the answer, is not waited for."""

    def slow(call: Call) -> bool:
        if what == "silence":
            time.sleep(1.5)
        elif what == "status":
            call.drip(b"HTTP/1.1 200 OK\r\n" * 100)
        elif what == "header":
            call.write(b"HTTP/1.1 200 OK\r\nX: ")
            call.drip(b"x" * 2000)
        else:
            call.head(200, {"Content-Length": "2000"})
            call.drip(b" " * 2000)
        return True

    hub.answer = slow
    assert refused().code == "HUB_UNREACHABLE"


def test_nobody_there_and_offline(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead endpoint, a senseless one, and a case without network are each told."""
    assert refused(offline=True).code == "HUB_OFFLINE"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert refused().code == "HUB_UNREACHABLE"
    for endpoint in ("file:///etc", "ftp://x", "x", "http://", "http://u:p@127.0.0.1/", "https://x/?q"):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        assert refused().code == "HUB_ENDPOINT"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert refused().code == "HUB_OFFLINE"
    assert hub.seen == []


def test_a_token_goes_where_it_belongs(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_TOKEN is for the public hub; another endpoint gets one only from a variable named for it."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    found = HubRepository.open(HERE)
    assert "authorization" not in hub.seen[-1].headers
    monkeypatch.setenv("MY_HUB", "other_secret")
    found = HubRepository.open(HERE, token_env="MY_HUB")
    assert hub.seen[-1].headers["authorization"] == "Bearer other_secret"
    assert "secret" not in repr(found) + json.dumps(found.manifest())
    hub.answer = lambda call: call.send(403, b"")
    error = refused(token_env="MY_HUB")
    assert "secret" not in error.message + error.hint
    assert refused(token_env="NOT_SET").code == "HUB_TOKEN"
    public = Endpoint.from_environment({"HF_TOKEN": "hf_secret"})
    assert public.token == "hf_secret"
    assert "hf_secret" not in repr(public)
    plain = {"HF_ENDPOINT": "http://hub.example", "T": "secret"}
    assert Endpoint.from_environment(plain, token_env="T").token == ""
    assert Endpoint.from_environment(plain | {"HF_ENDPOINT": "https://hub.example"}, token_env="T").token


def test_the_users_proxy_is_used(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub beyond a proxy is asked through it, and answers may still not lead to inner addresses."""
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    monkeypatch.setenv("http_proxy", hub.url)
    assert len(HubRepository.open(HERE).files) == len(hub.files)
    assert hub.seen[0].path == f"http://hub.example/api/models/{NAME}?blobs=true"
    hub.answer = moved_to("http://127.0.0.1/x")
    assert refused().code == "HUB_REDIRECT"
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    assert refused().code == "HUB_PROXY"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"), ("::1", "loopback"), ("::ffff:127.0.0.1", "loopback"), ("10.1.2.3", "private"),
        ("192.168.0.1", "private"), ("fd00::1", "private"), ("169.254.169.254", "barred"), ("fe80::1%eth0", "barred"),
        ("0.0.0.0", "barred"), ("224.0.0.1", "barred"), ("100.64.0.1", "barred"), ("8.8.8.8", "public"),
        ("::ffff:10.0.0.1", "private"),
    ],
)  # fmt: skip
def test_addresses_have_kinds(address: str, kind: str) -> None:
    """What an answer may lead to depends on the kind of address."""
    assert kind_of(address) == kind


@pytest.mark.parametrize(
    ("home", "allowed", "refused_ones"),
    [
        (
            "https://8.8.8.8",
            ["1.1.1.1"],
            ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:7f00:1]"],
        ),
        ("https://10.0.0.1", ["10.9.9.9", "192.168.1.1", "8.8.8.8"], ["127.0.0.1", "169.254.169.254"]),
        ("https://127.0.0.1", ["127.0.0.1", "[::1]", "8.8.8.8"], ["10.0.0.1", "0.0.0.0", "169.254.169.254"]),
    ],
)
def test_answers_lead_to_the_public_or_to_their_own_kind(
    home: str, allowed: list[str], refused_ones: list[str]
) -> None:
    """A public hub cannot send us into inner networks, nor a private one to this machine."""
    endpoint = Endpoint(url=home)
    for address in allowed:
        endpoint.check(httpx2.URL(f"https://{address}/x"))
    for address in refused_ones:
        with pytest.raises(CheckpointError, match="inner network"):
            endpoint.check(httpx2.URL(f"https://{address}/x"))
    with pytest.raises(CheckpointError, match="'http' address"):
        endpoint.check(httpx2.URL("http://8.8.8.8/x"))


def test_names_of_inner_addresses_are_not_connected_to() -> None:
    """A name is judged by the addresses it has at the moment of connecting."""
    backend = CheckedBackend(Endpoint(url="https://8.8.8.8"), QUICK, None)
    with pytest.raises(CheckpointError, match="inner network"):
        backend.connect_tcp("localhost", 443)
