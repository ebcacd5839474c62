"""The commands about events of orders: send one, look at what came in, and repair what could not be applied.

`list`, `dead-letters` and `replay` work on the database, whether or not a server runs: a replay has its
effect once, whoever else applies the same event at that moment.
"""

import asyncio
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from farmlokal.console import env_file_option, opened, settings_of
from farmlokal.errors import DomainError, Invalid
from farmlokal.platform.clock import SystemClock, instant
from farmlokal.settings import Settings

if TYPE_CHECKING:
    from farmlokal.orders.repair import Repair
    from farmlokal.platform.database.port import Database

WITHIN_S = 10.0
"""Longest that an answer to a sent event is waited for."""

ANSWER_BYTES = 65_536

limit_option = click.option("--limit", type=click.IntRange(1, 100), default=20, help="How many.")


@click.group()
def webhooks() -> None:
    """Events of orders: send, inspect, repair."""


@webhooks.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--url", help="Where to; this server's own endpoint where it is not said.", show_default=False)
@env_file_option
def send(file: Any, url: str | None, env_file: Path | None) -> None:
    """Sign the event in FILE with the first secret of the settings and send it; `-` reads standard input.

    Prints the status and the answer. The exit code is 0 only for a 200.
    """
    settings, body = settings_of(env_file), file.read()
    status, answer = asyncio.run(_send(settings, url or f"{settings.issuer}/webhook/order-update", body))
    click.echo(f"{status} {_plain(answer.decode(errors='replace'))}")
    if status != 200:
        sys.exit(1)


@webhooks.command("list")
@click.option("--order", help="Only events of the order of this id.", show_default=False)
@limit_option
@env_file_option
def list_events(order: str | None, limit: int, env_file: Path | None) -> None:
    """The events that were recorded last, the newest at the end."""

    async def work() -> None:
        from farmlokal.orders.reading import OrderReader

        async with opened(settings_of(env_file)) as database:
            found = await OrderReader(database).recorded(None if order is None else order.encode(), limit)
        rows = [
            (
                instant(event.received_at_us),
                event.source,
                event.place.event_id.decode(),
                "-" if key is None else key.decode(),
                event.status or "-",
                event.outcome,
            )
            for key, event in found
        ]
        _table([("received", "source", "event", "order", "status", "outcome"), *rows])

    asyncio.run(work())


@webhooks.command("dead-letters")
@click.option(
    "--kind",
    type=click.Choice(["dead", "failing", "mismatched", "malformed"]),
    help="Only these; all but failing ones where it is not said.",
    show_default=False,
)
@limit_option
@env_file_option
def dead_letters(kind: str | None, limit: int, env_file: Path | None) -> None:
    """Deliveries that could not be applied, newest first."""

    async def work() -> None:
        from farmlokal.orders.letters import Kind

        async with opened(settings_of(env_file)) as database:
            page = await _repair(database).page(Kind(kind) if kind else None, limit, None)
        rows = [
            (
                *(str(letter.id), letter.kind, letter.source, letter.event_id or "-", letter.last_at),
                *(str(letter.attempts), "settled" if letter.settled else "open", letter.reason),
            )
            for letter in page.data
        ]
        _table([("id", "kind", "source", "event", "last", "attempts", "state", "reason"), *rows])

    asyncio.run(work())


@webhooks.command()
@click.argument("ids", nargs=-1, required=True, type=click.IntRange(1))
@env_file_option
def replay(ids: Sequence[int], env_file: Path | None) -> None:
    """Apply the dead letters of these IDS again.

    Each has its effect once, however often it is replayed. The exit code is 1 when one could not be applied.
    """

    async def work() -> bool:
        done = True
        async with opened(settings_of(env_file)) as database:
            repair = _repair(database)
            for letter_id in ids:
                try:
                    told = str(await repair.replay(letter_id))
                except DomainError as refusal:
                    told, done = f"refused: {refusal.detail}", False
                click.echo(f"{letter_id} {_plain(told)}")
        return done

    if not asyncio.run(work()):
        sys.exit(1)


def _repair(database: "Database") -> "Repair":
    """Repair that records each event in a transaction of its own."""
    from farmlokal.orders.inbox import Inbox, Outcome
    from farmlokal.orders.letters import DeadLetters
    from farmlokal.orders.models import OrderEvent
    from farmlokal.orders.receiver import Receiver
    from farmlokal.orders.repair import Repair
    from farmlokal.platform.keyset.cursor import CursorCodec
    from farmlokal.platform.metrics import WebhookCounts

    clock = SystemClock()
    inbox, letters = Inbox(database, clock), DeadLetters(database, clock)

    async def submit(event: OrderEvent) -> Outcome:
        [result] = await inbox.record([event], wait=True)
        if isinstance(result, Outcome):
            return result
        raise result

    return Repair(letters, Receiver(submit, letters, WebhookCounts(), clock), CursorCodec([]))


async def _send(settings: Settings, url: str, body: bytes) -> tuple[int, bytes]:
    from farmlokal.orders.signature import sign
    from farmlokal.platform.http_client import HttpClient, HttpFailed

    headers = {"content-type": "application/json"}
    if settings.webhook_secrets:
        secret = settings.webhook_secrets[0].get_secret_value()
        headers |= sign(secret, _event_id(body), int(time.time()), body)
    client = HttpClient(1)
    await client.open()
    try:
        answer = await client.call("POST", url, headers, body, within_s=WITHIN_S, body_bytes=ANSWER_BYTES)
    except HttpFailed as failed:
        raise Invalid(f"There was no answer ({failed}). Send it again: it counts once.") from None
    finally:
        await client.close()
    return answer.status, answer.body


def _event_id(body: bytes) -> str:
    """What the delivery is called: any name will do, and the event's own says most."""
    try:
        found = msgspec.json.decode(body).get("eventId")
    except (msgspec.DecodeError, AttributeError):
        found = None
    return found if isinstance(found, str) and found.isascii() and found.isprintable() and found else "event"


def _table(rows: Sequence[Sequence[str]]) -> None:
    plain = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    for row in plain:
        click.echo(_line(row, widths))


def _line(row: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _plain(text: str) -> str:
    """Text of a stranger's for a terminal, which would obey what it does not show."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)
