"""Who is at the other end: the client's address behind trusted proxies, and whether it is on this very machine."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

_FORWARDING = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_FORWARDED",
    "HTTP_X_REAL_IP",
    "HTTP_X_CLIENT_IP",
    "HTTP_VIA",
)
"""Headers that only somebody in between sends."""
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

Network = IPv4Network | IPv6Network


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ip_network(text, strict=False) for text in texts)


class Peers:
    """Reads addresses from requests.

    :param trusted_proxies: addresses or networks whose ``X-Forwarded-For`` is believed; nobody else's is.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = networks(trusted_proxies)

    def address(self, environ: dict[str, Any]) -> str:
        """The client's address: the last one in the chain that is not a trusted proxy.

        An empty ``REMOTE_ADDR`` is a Unix socket, which only a proxy on this machine can use.
        """
        remote = str(environ.get("REMOTE_ADDR") or "127.0.0.1")
        forwarded = environ.get("HTTP_X_FORWARDED_FOR")
        if not forwarded or not self._trusted or not within(remote, self._trusted):
            return remote
        address = remote
        for hop in reversed(str(forwarded).split(",")):
            hop = hop.strip()
            try:
                ip_address(hop)
            except ValueError:
                # Whatever stands before something unreadable cannot be believed.
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
    """What limits per address count by: one IPv4 address, or one IPv6 /64, which is one customer's."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
