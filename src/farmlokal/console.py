"""What every command begins with: the settings, and the database that they name."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from farmlokal.migrations import newest
from farmlokal.ops.preflight import require_schema
from farmlokal.platform.database import database_at
from farmlokal.platform.database.port import Database
from farmlokal.settings import Settings

env_file_option = click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="Settings as NAME=value lines; the environment wins.",
)


def settings_of(
    env_file: Path | None, host: str | None = None, port: int | None = None, ops_port: int | None = None
) -> Settings:
    """The settings of this environment and of the options given. Raises `SettingsError`."""
    options = {"FARMLOKAL_HOST": host, "FARMLOKAL_PORT": port, "FARMLOKAL_OPS_PORT": ops_port}
    environ = os.environ | {name: str(value) for name, value in options.items() if value is not None}
    return Settings.load(environ, env_file)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The database of the settings, open and of the right schema."""
    database = database_of(settings)
    try:
        await database.open()
        await require_schema(database, newest())
        yield database
    finally:
        await database.close()


def database_of(settings: Settings) -> Database:
    """The database of the settings, not yet opened."""
    replica = settings.database_replica_url
    return database_at(
        settings.database_url.get_secret_value(),
        settings.database_pool,
        None if replica is None else replica.get_secret_value(),
    )
