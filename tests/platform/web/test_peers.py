"""Whose quota a request spends: the peer's, unless the operator trusts it to name another."""

import random
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.platform.web.peers import HOPS, Peers

TRUSTING = Peers([ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
TRUSTING_NOBODY = Peers()


def name(peer: Any, *forwarded: str | bytes, peers: Peers = TRUSTING) -> str:
    """Who that is; each of `forwarded` is an X-Forwarded-For header."""
    values = [value if isinstance(value, bytes) else value.encode() for value in forwarded]
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value) for value in values)]
    return peers.caller({"client": peer and (peer, 4711), "headers": headers}).name


def test_a_thousand_claims_of_a_stranger_are_one_caller() -> None:
    """Whatever an untrusted peer writes into X-Forwarded-For, it is itself."""
    rng = random.Random(3)
    claims = [".".join(str(rng.randrange(256)) for _ in range(4)) for _ in range(1000)]
    for peers in (TRUSTING, TRUSTING_NOBODY):
        assert {name("127.0.0.2", claim, peers=peers) for claim in claims} == {"127.0.0.2"}
    assert name("127.0.0.1", "192.0.2.1", peers=TRUSTING_NOBODY) == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
        (["198.51.100.9, 192.0.2.1, 10.1.1.1,10.2.2.2"], "192.0.2.1"),
        (["198.51.100.9", "192.0.2.1", "10.1.1.1"], "192.0.2.1"),
        (["10.9.9.9, 10.1.1.1"], "10.9.9.9"),
        (["192.0.2.1:4711"], "192.0.2.1"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        (["2001:db8:1:2:ffff::4, fd00::1"], "2001:db8:1:2::/64"),
        ([], "127.0.0.1"),
    ],
)
def test_the_last_hop_that_no_trusted_proxy_wrote_of_itself(forwarded: list[str], expected: str) -> None:
    """Behind trusted proxies the caller is the right-most address that is not one of theirs."""
    assert name("127.0.0.1", *forwarded) == expected


@pytest.mark.parametrize(
    "forwarded",
    [
        "",
        ",",
        "unknown",
        "_hidden",
        "192.0.2.1.5",
        "192.0.2.256",
        "192.0.2.1:x:y",
        "[2001:db8::1",
        "[]",
        "１.２.３.４",
        "192.0.2.1, nonsense",
        "for=192.0.2.1",
        "\x00",
        b"\xff\xfe",
        "a" * 10_000,
        ", ".join(["10.0.0.1"] * 2000),
    ],
)
def test_what_is_no_address_counts_as_the_peer(forwarded: str | bytes) -> None:
    """A header that cannot be read, or names more proxies than anyone has, is not believed."""
    expected = "2001:db8::/64" if forwarded == "[2001:db8::1" else "127.0.0.1"
    assert name("127.0.0.1", forwarded) == expected


def test_many_headers_count_as_the_peer() -> None:
    """A list of hops that is spread over many headers has the same bound."""
    assert name("127.0.0.1", "192.0.2.1", *["10.0.0.1"] * (HOPS - 1)) == "192.0.2.1"
    assert name("127.0.0.1", "192.0.2.1", *["10.0.0.1"] * HOPS) == "127.0.0.1"


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_no_header_breaks_it(values: list[bytes]) -> None:
    """Any bytes in the header give somebody, and never an error."""
    assert name("127.0.0.1", *values)


def test_one_network_of_ipv6_is_one_caller() -> None:
    """A thousand addresses of one /64 share a quota, those of the next /64 have their own."""
    rng = random.Random(4)
    inside = {name(f"2001:db8:0:1:{rng.randrange(65536):x}::{rng.randrange(65536):x}") for _ in range(1000)}
    assert inside == {"2001:db8:0:1::/64"}
    assert name("2001:db8:0:2::1") not in inside


@pytest.mark.parametrize("peer", [None, "", "/run/app.sock", "unix:", "testclient"])
def test_peers_without_an_address_are_one_caller(peer: str | None) -> None:
    """A Unix socket has no address: all that come through it share a quota."""
    assert name(peer, "192.0.2.1") == "unknown"


def test_ipv4_in_ipv6_is_ipv4() -> None:
    """What a dual-stack socket calls ::ffff:192.0.2.1 is 192.0.2.1, trusted or limited as such."""
    assert name("::ffff:192.0.2.1") == name("192.0.2.1") == "192.0.2.1"
    assert name("::ffff:10.0.0.1", "192.0.2.7") == "192.0.2.7"
