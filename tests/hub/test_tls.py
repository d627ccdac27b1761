"""Over TLS the same rules hold: the certificate is checked, the pace watched, the token kept at home."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.checkpoint.brokered import BrokeredPlace
from forensics.errors import CheckpointError
from forensics.hub.broker import Broker
from forensics.hub.connection import trusted
from forensics.hub.location import HubLocation
from forensics.hub.patience import Patience
from forensics.hub.repository import HubRepository
from tests.hub.server import NAME, Call, Hub, serving

OPENSSL = shutil.which("openssl")
HERE = HubLocation(name=NAME)
QUICK = Patience(connect=1, read=0.4, window=0.5, pauses=0.5, first_pause=0.02, attempts=0)
BIG = "model.safetensors"
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="a certificate is made with openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for this machine, with its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = path.with_name("cert.pem")
    subprocess.run(
        [
            str(OPENSSL), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", str(path), "-out", str(made),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + made.read_bytes())
    return path


@pytest.fixture
def secure(hub: Hub, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that speaks TLS with a certificate that this process trusts."""
    del hub
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    trusted.cache_clear()
    with serving({BIG: bytes(range(256)) * 4_000}, context) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running
    trusted.cache_clear()


def test_bytes_arrive_and_the_token_stays_at_home(secure: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges are exact over TLS too; the store never sees the token."""
    monkeypatch.setenv("MY_HUB", "very_secret")
    repository = HubRepository.open(HERE, token_env="MY_HUB")
    with Broker(repository, patience=QUICK) as broker:
        source = BrokeredPlace.attached(broker.descriptor, broker.lead()["manifest"]).open(BIG)
        assert source.read(300_001, 70_000) == secure.files[BIG][300_001:370_001]
    assert {one.headers.get("authorization") for one in secure.seen if one.port == secure.port} == {
        "Bearer very_secret"
    }
    assert {one.headers.get("authorization") for one in secure.seen if one.port == secure.store} == {None}


def test_an_unknown_certificate_is_refused(secure: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else may speak for the hub."""
    monkeypatch.delenv("SSL_CERT_FILE")
    trusted.cache_clear()
    with pytest.raises(CheckpointError) as caught:
        HubRepository.open(HERE, patience=QUICK)
    assert caught.value.code == "HUB_UNREACHABLE"
    assert secure.seen == []


def test_a_secure_hub_does_not_lead_to_plain_http(secure: Hub) -> None:
    """A redirect from https to http is not followed."""
    repository = HubRepository.open(HERE)
    secure.answer = lambda call: call.send(302, b"", {"Location": f"http://127.0.0.1:{secure.store}/{BIG}"})
    with Broker(repository, patience=QUICK) as broker:
        source = BrokeredPlace.attached(broker.descriptor, broker.lead()["manifest"]).open(BIG)
        with pytest.raises(CheckpointError) as caught:
            source.read(0, 10)
    assert caught.value.code == "HUB_REDIRECT"


@pytest.mark.parametrize("close", [True, False])
def test_a_silent_server_is_left(secure: Hub, *, close: bool) -> None:
    """Neither a case that ends nor our patience waits for an encrypted connection that says nothing."""
    repository = HubRepository.open(HERE)
    never = threading.Event()

    def silent(call: Call) -> bool:
        return call.at_store and not never.wait(3)

    secure.answer = silent
    with Broker(repository, patience=Patience() if close else QUICK) as broker:
        source = BrokeredPlace.attached(broker.descriptor, broker.lead()["manifest"]).open(BIG)
        began = time.monotonic()
        if close:
            threading.Timer(0.3, broker.close).start()
        with pytest.raises(CheckpointError) as caught:
            source.read(300_000, 10)
        assert time.monotonic() - began < 2
    assert caught.value.code == ("HUB_CLOSED" if close else "HUB_UNREACHABLE")
