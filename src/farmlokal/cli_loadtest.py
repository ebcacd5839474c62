"""The command `loadtest`: a shop day's load on a server that runs."""

import asyncio
import ipaddress
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click

from farmlokal.errors import Fault, Invalid

RATES, CONNECTIONS, SECONDS = 20_000, 4_096, 3_600
"""Most that may be asked for: arrivals a second, connections at once, seconds."""


@click.command()
@click.argument("url", default="http://127.0.0.1:3000")
@click.option(
    "--rate", default="100", help="Arrivals a second; with commas one after another, as 500,1500,500."
)
@click.option(
    "--seconds", type=click.FloatRange(1, SECONDS), default=30, help="How long, all rates together."
)
@click.option("--connections", type=click.IntRange(1, CONNECTIONS), default=256, help="Most at once.")
@click.option("--mix", default="", help="Weights: browse=40,page=20,search=15,open=20,write=2,webhook=3.")
@click.option("--goal", "goals", multiple=True, help="p99=50 (ms), errors=0.1%, goodput=480 (a second).")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="Where to write the page.")
@click.option("--random-seed", type=int, default=0, help="The same number asks the same things.")
@click.option("--anywhere", is_flag=True, help="Allow a URL that is not this machine's.")
def loadtest(
    url: str,
    rate: str,
    seconds: float,
    connections: int,
    mix: str,
    goals: Sequence[str],
    report: Path | None,
    random_seed: int,
    anywhere: bool,
) -> None:
    """Load on the server at URL as a shop day brings it.

    Arrivals wait for nobody, and durations count from when a request was due. Writes (which change prices)
    and events of orders come with the credentials in LOADTEST_CLIENT_ID, LOADTEST_CLIENT_SECRET and
    LOADTEST_WEBHOOK_SECRET of the environment. The exit code is 1 when a goal is missed.
    """
    from farmlokal.loadtest import Credentials, Plan, page, parse_goal, parse_mix, run, text

    _require_place(url, anywhere=anywhere)
    credentials = Credentials(
        os.environ.get("LOADTEST_CLIENT_ID", ""),
        os.environ.get("LOADTEST_CLIENT_SECRET", ""),
        os.environ.get("LOADTEST_WEBHOOK_SECRET", "").encode(),
    )
    wanted = [parse_goal(each) for each in goals]
    plan = Plan(url, _rates(rate), seconds, connections, parse_mix(mix, credentials), random_seed)
    tally = asyncio.run(run(plan, credentials))
    click.echo(text(tally, wanted))
    if report is not None:
        report.write_text(page(tally, wanted, f"Load on {urlsplit(url).netloc}: {rate}/s"), encoding="utf-8")
        click.echo(f"{report}")
    if not all(goal.met(tally) for goal in wanted):
        sys.exit(1)


def _require_place(url: str, *, anywhere: bool) -> None:
    """Raises `Invalid` for what is no URL of a server, or not of this machine unless that is allowed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    plain = not (parts.username or parts.password or parts.query or parts.path.strip("/")) and port != 0
    if parts.scheme not in ("http", "https") or not host or not plain:
        raise Invalid("The URL is not understood.", Fault("url", "malformed", "http://127.0.0.1:3000"))
    if not anywhere and not _is_loopback(host):
        raise Invalid(f"{host} is another machine. If it is yours to load, say --anywhere.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _rates(text: str) -> list[float]:
    try:
        rates = [float(each) for each in text.split(",")]
    except ValueError:
        rates = []
    if not rates or not all(0 < each <= RATES for each in rates):
        accepted = f"numbers over 0 up to {RATES:,} with commas between them"
        raise Invalid("The rate is not understood.", Fault("rate", "range", accepted))
    return rates
