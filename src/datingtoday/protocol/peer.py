"""Peer of a request: the client's address behind trusted proxies, and whether it is on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Literal

_FORWARDING = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_FORWARDED",
    "HTTP_X_REAL_IP",
    "HTTP_X_CLIENT_IP",
    "HTTP_VIA",
)
"""Headers that only a proxy sends."""
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

Network = IPv4Network | IPv6Network
ForwardingHeader = Literal["either", "x-forwarded-for", "forwarded"]
_BRACKETED = re.compile(r"\[([^\[\]]+)\](?::\d*)?\Z", re.ASCII)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ip_network(text, strict=False) for text in texts)


class Peers:
    """Reads addresses from requests.

    :param trusted_proxies: addresses or networks whose forwarding headers are believed; nobody else's are.
    :param header: the header that they write, ``x-forwarded-for`` or ``forwarded`` (RFC 7239). ``either``: the one that
        is there; where both are and disagree, one of them was made up by the client, and neither is believed.
    """

    def __init__(self, trusted_proxies: Sequence[str], header: ForwardingHeader = "either") -> None:
        self._trusted = networks(trusted_proxies)
        self._header = header

    def address(self, environ: dict[str, Any]) -> str:
        """The client's address: the last one in the chain that is not a trusted proxy.

        Without a port or a zone, and an IPv4 address in IPv6 as IPv4. An empty ``REMOTE_ADDR`` is a Unix socket, which
        only a proxy on this machine can use.
        """
        remote = str(environ.get("REMOTE_ADDR") or "127.0.0.1")
        remote = node_address(remote) or remote
        if not self._trusted or not within(remote, self._trusted):
            return remote
        found = {
            self._last_stranger(remote, nodes(str(written)))
            for name, variable, nodes in _CHAINS
            if self._header in (name, "either") and (written := environ.get(variable))
        }
        return found.pop() if len(found) == 1 else remote

    def _last_stranger(self, remote: str, nodes: Iterator[str]) -> str:
        """:param nodes: the nearest to this server first."""
        address = remote
        for node in nodes:
            hop = node_address(node)
            if hop is None:
                # Hidden or unreadable. Whatever stands before it cannot be believed.
                return address
            address = hop
            if not within(hop, self._trusted):
                break
        return address

    @staticmethod
    def is_local(environ: dict[str, Any]) -> bool:
        """On this machine, and nobody was in between: no header says that the request was forwarded."""
        remote = str(environ.get("REMOTE_ADDR") or "")
        return _is_loopback(remote) and not any(map(environ.__contains__, _FORWARDING))


def _forwarded_for(written: str) -> Iterator[str]:
    """The nodes of ``X-Forwarded-For``, the last one first; empty elements mean nothing."""
    for node in reversed(written.split(",")):
        if node := node.strip():
            yield node


def _forwarded(written: str) -> Iterator[str]:
    """The nodes of RFC 7239's ``Forwarded``, the last one first; an element that tells none is an empty node.

    Cut at every comma, quoted or not: what a client began with a quote must not swallow what the proxy appended. No
    address has a comma.
    """
    for element in reversed(written.split(",")):
        if not element.strip():
            continue
        pairs = (pair.partition("=") for pair in element.split(";"))
        nodes = [value for name, _, value in pairs if name.strip().lower() == "for"]
        yield nodes[0] if len(nodes) == 1 else ""


_CHAINS = (
    ("x-forwarded-for", "HTTP_X_FORWARDED_FOR", _forwarded_for),
    ("forwarded", "HTTP_FORWARDED", _forwarded),
)


@lru_cache(maxsize=4096)
def node_address(node: str) -> str | None:
    """The address of a node as proxies write it: with a port, in brackets, with a zone, in quotes.

    None for ``unknown``, for obfuscated names (``_hidden``), and for anything else that is no address.
    """
    node = node.strip().strip('"').strip()
    bracketed = _BRACKETED.match(node)
    if bracketed is not None:
        return _plain_address(bracketed[1])
    host, colon, port = node.rpartition(":")
    has_port = bool(colon) and port.isascii() and port.isdigit()
    # An IPv6 address that fits as a whole has no port: without brackets the two cannot be told apart.
    return _plain_address(node) or (_plain_address(host) if has_port else None)


def _plain_address(text: str) -> str | None:
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


@lru_cache(maxsize=4096)
def _is_loopback(address: str) -> bool:
    return within(address, _LOOPBACK)


def within(address: str, allowed: Sequence[Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in allowed)


def limit_key(address: str) -> str:
    """Key of limits per address: one IPv4 address, or one IPv6 /64, which is one customer's."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
