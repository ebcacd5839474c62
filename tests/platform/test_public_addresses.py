"""Which addresses a call to the outside may reach."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmlokal.platform.public_addresses import LOOPBACK, is_allowed


@pytest.mark.parametrize(
    "address",
    [
        *(
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
        ),
        *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255"),
        *("192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"),
        *("2001:4860:4860::8888", "2606:4700::1111", "2a00:1450::1", "2003::", "2001:200::1"),
        *("::ffff:8.8.8.8", "64:ff9b::808:808"),
    ],
)
def test_public_addresses_are_allowed(address: str) -> None:
    """An address of the public internet may be called, next to the bounds of what is not, too."""
    assert is_allowed(address)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1"),
        *("127.255.255.255", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1"),
        *("192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1"),
        *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::2", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a00:1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:1::1"),
        *("2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1"),
        *("fe80::1%eth0", "2606:4700::1111%1", "fec0::1", "ff02::1"),
    ],
)
def test_other_addresses_are_not(address: str) -> None:
    """Loopback, private, link-local, shared, reserved, multicast and documentation addresses are refused, and
    IPv4 addresses of those kinds inside IPv6 ones."""
    assert not is_allowed(address)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "localhost",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "1.1.1.1:80",
            "[::1]",
            "1.1.1",
        ),
        *(" 8.8.8.8", "8.8.8.8 ", "8.8.8.8/32", "８.8.8.8", "8.8.8.08", "http://8.8.8.8", "1.1.1.1\x00"),
    ],
)
def test_what_is_no_resolved_address_is_refused(text: str) -> None:
    """Names, odd spellings and addresses with anything around them are not what a resolver gives."""
    assert not is_allowed(text)


def test_development_allows_loopback_and_nothing_more() -> None:
    """With the loopback networks allowed a supplier on the same machine is reached, in any notation."""
    assert is_allowed("127.0.0.1", LOOPBACK)
    assert is_allowed("::1", LOOPBACK)
    assert is_allowed("::ffff:127.0.0.2", LOOPBACK)
    assert is_allowed("8.8.8.8", LOOPBACK)
    assert not is_allowed("10.0.0.1", LOOPBACK)
    assert not is_allowed("169.254.169.254", LOOPBACK)


def test_an_operator_allows_a_network() -> None:
    """A supplier inside an allowed private network may be called, its neighbours may not."""
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd00:1::/32"))
    assert is_allowed("10.1.2.3", allowed)
    assert is_allowed("fd00:1::5", allowed)
    assert not is_allowed("10.2.0.1", allowed)
    assert not is_allowed("fd00:2::5", allowed)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_the_same_inside_ipv6(number: int) -> None:
    """Whether an IPv4 address is allowed does not depend on its notation."""
    plain = is_allowed(str(IPv4Address(number)))
    assert is_allowed(str(IPv6Address(0xFFFF_0000_0000 + number))) is plain
    assert is_allowed(str(IPv6Address((0x64_FF9B << 96) + number))) is plain


@given(st.one_of(st.text(max_size=50), st.ip_addresses().map(str)))
def test_no_text_is_an_accident(text: str) -> None:
    """Whatever text is asked about, the answer is yes or no."""
    assert is_allowed(text) in (True, False)
