"""Goals, and what counts towards them."""

import pytest

from farmlokal.errors import Invalid
from farmlokal.loadtest import Credentials, Tally, page, parse_goal, parse_mix, text


def _tally(*statuses: int, duration_us: int = 1_000) -> Tally:
    tally = Tally(seconds=2)
    for status in statuses:
        tally.add("browse", 0.5, duration_us, status, "" if status else "timeout")
    return tally


def test_only_a_2xx_is_a_success() -> None:
    """429, 5xx, other statuses and no answer are counted apart; all are errors, 2xx alone is goodput."""
    tally = _tally(200, 204, 429, 503, 404, 0)
    assert dict(tally.total.outcomes) == {"good": 2, "refused": 1, "failed": 1, "other": 1, "unanswered": 1}
    assert parse_goal("errors=66.6%").met(tally) is False
    assert parse_goal("errors=66.7%").met(tally) is True
    assert parse_goal("goodput=1").met(tally) is True
    assert parse_goal("goodput=1.1").met(tally) is False


def test_quick_refusals_do_not_lower_the_percentiles() -> None:
    """What was refused or failed lends no duration; what was not answered does: its wait."""
    tally = _tally(200, duration_us=20_000)
    for _ in range(99):
        tally.add("browse", 1.0, 100, 429)
    assert parse_goal("p50=19").met(tally) is False
    tally.add("browse", 1.0, 10_000_000, 0, "timeout")
    assert parse_goal("p99=9000").met(tally) is False


def test_no_goal_is_met_by_nothing() -> None:
    """Where nothing arrived, or nothing was answered well, no goal of speed is met."""
    assert not any(parse_goal(each).met(Tally(1)) for each in ("p99=1000", "errors=100%", "goodput=0"))
    assert parse_goal("p99=1000").met(_tally(500, 500)) is False


@pytest.mark.parametrize(
    "goal",
    ["", "p99", "p99=", "p=5", "p100=5", "p99=-1", "p99=1e3", "errors=1", "goodput=1%", "speed=3", "p99=５"],
)
def test_a_goal_that_is_not_understood_is_refused(goal: str) -> None:
    """A goal is a percentile in ms, errors in percent or goodput a second, written just so."""
    with pytest.raises(Invalid):
        parse_goal(goal)


def test_what_needs_credentials_comes_only_with_them() -> None:
    """Without credentials a day has no writes and no events; asking for them is refused."""
    assert parse_mix("", Credentials()).keys() == {"browse", "page", "search", "open"}
    assert "write" in parse_mix("", Credentials(client_id="c", client_secret="s"))
    assert "webhook" in parse_mix("", Credentials(webhook_secret=b"s"))
    for mix in ("write=1", "browse=1,webhook=1", "browse", "nothing=1", "browse=-1", "browse=0"):
        with pytest.raises(Invalid):
            parse_mix(mix, Credentials())
    assert "hush" not in repr(Credentials("c", "hush", b"hush"))


def test_the_page_loads_nothing_and_says_what_was_counted() -> None:
    """The report is one file without addresses in it, with its plots, the outcomes apart and the goals."""
    tally = _tally(200, 200, 429, 503, 0)
    goals = [parse_goal("p99=50"), parse_goal("errors=0.1%")]
    made = page(tally, goals, "Load on <there>")
    assert "http" not in made
    assert made.count("<svg") == 3
    for word in (
        "&lt;there&gt;",
        "goal p99=50: 1, met",
        "goal errors=0.1%: 60, missed",
        "1 × 429",
        "1 × timeout",
    ):
        assert word in made
    assert "refused" in text(tally, goals)
