"""Client addresses: X-Forwarded-For is believed from trusted proxies only."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datingtoday.protocol.peer import ForwardingHeader, Peers, limit_key, networks, node_address, within
from tests.protocol.conftest import LabOn

TRUSTED = ["10.0.0.0/8", "2001:db8:aaaa::/48"]
PROXIES = st.sampled_from(["10.0.0.1", "10.255.0.9", "2001:db8:aaaa::1", "::ffff:10.0.0.7"])
STRANGERS = st.sampled_from(
    ["203.0.113.9", "198.51.100.1", "2001:db8:bbbb::1", "::ffff:203.0.113.7", "127.0.0.1"]
)
JUNK = st.text(st.characters(max_codepoint=255, exclude_characters=","), max_size=20) | st.sampled_from(
    [
        "unknown",
        "_hidden",
        "1.2.3",
        "10.0.0.0/8",
        "203.0.113.9:http",
        "[203.0.113.9",
        "[]:80",
        "for=203.0.113.9",
    ]
)
AS_WRITTEN = st.sampled_from(
    [
        "{}", "{}:52000", "{}:0", " {} ", "\t{}", '"{}"', '"{}:4711"', "[{}]", "[{}]:443", '"[{}]:4711"', '"[{}]"',
        "{}%eth0", "[{}%25eth0]:443",
    ]
)  # fmt: skip
"""Azure's gateways and IIS write ports, RFC 7239 quotes and brackets, some systems zones."""


def plain(address: str) -> str:
    """As `Peers` tells it."""
    parsed = ip_address(address)
    return str((isinstance(parsed, IPv6Address) and parsed.ipv4_mapped) or parsed)


def environ(remote: str, forwarded: str | None = None) -> dict[str, str]:
    return {"REMOTE_ADDR": remote} | ({} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded})


@given(STRANGERS, st.lists(STRANGERS | PROXIES | JUNK, max_size=4))
def test_a_stranger_is_not_believed(remote: str, said: list[str]) -> None:
    assert Peers(TRUSTED).address(environ(remote, ", ".join(said))) == plain(remote)


@given(PROXIES | STRANGERS, st.lists(STRANGERS | PROXIES | JUNK, max_size=4))
def test_without_trusted_proxies_nobody_is(remote: str, said: list[str]) -> None:
    assert Peers([]).address(environ(remote, ", ".join(said))) == plain(remote)


@given(PROXIES, st.lists(STRANGERS | PROXIES | JUNK, max_size=3), STRANGERS, st.lists(PROXIES, max_size=3))
def test_the_last_stranger_in_the_chain_counts(
    remote: str, made_up: list[str], client: str, proxies: list[str]
) -> None:
    """Whatever the client itself wrote before, the proxies append what they saw."""
    chain = [*made_up, client, *proxies]
    for glue in (",", ", ", " , ", ", ,"):
        assert Peers(TRUSTED).address(environ(remote, glue.join(chain))) == plain(client)


@given(
    PROXIES,
    st.lists(STRANGERS | PROXIES | JUNK, max_size=2),
    STRANGERS,
    AS_WRITTEN,
    st.lists(PROXIES, max_size=2),
)
def test_an_address_counts_in_every_form_in_which_proxies_write_it(
    remote: str, made_up: list[str], client: str, form: str, proxies: list[str]
) -> None:
    if ":" not in client and ("[" in form or "%" in form):
        client = f"::ffff:{client}"
    if ":" in client and form in ("{}:52000", "{}:0", '"{}:4711"'):
        # Without brackets only an address in full leaves no doubt where the port begins.
        client = ip_address(client).exploded
    written = form.format(client)
    chain = [
        *made_up,
        written,
        *(
            form.format(plain(proxy)) if ":" not in proxy and "[" not in form and "%" not in form else proxy
            for proxy in proxies
        ),
    ]
    assert Peers(TRUSTED).address(environ(remote, ", ".join(chain))) == plain(client)
    if '"' not in form and any(sign in written for sign in ":["):
        written = f'"{written.strip()}"'
    nodes = [f"for={node}" for node in made_up] + [f"For={written};proto=https;by=_edge"]
    nodes += [f'by=10.0.0.9;for="[{proxy}]:80"' if ":" in proxy else f"for={proxy}" for proxy in proxies]
    forwarded = {"REMOTE_ADDR": remote, "HTTP_FORWARDED": ", ".join(nodes)}
    assert Peers(TRUSTED).address(forwarded) == plain(client)


def test_a_quote_that_the_client_began_swallows_nothing() -> None:
    for made_up in ('for="8.8.8.8', 'for=8.8.8.8;by="', '"', 'for="8.8.8.8;'):
        forwarded = {"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": f"{made_up}, for=203.0.113.9"}
        assert Peers(TRUSTED).address(forwarded) == "203.0.113.9"


@pytest.mark.parametrize(
    ("header", "address"),
    [("either", "10.0.0.1"), ("x-forwarded-for", "203.0.113.1"), ("forwarded", "203.0.113.2")],
)
def test_of_two_headers_that_disagree_one_is_made_up(header: ForwardingHeader, address: str) -> None:
    both = environ("10.0.0.1", "203.0.113.1") | {"HTTP_FORWARDED": "for=203.0.113.2"}
    assert Peers(TRUSTED, header).address(both) == address
    agree = environ("10.0.0.1", "203.0.113.2:80") | {"HTTP_FORWARDED": "for=203.0.113.2"}
    assert Peers(TRUSTED, header).address(agree) == "203.0.113.2"


@given(PROXIES, st.text(st.characters(max_codepoint=255), max_size=60))
def test_the_answer_is_an_address_whatever_is_sent(remote: str, forwarded: str) -> None:
    found = Peers(TRUSTED).address(environ(remote, forwarded))
    assert found == str(ip_address(found))
    hops = {plain(hop) for hop in map(node_address, forwarded.split(",")) if hop is not None}
    assert found in {plain(remote), *hops}


@given(
    PROXIES,
    JUNK.filter(lambda text: text.strip() and node_address(text) is None),
    st.lists(PROXIES, max_size=2),
)
def test_nothing_before_something_unreadable_is_believed(remote: str, junk: str, proxies: list[str]) -> None:
    chain = ",".join(["203.0.113.9", junk, *proxies])
    assert Peers(TRUSTED).address(environ(remote, chain)) == plain(proxies[0] if proxies else remote)


def test_a_unix_socket_is_used_by_a_proxy_on_this_machine() -> None:
    for remote in ({"REMOTE_ADDR": ""}, {}):
        forwarded = {**remote, "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
        assert Peers(["127.0.0.1"]).address(forwarded) == "203.0.113.9"
        assert Peers([]).address(forwarded) == "127.0.0.1"
        assert not Peers([]).is_local(dict(remote))


@given(st.ip_addresses(v=4).map(IPv4Address), st.ip_addresses(v=4).map(IPv4Address))
def test_limits_count_single_ipv4_addresses(one: IPv4Address, other: IPv4Address) -> None:
    assert (limit_key(str(one)) == limit_key(str(other))) == (one == other)
    assert limit_key(f"::ffff:{one}") == limit_key(str(one))


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_limits_count_a_network_of_ipv6(network: int, one: int, other: int) -> None:
    addresses = [IPv6Address(network << 64 | host) for host in (one, other)]
    if any(address.ipv4_mapped for address in addresses):
        return
    keys = {limit_key(str(address)) for address in addresses}
    assert keys == {str(ip_network((network << 64, 64)).network_address)}
    neighbour = IPv6Address((network ^ 1) << 64 | one)
    assert neighbour.ipv4_mapped or limit_key(str(neighbour)) not in keys


@pytest.mark.parametrize("address", ["fe80::1%eth0", "", "unix:", "not an address"])
def test_odd_addresses_break_nothing(address: str) -> None:
    assert isinstance(limit_key(address), str)
    assert not within(address, networks(["0.0.0.0/0"]))
    assert isinstance(Peers.is_local(environ(address)), bool)


def test_the_guard_counts_by_the_clients_address(lab_of: LabOn) -> None:
    lab = lab_of(trusted_proxies=["10.0.0.1"])
    path = "/api/probe/echo"

    def use(nonce: str, remote: str, forwarded: str) -> int:
        client = lab.client(address=remote)
        params = client.params("GET", path, {"from": forwarded + remote}, nonce=nonce)
        return client.send("GET", path, params, headers={"X-Forwarded-For": forwarded}).code

    assert use("nonce1", "10.0.0.1", "203.0.113.1") == 0
    assert use("nonce1", "10.0.0.1", "203.0.113.2") == 0
    assert use("nonce1", "10.0.0.1", "8.8.8.8, 203.0.113.1") == 1002
    assert use("nonce2", "203.0.113.5", "203.0.113.1") == 0
    assert use("nonce2", "203.0.113.5", "203.0.113.2") == 1002


def test_an_address_with_the_length_of_its_network_names_the_network() -> None:
    """As people write it: 10.1.2.3/8 is 10.0.0.0/8."""
    peers = Peers(["10.1.2.3/8", "fd00::5/8"])
    for proxy in ("10.9.9.9", "fdff::1"):
        assert peers.address({"REMOTE_ADDR": proxy, "HTTP_X_FORWARDED_FOR": "203.0.113.7"}) == "203.0.113.7"
