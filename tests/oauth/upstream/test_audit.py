"""What the log says of tokens that were given away."""

from structlog.testing import capture_logs

from farmlokal.oauth.upstream import Timing, UpstreamToken
from farmlokal.oauth.upstream.audit import CALLERS, EVERY_S, Audit
from tests.support.clock import ManualClock


def token(value: str) -> UpstreamToken:
    """A token of this value."""
    return UpstreamToken.of(value, None, 3600, 3600, Timing())


def test_a_line_at_once_and_then_one_a_minute(clock: ManualClock) -> None:
    """The first time that a caller is given a token is told at once, every further time is counted and told
    with the minute; another token and another caller are told at once."""
    audit = Audit(clock)
    with capture_logs() as lines:
        for _ in range(100):
            audit.given(token("one"), "client:a", 100)
        audit.given(token("one"), "client:b", 100)
        clock.advance(EVERY_S)
        audit.given(token("one"), "client:a", 40)
        audit.given(token("two"), "client:a", 3600)
    told = [(line["to"], line["token_sha256"], line["since_last"]) for line in lines]
    assert told == [
        ("client:a", token("one").name, 0),
        ("client:b", token("one").name, 0),
        ("client:a", token("one").name, 99),
        ("client:a", token("two").name, 0),
    ]
    assert lines[2]["seconds_left"] == 40


def test_many_callers(clock: ManualClock) -> None:
    """However many callers there are, each is told of, and only so many are remembered."""
    audit = Audit(clock)
    with capture_logs() as lines:
        for _ in range(2):
            for number in range(CALLERS + 1):
                audit.given(token("one"), f"client:{number}", 100)
    assert len(lines) == 2 * (CALLERS + 1)
