"""Which hub is asked, which addresses its answers may send us to, and who alone gets the token."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2

from forensics.errors import CheckpointError

PUBLIC_HUB = "https://huggingface.co"
PORTS = {"http": 80, "https": 443}
Origin = tuple[str, str, int]
"""Scheme, host in lower case, port."""


def origin_of(url: httpx2.URL) -> Origin:
    """Scheme, host and port of a URL; port 0 for a scheme that is none of ours."""
    return url.scheme, url.host.lower(), url.port or PORTS.get(url.scheme, 0)


def kind_of(address: str) -> str:
    """`public`, `loopback`, `private`, or `barred` for what no hub lives at (link-local, multicast, shared, …)."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    if found.is_loopback:
        return "loopback"
    if found.is_link_local or found.is_multicast or found.is_unspecified or found.is_reserved:
        return "barred"
    if found.is_global:
        return "public"
    return "private" if found.is_private else "barred"


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, in the resolver's order; OSError where it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A hub's base URL, the token meant for it, and the rules for every address that it names."""

    url: str
    """Without a slash at its end."""
    token: str = field(default="", repr=False)
    """Sent to this origin and no other; never part of a message."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, token_env: str = "") -> Endpoint:
        """`HF_ENDPOINT` as it is now, else the public hub; CheckpointError (HUB_ENDPOINT) if it is no base URL.

        `HF_TOKEN` is taken for the public hub only. For another endpoint the user names the variable that holds
        its token (`token_env`): a variable that lies about in every shell must not reach whoever HF_ENDPOINT names.
        """
        known = os.environ if environment is None else environment
        made = cls(url=(known.get("HF_ENDPOINT") or PUBLIC_HUB).rstrip("/"))
        origin = made.origin
        token = known.get(token_env or "HF_TOKEN", "").strip()
        if token_env and not token:
            raise CheckpointError(f"no token in the variable {token_env[:80]}", "set it", code="HUB_TOKEN")
        if not token_env and made.url != PUBLIC_HUB:
            return made
        if token and not (token.isascii() and token.isprintable()):
            raise CheckpointError("the token holds characters that no token has", code="HUB_TOKEN")
        if origin[0] == "http" and not made.local:
            return made  # a token never travels in the clear
        return cls(url=made.url, token=token)

    @property
    def origin(self) -> Origin:
        """Scheme, host and port; CheckpointError (HUB_ENDPOINT) if the URL is no base URL."""
        try:
            url = httpx2.URL(self.url)
        except httpx2.InvalidURL:
            url = httpx2.URL("")
        if url.scheme not in PORTS or not url.host or url.userinfo or url.query or url.fragment:
            raise CheckpointError(
                "HF_ENDPOINT is not the address of a hub",
                f"unset it or set {PUBLIC_HUB}",
                code="HUB_ENDPOINT",
            )
        return origin_of(url)

    @property
    def host(self) -> str:
        """The host, for messages."""
        return self.origin[1][:100]

    @property
    def local(self) -> bool:
        """Whether it is this very machine, by its name or literal address."""
        try:
            return kind_of(self.origin[1]) == "loopback"
        except ValueError:
            return self.origin[1] == "localhost"

    def token_for(self, url: httpx2.URL) -> str:
        """The token if `url` is this endpoint's own, else nothing."""
        return self.token if origin_of(url) == self.origin else ""

    def check(self, url: httpx2.URL) -> None:
        """Refuses (HUB_REDIRECT) what an answer may not lead to: other schemes, credentials, inner addresses."""
        scheme, host, port = origin_of(url)
        if scheme != "https" and not (scheme == "http" and self.origin[0] == "http"):
            raise self._refused(f"a {scheme[:20]!r} address")
        if not host or url.userinfo:
            raise self._refused("an address without host or with credentials")
        try:
            self.check_address(host, port, host)
        except ValueError:
            return  # a name; its addresses are checked when it is connected to

    def check_address(self, host: str, port: int, address: str) -> None:
        """Refuses (HUB_REDIRECT) an address that is neither public, nor the endpoint's, nor of the endpoint's kind."""
        kind = kind_of(address)
        if kind == "public" or (host.lower(), port) == self.origin[1:]:
            return
        if kind != "barred" and kind in self._own_kinds():
            return
        raise self._refused("an address of an inner network")

    def _own_kinds(self) -> set[str]:
        _, host, port = self.origin
        try:
            return {kind_of(address) for address in addresses_of(host, port)}
        except OSError:
            return set()

    def _refused(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.host} leads to {what}; not followed", code="HUB_REDIRECT")
