"""Brings a database to the newest version of the schema.

It runs as a step of its own before a deployment, never inside a server that is starting: two servers would
race, and readers would wait for an ALTER.
"""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event, make_url

LOCK_WAIT_S = 5
"""How long a migration waits for a lock before it gives up, so that no reader queues behind it for longer
(MySQL's own default is a day)."""


def upgrade(url: str) -> None:
    """Bring the database at `url` to the newest version; creates the file of a SQLite database."""
    target = make_url(url)
    if target.get_backend_name() != "sqlite":
        asyncio.run(_upgrade_mysql(target.set(drivername="mysql+asyncmy").render_as_string(False)))
        return
    if target.database:
        Path(target.database).parent.mkdir(parents=True, exist_ok=True)
    # The driver would commit before each DDL statement. Begun by hand, a migration is one transaction,
    # and a second migrator waits for the first.
    engine = create_engine(target, connect_args={"timeout": LOCK_WAIT_S, "isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.begin() as connection:
        _upgrade(connection)
    engine.dispose()


async def _upgrade_mysql(url: str) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine  # needs greenlet, which only `mysql` installs

    lock_wait = {"init_command": f"SET SESSION lock_wait_timeout = {LOCK_WAIT_S}"}
    engine = create_async_engine(url, connect_args=lock_wait)
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade)
    await engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
