"""Brings a database to the newest version of the schema.

It runs as a step of its own before a deployment, never inside a server that is starting: two servers would
race, and readers would wait for an ALTER.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

from farmlokal.errors import Unavailable
from farmlokal.migrations import newest
from farmlokal.migrations.online import PATIENCE_S
from farmlokal.platform.database import require_driver

if TYPE_CHECKING:
    from farmlokal.platform.database.mysql_address import Address

NEWEST = "head"
"""Alembic's word for it."""

LOCK_WAIT_S = 1
"""How long a migration of MySQL waits for a table at a time (MySQL's own default is a day). Readers queue
behind it meanwhile, and are refused after 0.9 s."""

FILE_WAIT_S = 5
"""How long a migration of SQLite waits for the one writer."""

HELD = (
    "a transaction or a query has been holding a table that the migration changes: run it again later, and it"
    " goes on where it stopped"
)

DONE_ALREADY = (
    "what the migration makes is there already: another migration of this database goes on at another node of"
    " its cluster, or one was cut off; run it again later"
)
_DONE_ALREADY = {1050, 1060, 1061, 1091}
"""There is such a table, column or index; there is none that could be dropped."""

CONNECT_S = 10
"""Longest a connection may take: nobody waits for it but the migration itself."""

TURN_WAIT_S = 60
"""How long a migrator waits for another one to be done: longer than any chapter takes when empty."""


def upgrade(url: str, *, to: str = NEWEST, patience_s: float = PATIENCE_S) -> None:
    """Bring the database at `url` to a version, or the newest; creates the file of a SQLite database.

    `patience_s` is how long each change of a table in use is tried on MySQL. Raises `Unavailable` for a
    server that cannot be reached or whose tables are held for longer, `Invalid` for one that is too old.
    """
    target = make_url(url)
    if target.get_backend_name() != "sqlite":
        require_driver()
        from farmlokal.platform.database.mysql_address import Address  # the driver is an extra

        asyncio.run(_upgrade_mysql(Address.parse(url), to, patience_s))
        return
    if target.database:
        Path(target.database).parent.mkdir(parents=True, exist_ok=True)
    # The driver would commit before each DDL statement. Begun by hand, a migration is one transaction,
    # and a second migrator waits for the first.
    engine = create_engine(target, connect_args={"timeout": FILE_WAIT_S, "isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.begin() as connection:
        _upgrade(connection, to)
    engine.dispose()


async def _upgrade_mysql(address: "Address", to: str, patience_s: float) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine  # needs greenlet, which only `mysql` installs

    from farmlokal.platform.database.mysql_faults import Failed, Kind, kind_of
    from farmlokal.platform.database.mysql_link import accepted_engine

    settings = {
        "connect_timeout": CONNECT_S,
        "init_command": f"SET SESSION lock_wait_timeout = {LOCK_WAIT_S}, sql_notes = 0",
    }
    engine = create_async_engine("mysql+asyncmy://", connect_args=address.arguments() | settings)
    try:
        async with engine.connect() as connection:
            accepted_engine(await connection.scalar(text("SELECT VERSION()")))
            connection.info["patience_s"] = patience_s
            await connection.run_sync(_in_turn, f"farmlokal migrate {address.database}"[:64], to)
    except DBAPIError as error:
        if error.orig is not None and error.orig.args[:1] and error.orig.args[0] in _DONE_ALREADY:
            raise Unavailable(DONE_ALREADY) from None
        kind = kind_of(error.orig) if error.orig is not None else Kind.BUG
        if kind is Kind.BUG:
            raise
        raise Failed(kind, HELD if kind is Kind.AGAIN else None).refusal() from None
    except CommandError as error:
        if "expected to match" not in str(error):  # the version is no longer the one that was read
            raise
        raise Unavailable(DONE_ALREADY) from None
    finally:
        await engine.dispose()


def _in_turn(connection: Connection, name: str, to: str) -> None:
    """Migrate while holding the server's lock of this name: DDL there is no transaction that could wait.

    The lock is one server's own. Two at two nodes of a cluster meet at a statement: whichever comes second
    there finds it done, and stops.
    """
    lock = text("SELECT GET_LOCK(:name, :wait)")
    if connection.scalar(lock, {"name": name, "wait": TURN_WAIT_S}) != 1:
        raise Unavailable("another migration of this database has been running for a minute: try again")
    try:
        _upgrade(connection, to)
        connection.commit()
    finally:
        connection.scalar(text("SELECT RELEASE_LOCK(:name)"), {"name": name})


def _upgrade(connection: Connection, to: str) -> None:
    found = MigrationContext.configure(connection).get_current_revision()
    if to == NEWEST and found is not None and found.isdecimal() and int(found) > int(newest()):
        return  # a newer release has been here, and may still serve
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
