"""`farmlokal clients` and `farmlokal keys`: who may call, and what their tokens are signed with.

A secret is printed once, on standard output, and is in no log, no argument and no file of ours.
"""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farmlokal.console import env_file_option, opened, settings_of
from farmlokal.oauth.models import ALGORITHMS
from farmlokal.oauth.scopes import SCOPES
from farmlokal.platform.clock import SystemClock
from farmlokal.settings import DEVELOPMENT_SECRET_KEY

if TYPE_CHECKING:
    from farmlokal.oauth.clients import Clients

OVERLAP_S = 24 * 3600
"""How long an old secret goes on opening unless somebody says otherwise: a day to hand out the new."""

MOST_OVERLAP_S = 30 * 24 * 3600

algorithm_option = click.option(
    "--algorithm", type=click.Choice(ALGORITHMS), default=ALGORITHMS[0], help="What tokens are signed with."
)


@click.group()
def clients() -> None:
    """Programs that may ask for access tokens."""


@clients.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    help=f"What its tokens may allow; several words or several times. One of: {', '.join(SCOPES)}.",
)
@click.option("--seller", type=click.IntRange(1), help="The one seller whose products it may write.")
@click.option("--id", "client_id", help="Its client_id; made up where none is given.", show_default=False)
@algorithm_option
@env_file_option
def create(
    name: str,
    scopes: tuple[str, ...],
    seller: int | None,
    client_id: str | None,
    algorithm: str,
    env_file: Path | None,
) -> None:
    """Register a client called NAME and print its secret, which is shown this once."""
    words = " ".join(scopes).replace(",", " ").split()

    async def work() -> None:
        async with _clients(env_file) as registered:
            made, secret = await registered.create(
                name, words, client_id=client_id, seller_id=seller, algorithm=algorithm
            )
        _show(client_id=made.client_id, client_secret=secret, scope=" ".join(sorted(made.scopes)))

    asyncio.run(work())


@clients.command("list")
@env_file_option
def list_clients(env_file: Path | None) -> None:
    """Every client, without any secret."""

    async def work() -> None:
        from farmlokal.oauth.clients import described

        async with _clients(env_file) as registered:
            rows = described(await registered.list())
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = zip(row, widths, strict=True)
            click.echo("  ".join(cell.ljust(width) for cell, width in cells).rstrip())

    asyncio.run(work())


@clients.command()
@click.argument("client_id")
@click.option(
    "--overlap",
    type=click.IntRange(0, MOST_OVERLAP_S),
    default=OVERLAP_S,
    help="Seconds for which the secret before goes on opening.",
)
@env_file_option
def rotate(client_id: str, overlap: int, env_file: Path | None) -> None:
    """Give CLIENT_ID a new secret and print it; the one before opens for a while."""

    async def work() -> None:
        async with _clients(env_file) as registered:
            secret = await registered.rotate(client_id, overlap)
        _show(client_id=client_id, client_secret=secret)

    asyncio.run(work())


@clients.command()
@click.argument("client_id")
@env_file_option
def disable(client_id: str, env_file: Path | None) -> None:
    """CLIENT_ID gets no token any more, and those that it has count no more."""

    async def work() -> None:
        async with _clients(env_file) as registered:
            await registered.disable(client_id)
        click.echo(f"{client_id} is disabled.")

    asyncio.run(work())


@click.group()
def keys() -> None:
    """The keys that access tokens are signed with."""


@keys.command("rotate")
@algorithm_option
@click.option("--at-once", is_flag=True, help="The old key leaked: drop it, and every token that it signed.")
@env_file_option
def rotate_key(algorithm: str, at_once: bool, env_file: Path | None) -> None:
    """Make a new signing key.

    It is published now and signs ten minutes later; the one before it is published until its last token has
    expired.
    """

    async def work() -> None:
        async with _clients(env_file) as registered:
            key = await registered.rotate_key(algorithm, at_once=at_once)
        _show(kid=key.kid)

    asyncio.run(work())


@asynccontextmanager
async def _clients(env_file: Path | None) -> "AsyncIterator[Clients]":
    from farmlokal.oauth.clients import Clients
    from farmlokal.oauth.repository import OAuthRepository

    settings = settings_of(env_file)
    secret_keys = [key.get_secret_value() for key in settings.secret_key] or [DEVELOPMENT_SECRET_KEY.encode()]
    async with opened(settings) as database:
        yield Clients(OAuthRepository(database), secret_keys, SystemClock())


def _show(**values: str) -> None:
    """As lines of name=value, which a shell can read."""
    for name, value in values.items():
        click.echo(f"{name}={shlex.quote(value)}")
