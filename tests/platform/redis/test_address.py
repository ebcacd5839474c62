"""The parts of a Redis URL."""

import pytest

from farmlokal.platform.redis.address import RedisAddress


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", RedisAddress("redis", (("h", 6379),))),
        ("redis://h:1/2", RedisAddress("redis", (("h", 1),), database=2)),
        ("redis://:p%40ss@[::1]:7", RedisAddress("redis", (("::1", 7),), password="p@ss")),
        (
            "rediss://u:p@h:1?ssl_ca_certs=ca.pem",
            RedisAddress("rediss", (("h", 1),), username="u", password="p", ca_file="ca.pem"),
        ),
        ("unix:///run/r%20s.sock?db=3", RedisAddress("unix", path="/run/r s.sock", database=3)),
        ("unix://u:p@/run/s", RedisAddress("unix", path="/run/s", username="u", password="p")),
        ("redis+cluster://a:1,b", RedisAddress("redis+cluster", (("a", 1), ("b", 6379)))),
        (
            "redis+sentinel://:p@a,b:2/main",
            RedisAddress("redis+sentinel", (("a", 26379), ("b", 2)), service="main", password="p"),
        ),
        ("redis://h?socket_timeout=60&db=9", RedisAddress("redis", (("h", 6379),))),
    ],
)
def test_a_url_comes_apart(url: str, address: RedisAddress) -> None:
    """Each kind of URL has its parts, with passwords decoded; a query cannot change a time limit."""
    assert RedisAddress.of(url) == address


def test_an_address_does_not_print_its_password() -> None:
    """Neither repr nor str of an address has the password in it."""
    assert "secret" not in f"{RedisAddress.of('redis://:secret@h')!r}"
