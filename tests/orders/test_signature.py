"""Signatures: the published examples, and everything that is none."""

import base64
import hmac

import pytest

from farmlokal.orders.signature import SIGNATURES, BodyHmac, Headers, StandardWebhooks, Unsigned, headers_of

SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY = b'{"test": 2432232314}'
NOW_S = 1_614_265_330
ID = b"msg_p5jXN8AQM9LWM0D4loKWxJek"
SIGNATURE = b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
"""The example that Standard Webhooks publishes with its libraries."""


def headers(**given: bytes | list[bytes] | None) -> Headers:
    """The headers of the example, but for those given."""
    found = {"id": ID, "timestamp": str(NOW_S).encode(), "signature": SIGNATURE, **given}
    return headers_of(
        (f"webhook-{name}".encode(), each)
        for name, value in found.items()
        if value is not None
        for each in (value if isinstance(value, list) else [value])
    )


def signed(body: bytes = BODY, secret: bytes = SECRET, at_s: int = NOW_S) -> Headers:
    """The headers of a right delivery."""
    timestamp = str(at_s).encode()
    mac = base64.b64encode(hmac.digest(secret, b".".join((ID, timestamp, body)), "sha256"))
    return headers(timestamp=timestamp, signature=b"v1," + mac)


def is_accepted(given: Headers, body: bytes = BODY, *secrets: bytes, now_s: int = NOW_S) -> bool:
    """Whether the delivery is one of a sender's."""
    try:
        StandardWebhooks(secrets or (SECRET,)).verify(given, body, now_s)
    except Unsigned:
        return False
    return True


def test_the_published_example() -> None:
    """The example of Standard Webhooks is accepted, and with one byte of its body changed is not."""
    assert is_accepted(headers())
    for body in (BODY + b" ", BODY[:-1], BODY.replace(b": ", b":"), b""):
        assert not is_accepted(headers(), body)


@pytest.mark.parametrize(("off_s", "accepted"), [(-301, False), (-299, True), (299, True), (301, False)])
def test_the_time_of_a_delivery(off_s: int, accepted: bool) -> None:
    """A delivery may be five minutes old, or from a clock that is five minutes ahead, and no more."""
    assert is_accepted(signed(at_s=NOW_S + off_s)) is accepted


def test_secrets_rotate() -> None:
    """Every secret that is configured vouches, one that is not does not, and none at all is refused."""
    old, new = b"the old secret", b"the new secret"
    for secret in (old, new):
        assert is_accepted(signed(secret=secret), BODY, old, new)
    assert not is_accepted(signed(secret=old), BODY, new)
    for none in ([], [b""], [new, b""]):
        with pytest.raises(ValueError, match="secret"):
            StandardWebhooks(none)
        with pytest.raises(ValueError, match="secret"):
            BodyHmac(none, b"x-signature")


def test_several_signatures() -> None:
    """One right signature among others is enough, whatever their versions are; more than ten are refused."""
    other = b"v1," + base64.b64encode(b"x" * 32)
    assert is_accepted(headers(signature=b"v1a,abc " + other + b" v2,??? " + SIGNATURE))
    assert is_accepted(headers(signature=b" ".join([other] * (SIGNATURES - 1) + [SIGNATURE])))
    assert not is_accepted(headers(signature=b" ".join([other] * SIGNATURES + [SIGNATURE])))
    assert not is_accepted(headers(signature=b" ".join([SIGNATURE] * 10_000)))


@pytest.mark.parametrize("name", ["id", "timestamp", "signature"])
@pytest.mark.parametrize("value", [None, b"", [b"a", b"b"]])
def test_each_header_is_there_once(name: str, value: bytes | list[bytes] | None) -> None:
    """A header that is missing, empty or there twice vouches for nothing."""
    assert not is_accepted(headers(**{name: value}))


@pytest.mark.parametrize(
    "timestamp",
    [
        *(b"1_614_265_330", b" 1614265330", b"+1614265330", b"1614265330.0", b"0x6037b0f2", b"nan", b"inf"),
        *(b"-1614265330", "１６１４２６５３３０".encode(), b"9" * 400, b"1614265330\n", b"1.614e9", b"\xff"),
    ],
)
def test_a_timestamp_that_is_none(timestamp: bytes) -> None:
    """Only ASCII digits are a time, though the signature itself be right."""
    mac = base64.b64encode(hmac.digest(SECRET, b".".join((ID, timestamp, BODY)), "sha256"))
    assert not is_accepted(headers(timestamp=timestamp, signature=b"v1," + mac))


@pytest.mark.parametrize(
    "signature",
    [
        *(
            SIGNATURE[3:],
            b"v1",
            b"v1,",
            b"v1, ",
            b"v1,====",
            b"v1," + SIGNATURE,
            SIGNATURE.replace(b",", b"="),
        ),
        *(
            SIGNATURE[:-1],
            SIGNATURE + b"=",
            b"v1,*" + SIGNATURE[3:],
            b"V1," + SIGNATURE[3:],
            b"\xff\xfe",
            b",",
        ),
        SIGNATURE.replace(b"+", b"-").replace(b"/", b"_"),
    ],
)
def test_a_signature_that_is_none(signature: bytes) -> None:
    """What is not a version and strict base64 is no signature."""
    assert not is_accepted(headers(signature=signature))


def test_schemes_over_the_body_alone() -> None:
    """Hexadecimal with a prefix and base64, as GitHub and Shopify publish them; nothing but exactly that."""
    hello = BodyHmac([b"It's a Secret to Everybody"], b"x-hub-signature-256", prefix=b"sha256=")
    mac = b"757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    hello.verify({b"x-hub-signature-256": [b"sha256=" + mac]}, b"Hello, World!", 0)
    for wrong in (
        mac,
        b"sha1=" + mac,
        b"sha256=" + mac.upper(),
        b"sha256=" + mac[:-1],
        b"sha256=",
        b"sha256=" * 2 + mac,
    ):
        with pytest.raises(Unsigned):
            hello.verify({b"x-hub-signature-256": [wrong]}, b"Hello, World!", 0)
    with pytest.raises(Unsigned):
        hello.verify({b"x-hub-signature-256": [b"sha256=" + mac]}, b"Hello, World! ", 0)
    foo = BodyHmac([b"test_secret_key"], b"x-shopify-hmac-sha256", hexadecimal=False)
    right = b"B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g="
    foo.verify({b"x-shopify-hmac-sha256": [right]}, b'{"foo": "bar"}', 0)
    for wrong in (right[:-1], right + b"\n", b"", b"sha256=" + right):
        with pytest.raises(Unsigned):
            foo.verify({b"x-shopify-hmac-sha256": [wrong]}, b'{"foo": "bar"}', 0)
    with pytest.raises(Unsigned):
        foo.verify({}, b'{"foo": "bar"}', 0)
