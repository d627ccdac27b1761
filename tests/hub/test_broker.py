"""A worker gets exactly the bytes of a hub's files over a descriptor, or an error; never more, never too late."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forensics.checkpoint.brokered import FRAME_LIMIT, BrokeredPlace, Channel
from forensics.checkpoint.opening import Opening, open_location
from forensics.checkpoint.place import read_small
from forensics.checkpoint.safetensors_file import open_safetensors
from forensics.checkpoint.source import LocalBytes
from forensics.errors import CheckpointError
from forensics.hub.broker import Broker
from forensics.hub.location import HubLocation
from forensics.hub.patience import Patience
from forensics.hub.repository import HubRepository
from forensics.hub.traffic import Traffic
from forensics.reading import read
from tests.hub.server import NAME, Call, Hub, serving

HERE = HubLocation(name=NAME)
QUICK = Patience(connect=1, read=0.4, window=0.5, pauses=0.5, first_pause=0.02, attempts=1)
BIG = "model.safetensors"


@contextmanager
def attached(
    patience: Patience = QUICK, traffic: Traffic | None = None
) -> Iterator[tuple[BrokeredPlace, Broker]]:
    """A broker and, in this process, the place that a worker would see."""
    repository = HubRepository.open(HERE, patience=patience)
    with Broker(repository, traffic or Traffic(), patience) as broker:
        lead = broker.lead()
        yield BrokeredPlace.attached(lead["fd"], lead["manifest"]), broker


@pytest.fixture
def big(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> Iterator[Hub]:
    """A hub with one file of 3 MB and a small one."""
    del hub
    with serving({BIG: random.Random(0).randbytes(3_000_001), "config.json": b"{}"}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def failing(hub: Hub, answer: Callable[[Call], bool], patience: Patience = QUICK) -> CheckpointError:
    """The error by which a read of the large file fails, within bounded time."""
    with attached(patience) as (place, _):
        hub.answer = answer
        began = time.monotonic()
        with pytest.raises(CheckpointError) as caught:
            place.open(BIG).read(300_000, 5_000)
        assert time.monotonic() - began < 3
    assert f":{hub.port}" not in caught.value.message
    assert "Signature" not in caught.value.message + caught.value.hint
    return caught.value


def test_every_file_arrives_as_it_is(hub: Hub) -> None:
    """All files of a checkpoint, in LFS or not, are listed, readable whole and equal; digests are handed on."""
    with attached() as (place, broker):
        assert place.names() == (tuple(sorted(hub.files)), ())
        for name, raw in hub.files.items():
            source = place.open(name)
            assert (source.name, source.size) == (name, len(raw))
            assert source.read(0, len(raw)) == raw
            assert read_small(place, name, 10) == raw[:10]
            large = name.endswith(".safetensors")
            assert place.known_sha256(name) == (hashlib.sha256(raw).hexdigest() if large else "")
        assert broker.traffic.fetched == sum(map(len, hub.files.values()))
        assert broker.traffic.files[NAME, "config.json"] == len(hub.files["config.json"])
        assert read_small(place, "absent.json", 10) is None
        for name in ("../x", "/etc/passwd", "a\\b", ""):
            with pytest.raises(CheckpointError, match="outside"):
                place.open(name)


def test_weights_read_through_a_broker_are_the_local_ones(hub: Hub, checkpoint: Path) -> None:
    """The strict reader finds the same entries and the same bytes on a hub as in the folder."""
    with attached() as (place, _):
        for name in (n for n in hub.files if n.endswith(".safetensors")):
            near = open_safetensors(LocalBytes.open(checkpoint / name, name))
            far = open_safetensors(place.open(name))
            assert far.entries == near.entries
            assert near.entries
            for entry in near.entries:
                count = entry.end - entry.begin
                assert far.read(entry.begin, count) == near.read(entry.begin, count)
            near.close()


def test_the_whole_pass_finds_the_same_subject(hub: Hub, checkpoint: Path) -> None:
    """A checkpoint read on a hub has the digest, the files and the shapes of the one in the folder."""
    near = open_location(str(checkpoint), Opening(label="x"))
    with attached() as (place, broker):
        far = open_location(NAME, Opening(label="x", places={NAME: place}))
        assert read(far, []) == read(near, [])
        assert len(read(far, []).subject.digest) == 64
        assert broker.traffic.requests < 30
        far.close()
    near.close()
    assert {name for _, name in broker.traffic.files} == set(hub.files)


WORKER = """
import hashlib, json, sys
from forensics.checkpoint.brokered import BrokeredPlace
from forensics.confinement import Allowance, confine
lead = json.load(sys.stdin)
confine(Allowance(processes=False))
place = BrokeredPlace.attached(lead["fd"], lead["manifest"])
def digest(name):
    source = place.open(name)
    return hashlib.sha256(source.read(0, source.size)).hexdigest()
print(json.dumps({name: digest(name) for name in place.names()[0]}))
"""


def test_another_process_reads_over_its_descriptor(hub: Hub) -> None:
    """A confined child that got the descriptor and the manifest reads every file, with no address and no token."""
    repository = HubRepository.open(HERE)
    with Broker(repository) as broker:
        child = subprocess.run(
            [sys.executable, "-c", WORKER], pass_fds=[broker.descriptor], env={"PYTHONPATH": str(Path.cwd())},
            input=json.dumps(broker.lead()), capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert "127.0.0.1" not in json.dumps(repository.manifest())
    assert json.loads(child.stdout) == {n: hashlib.sha256(raw).hexdigest() for n, raw in hub.files.items()}


def test_any_order_of_reads_gives_the_same_bytes(big: Hub) -> None:
    """Reads in order, back and forth, overlapping and empty are each exact."""
    drawn = random.Random(1)
    raw = big.files[BIG]
    with attached() as (place, _):
        source = place.open(BIG)
        at = 0
        for _ in range(300):
            if drawn.random() < 0.4:
                at = drawn.randrange(len(raw))
            count = min(drawn.choice((0, 1, 8, 5_000, 70_000, 400_000)), len(raw) - at)
            assert source.read(at, count) == raw[at : at + count]
            at += count
        for offset, count in ((-1, 2), (0, -1), (len(raw), 1), (0, len(raw) + 1), (1 << 70, 1)):
            with pytest.raises(CheckpointError):
                source.read(offset, count)


def test_reading_in_order_takes_few_requests(big: Hub) -> None:
    """Blocks in order become growing windows, which reads elsewhere in between do not end."""
    raw = big.files[BIG]
    with attached() as (place, broker):
        source = place.open(BIG)
        read = b"".join(source.read(at, min(50_000, len(raw) - at)) for at in range(0, len(raw), 50_000))
        assert read == raw
        assert len(big.at("/resolve/")) == 1
        assert len([one for one in big.seen if one.port == big.store]) <= 8
        assert broker.traffic.fetched < len(raw) + 300_000
        assert broker.traffic.requests == len(big.seen) - 1
    big.seen.clear()
    with attached() as (place, _):
        source = place.open(BIG)
        for at in range(300_000, 2_000_000, 50_000):
            assert source.read(at, 50_000) == raw[at : at + 50_000]
            assert source.read(2_500_000 - at // 10, 64) == raw[2_500_000 - at // 10 :][:64]
        ranges = [one.headers["range"] for one in big.seen if one.port == big.store]
        assert len(ranges) < 34 + 9


def test_a_head_brings_its_neighbours(big: Hub) -> None:
    """A length and then a header, and a small file read twice, take one request each."""
    with attached() as (place, _):
        source = place.open(BIG)
        assert source.read(0, 8) + source.read(8, 1_000) == big.files[BIG][:1_008]
        assert [one.headers["range"] for one in big.seen if one.port == big.store] == ["bytes=0-262143"]
        assert read_small(place, "config.json", 100) == read_small(place, "config.json", 100) == b"{}"
        assert len(big.at("config.json")) == 1


def test_a_broken_connection_is_taken_up_again(big: Hub) -> None:
    """A server that hangs up in the middle of a window costs a request, not a byte."""
    raw = big.files[BIG]

    def short(call: Call) -> bool:
        if not call.at_store:
            return False
        begin, end = call.asked(len(raw))
        call.head(
            206, {"Content-Length": str(end - begin), "Content-Range": f"bytes {begin}-{end - 1}/{len(raw)}"}
        )
        call.write(raw[begin : min(end, begin + 400_000)])
        call.close_connection = True
        return True

    big.answer = short
    with attached() as (place, _):
        source = place.open(BIG)
        assert b"".join(source.read(at, 100_000) for at in range(0, 3_000_000, 100_000)) == raw[:3_000_000]
        with pytest.raises(CheckpointError) as caught:
            source.read(0, 2_000_000)
        assert caught.value.code == "HUB_UNREACHABLE"


def spoilt(status: int, headers: dict[str, str], body: bytes = b"x" * 5_000) -> Callable[[Call], bool]:
    """The store answers a range in another way."""
    return lambda call: call.at_store and call.send(status, body, headers)


RANGE = "bytes 300000-304999/3000001"
REFUSED: dict[str, tuple[Callable[[Call], bool], str]] = {
    "whole file": (spoilt(200, {}), "HUB_RANGE"),
    "no range": (spoilt(206, {}), "HUB_RANGE"),
    "other begin": (spoilt(206, {"Content-Range": "bytes 0-4999/3000001"}), "HUB_RANGE"),
    "other end": (spoilt(206, {"Content-Range": "bytes 300000-304998/3000001"}), "HUB_RANGE"),
    "other size": (spoilt(206, {"Content-Range": "bytes 300000-304999/3000002"}), "HUB_RANGE"),
    "unknown size": (spoilt(206, {"Content-Range": "bytes 300000-304999/*"}), "HUB_RANGE"),
    "odd range": (spoilt(206, {"Content-Range": "bytes=300000-304999"}), "HUB_RANGE"),
    "parts": (spoilt(206, {"Content-Type": "multipart/byteranges"}), "HUB_RANGE"),
    "short": (spoilt(206, {"Content-Range": RANGE}, b"x" * 4_999), "HUB_RANGE"),
    "long": (spoilt(206, {"Content-Range": RANGE}, b"x" * 5_001), "HUB_RANGE"),
    "compressed": (spoilt(206, {"Content-Range": RANGE, "Content-Encoding": "br"}), "HUB_ANSWER"),
    "other commit": (spoilt(206, {"Content-Range": RANGE, "X-Repo-Commit": "f" * 40}), "HUB_ANSWER"),
    "nothing new": (spoilt(304, {}, b""), "HUB_STATUS"),
    "no content": (spoilt(204, {}, b""), "HUB_STATUS"),
    "no such range": (spoilt(416, {}), "HUB_STATUS"),
    "not found": (spoilt(404, {}), "HUB_MISSING"),
    "forbidden": (spoilt(403, {}), "HUB_GATED"),
    "always busy": (spoilt(429, {"Retry-After": "0"}), "HUB_BUSY"),
    "busy for long": (spoilt(503, {"Retry-After": "86400"}), "HUB_BUSY"),
    "always failing": (spoilt(500, {}), "HUB_BUSY"),
    "circle": (spoilt(302, {"Location": f"/{BIG}"}), "HUB_REDIRECT"),
    "nowhere": (spoilt(302, {}), "HUB_REDIRECT"),
    "no address": (spoilt(302, {"Location": "http://"}), "HUB_REDIRECT"),
    "local file": (spoilt(302, {"Location": "file:///etc/passwd"}), "HUB_REDIRECT"),
    "ftp": (spoilt(302, {"Location": "ftp://127.0.0.1/x"}), "HUB_REDIRECT"),
    "private": (spoilt(307, {"Location": "http://10.0.0.1/x"}), "HUB_REDIRECT"),
    "private name": (spoilt(307, {"Location": "http://0x0a000001/x"}), "HUB_REDIRECT"),
    "metadata": (spoilt(301, {"Location": "http://169.254.169.254/latest"}), "HUB_REDIRECT"),
    "mapped": (spoilt(308, {"Location": "http://[::ffff:192.168.0.1]/x"}), "HUB_REDIRECT"),
    "credentials": (spoilt(302, {"Location": "http://a:b@127.0.0.1/x"}), "HUB_REDIRECT"),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_wrong_answers_are_refused(big: Hub, what: str) -> None:
    """An answer that is not exactly the range asked for ends in an error with its own code."""
    answer, code = REFUSED[what]
    assert failing(big, answer).code == code
    assert len(big.seen) < 20


def test_a_body_nobody_asked_for_is_not_read(big: Hub) -> None:
    """A server that ignores the range and sends 100 GB gets rid of what the kernel buffers, and no more."""
    sent = [0]

    def whole(call: Call) -> bool:
        if call.at_store:
            call.head(200, {"Content-Length": str(100 << 30)})
            while call.write(b"x" * (1 << 20)):
                sent[0] += 1
        return call.at_store

    assert failing(big, whole).code == "HUB_RANGE"
    time.sleep(0.1)
    assert sent[0] < 32


@pytest.mark.parametrize("length", [None, 5_000])
def test_an_oversized_or_short_body_without_length_is_refused(big: Hub, length: int | None) -> None:
    """Chunks that go on beyond the range, or end before it, are no answer."""

    def chunked(call: Call) -> bool:
        if call.at_store:
            call.head(206, {"Transfer-Encoding": "chunked", "Content-Range": RANGE})
            body = b"x" * 4_000
            for _ in range(1 if length else 3):
                call.write(b"%x\r\n%s\r\n" % (len(body), body))
            call.write(b"0\r\n\r\n")
        return call.at_store

    assert failing(big, chunked).code == ("HUB_UNREACHABLE" if length else "HUB_RANGE")


@pytest.mark.parametrize("part", ["silence", "head", "body"])
def test_slow_servers_are_given_up(big: Hub, part: str) -> None:
    """One byte now and then, or none, is not waited for."""

    def slow(call: Call) -> bool:
        if not call.at_store:
            return False
        if part == "silence":
            time.sleep(1.0)
        elif part == "head":
            call.drip(b"HTTP/1.1 206 Partial Content\r\nX: " + b"x" * 500)
        else:
            call.head(206, {"Content-Length": "5000", "Content-Range": RANGE})
            call.drip(b"x" * 5_000)
        call.close_connection = True
        return True

    assert failing(big, slow).code == "HUB_UNREACHABLE"


def test_a_pause_that_is_asked_for_is_kept(big: Hub) -> None:
    """After 429 with `Retry-After` the bytes are asked for again, not before that time."""
    times: list[float] = []

    def busy(call: Call) -> bool:
        if call.at_store:
            times.append(time.monotonic())
        return call.at_store and len(times) < 2 and call.send(429, b"", {"Retry-After": "1"})

    big.answer = busy
    with attached(Patience(pauses=2.0)) as (place, _):
        assert place.open(BIG).read(300_000, 10) == big.files[BIG][300_000:300_010]
    assert times[1] - times[0] >= 1


def test_a_signed_address_that_expired_is_asked_for_again(big: Hub) -> None:
    """Where a file lies is remembered; once the store refuses the address, the hub is asked for another."""
    gone = threading.Event()

    def expired(call: Call) -> bool:
        if call.at_store and gone.is_set():
            gone.clear()
            return call.send(403, b"<Error>expired</Error>")
        return False

    big.answer = expired
    with attached() as (place, _):
        source = place.open(BIG)
        for at in (300_000, 400_000, 500_000):
            assert source.read(at, 10) == big.files[BIG][at : at + 10]
        assert len(big.at("/resolve/")) == 1
        gone.set()
        assert source.read(600_000, 10) == big.files[BIG][600_000:600_010]
        assert len(big.at("/resolve/")) == 2


def test_addresses_good_for_one_range_are_not_remembered_for_ever(big: Hub) -> None:
    """A store that signs the range too costs a refused request a few times, not at every read."""
    signed: set[str] = set()

    def once(call: Call) -> bool:
        if call.at_store and call.path in signed:
            return call.send(403, b"invalid range")
        signed.update([call.path] if call.at_store else [])
        if not call.at_store and BIG in call.path:
            return call.send(302, b"", {"Location": f"http://127.0.0.1:{big.store}/{BIG}?n={len(big.seen)}"})
        return False

    big.answer = once
    with attached() as (place, _):
        source = place.open(BIG)
        for at in range(2_000_000, 300_000, -100_000):
            assert source.read(at, 10) == big.files[BIG][at : at + 10]
    assert len([one for one in big.seen if one.port == big.store]) == 17 + 3


def test_the_token_stays_at_home(big: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub gets the token, the store to which it redirects does not, nor does any error."""
    monkeypatch.setenv("MY_HUB", "very_secret")
    repository = HubRepository.open(HERE, token_env="MY_HUB")
    with Broker(repository, patience=QUICK) as broker:
        place = BrokeredPlace.attached(broker.descriptor, broker.lead()["manifest"])
        assert place.open(BIG).read(300_000, 10)
        assert place.open("config.json").read(0, 2) == b"{}"
        at_home = [one.headers.get("authorization") for one in big.seen if one.port == big.port]
        elsewhere = [one.headers for one in big.seen if one.port == big.store]
        assert at_home == ["Bearer very_secret"] * 3
        assert elsewhere
        assert not any("secret" in text for headers in elsewhere for text in headers.values())
        big.answer = lambda call: call.send(500, b"")
        with pytest.raises(CheckpointError) as caught:
            place.open(BIG).read(900_000, 10)
        assert "secret" not in repr(broker) + repr(caught.value) + caught.value.hint


@pytest.mark.usefixtures("big")
def test_the_budget_is_kept() -> None:
    """No more than the allowed bytes are fetched, over all brokers of a case."""
    traffic = Traffic(limit_bytes=600_000)
    with attached(traffic=traffic) as (place, _):
        source = place.open(BIG)
        for at in (500_000, 600_000, 700_000):
            assert len(source.read(at, 100_000)) == 100_000
        with pytest.raises(CheckpointError) as caught:
            source.read(1_000_000, 400_000)
        assert caught.value.code == "REMOTE_BUDGET"
    with attached(traffic=traffic) as (place, _):
        assert len(place.open(BIG).read(0, 200_000)) == 200_000
        with pytest.raises(CheckpointError) as caught:
            place.open(BIG).read(0, 300_000)
        assert caught.value.code == "REMOTE_BUDGET"
    assert traffic.fetched <= 600_000


@pytest.mark.parametrize(
    ("name", "offset", "length"),
    [("", 0, 1), (BIG, 0, FRAME_LIMIT + 1), (BIG, 3_000_000, 2), (BIG, 2**64 - 1, 1), ("config.json", 0, 3)],
)
def test_a_worker_gone_wrong_gets_nothing(big: Hub, name: str, offset: int, length: int) -> None:
    """Requests for bytes that no file has are refused without asking anybody, and the broker lives on."""
    with attached() as (place, _):
        before = len(big.seen)
        with pytest.raises(CheckpointError) as caught:
            place.channel.ask(place.files[name][0] if name else 9, offset, length)
        assert caught.value.code == "HUB_REQUEST"
        assert len(big.seen) == before
        assert place.open("config.json").read(0, 2) == b"{}"


@pytest.mark.parametrize("what", ["silence", "pause", "nothing"])
def test_closing_ends_whatever_is_waited_for(big: Hub, what: str) -> None:
    """A case that ends does not wait for a hub, and the worker's request ends in an error."""
    caught: list[CheckpointError] = []
    never = threading.Event()

    def stuck(call: Call) -> bool:
        if not call.at_store:
            return False
        return call.send(429, b"", {"Retry-After": "100"}) if what == "pause" else not never.wait(3)

    def read(place: BrokeredPlace) -> None:
        try:
            place.open(BIG).read(300_000, 10)
        except CheckpointError as error:
            caught.append(error)

    with attached(Patience()) as (place, broker):
        big.answer = stuck
        reader = threading.Thread(target=read, args=(place,))
        if what != "nothing":
            reader.start()
            time.sleep(0.3)
        began = time.monotonic()
        broker.close()
    assert time.monotonic() - began < 1
    if what != "nothing":
        reader.join(1)
        assert [error.code for error in caught] == ["HUB_CLOSED"]
        assert len(threading.enumerate()) < 20


def test_a_worker_whose_broker_is_gone_is_told() -> None:
    """A closed descriptor is an error like any other."""
    ours, theirs = socket.socketpair()
    ours.close()
    channel = Channel(theirs.detach())
    with pytest.raises(CheckpointError) as caught:
        channel.ask(0, 0, 1)
    assert caught.value.code == "HUB_CLOSED"
    channel.close()
    channel.close()
