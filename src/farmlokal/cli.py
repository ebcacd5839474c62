"""The command line: thin commands that read the settings, call what does the work, and say what happened.

Heavy imports stand inside the commands: `farmlokal serve` does not pay for Alembic, nor a migration for
the web server.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from farmlokal.cli_loadtest import loadtest
from farmlokal.cli_oauth import clients, keys
from farmlokal.cli_suppliers import suppliers
from farmlokal.cli_webhooks import webhooks
from farmlokal.console import database_of, env_file_option, opened, settings_of
from farmlokal.errors import DomainError
from farmlokal.migrations import newest
from farmlokal.ops.preflight import examine, require_durable
from farmlokal.outside import simulate_beside, simulator
from farmlokal.platform.clock import SystemClock
from farmlokal.settings import Settings, SettingsError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from farmlokal.catalog.importing.load import Summary

FIRST_CATALOGUE = 5000
"""Products that `dev` starts with: enough to page through, generated in about a second."""

_PAGES = {
    "/": "the shop",
    "/api/products": "the catalogue",
    "/external/products": "what the supplier has",
    "/auth/token": "the token for the supplier, for callers on this machine",
    "/docs": "the API",
    "/ops": "this server, live",
    "/readyz": "health",
}

port_option = click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.")


@click.group(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 110},
)
@click.version_option(package_name="farmlokal", message="%(prog)s %(version)s")
def app() -> None:
    """The backend of a marketplace that joins households with the farmers near them."""


app.add_command(clients)
app.add_command(keys)
app.add_command(loadtest)
app.add_command(webhooks)
app.add_command(suppliers)


def main() -> None:
    """Run the command line; a refusal is one clear message and exit code 1."""
    with _refusals():
        app()


@app.command()
@click.option("--host", help="Address to listen on.")
@port_option
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Processes.")
@click.option(
    "--ops-port", type=click.IntRange(1, 65535), help="Port of their own for /metrics, /docs, /ops."
)
@env_file_option
def serve(
    host: str | None, port: int | None, workers: int, ops_port: int | None, env_file: Path | None
) -> None:
    """Serve the API. The database must be migrated."""
    from farmlokal.server import serve as run

    settings = settings_of(env_file, host, port, ops_port)
    if faults := settings.check_workers(workers):
        raise SettingsError(faults)
    asyncio.run(_check(settings))
    _announce(settings)
    run(settings, workers=workers)


@app.command()
@port_option
@env_file_option
def dev(port: int | None, env_file: Path | None) -> None:
    """Migrate, generate a first catalogue, and serve.

    This is `make run`; a catalogue that is there stays as it is. A simulated supplier is started beside the
    server, with a provider of upstream tokens; it stands in for what the settings name no other for.
    """
    from farmlokal.server import serve as run

    settings = settings_of(env_file, None, port)
    supplier = settings.supplier_url is None and not settings.suppliers
    provider = settings.upstream_token_url is None
    if settings.profile == "development" and (supplier or provider):
        os.environ |= simulate_beside(settings.port, supplier=supplier, provider=provider)
        settings = settings_of(env_file, None, port)
    _migrate(settings)
    if asyncio.run(_is_empty(settings)):
        asyncio.run(_seed(settings, FIRST_CATALOGUE, 0))
    _announce(settings)
    run(settings, workers=1)


@app.command()
@env_file_option
def migrate(env_file: Path | None) -> None:
    """Bring the database to the newest version of the schema."""
    settings = settings_of(env_file)
    _migrate(settings)
    click.echo(f"The schema is at version {newest()}.")


@app.command()
@click.option(
    "--products", type=click.IntRange(1, 10_000_000), default=FIRST_CATALOGUE, help="How many products."
)
@click.option("--random-seed", type=int, default=0, help="The same number gives the same catalogue.")
@env_file_option
def seed(products: int, random_seed: int, env_file: Path | None) -> None:
    """Fill the database with a generated catalogue.

    It is repeatable, realistic and labelled as generated.
    """
    asyncio.run(_seed(settings_of(env_file), products, random_seed))


@app.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@env_file_option
def import_files(files: tuple[Path, ...], env_file: Path | None) -> None:
    """Import products, prices or postcodes from FILES, plain or gzip.

    Formats, told apart by content: Agmarknet daily CSV, its clean catalogue CSV, product CSV or NDJSON,
    data.gov.in JSON, postcode CSV, price history CSV. Every file is read through and checked before the
    first row of any is written.
    """
    settings = settings_of(env_file)
    asyncio.run(_import(settings, files))


app.add_command(simulator)


@app.command()
@env_file_option
def doctor(env_file: Path | None) -> None:
    """Check the settings and every dependency.

    Each line that fails says what mends it.
    """
    from farmlokal.outward import examine_suppliers, examine_upstream

    settings = settings_of(env_file)
    for name, value in settings.masked().items():
        click.echo(f"     {name} = {value}")
    findings = asyncio.run(examine(database_of(settings), newest()))
    findings += asyncio.run(examine_upstream(settings))
    findings += asyncio.run(examine_suppliers(settings, database_of(settings)))
    for finding in findings:
        click.echo(f"{'ok  ' if finding.ok else 'FAIL'} {finding.what}")
    if not all(finding.ok for finding in findings):
        sys.exit(1)


async def _check(settings: Settings) -> None:
    async with opened(settings) as database:
        if settings.profile == "production":
            await require_durable(database)


async def _import(settings: Settings, files: tuple[Path, ...]) -> None:
    from farmlokal.catalog.importing.load import Importer
    from farmlokal.catalog.importing.source import open_source

    clock = SystemClock()
    async with opened(settings) as database:
        with _progress() as progress:
            checked = []
            for file in files:
                source = open_source(file, clock.today())
                task = progress.add_task(f"checking {file.name}", total=file.stat().st_size)
                checked.append((source, source.check(_advance(progress, task))))
            importer = Importer(database, clock)
            summaries = []
            for source, rows in checked:
                task = progress.add_task(f"importing {source.path.name}", total=source.path.stat().st_size)
                summaries.append(await importer.run(source, rows, _advance(progress, task)))
        if any(summary.changed for summary in summaries):
            await database.optimize()
    for summary in summaries:
        _report(summary)


def _report(summary: "Summary") -> None:
    resumed = f", resumed at row {summary.resumed_at + 1}" if summary.resumed_at else ""
    click.echo(f"{summary.file_name} ({summary.format}): {summary.rows} rows read{resumed}")
    for fate, count in summary.fates.items():
        if count:
            click.echo(f"  {count:>9,} {fate}")
    click.echo(f"  {summary.imported:>9,} imported + {summary.quarantined:,} quarantined = {summary.rows:,}")
    if not summary.changed:
        click.echo("  nothing changed: the catalogue said all this already")


async def _seed(settings: Settings, products: int, random_seed: int) -> None:
    from farmlokal.catalog.generator import generate
    from farmlokal.catalog.importing.load import Importer

    clock = SystemClock()
    async with opened(settings) as database:
        importer = Importer(database, clock)
        await importer.load_reference_postcodes()
        with _progress() as progress:
            task = progress.add_task("generating products", total=products)
            drafts = generate(products, random_seed=random_seed, today=clock.today())
            fates = await importer.load_drafts(drafts, lambda count: progress.advance(task, count))
        await database.optimize()
    counts = ", ".join(f"{count:,} {fate}" for fate, count in fates.items() if count)
    click.echo(f"Generated products: {counts}.")


async def _is_empty(settings: Settings) -> bool:
    async with opened(settings) as database:
        return not await database.fetch_all("SELECT 1 FROM products LIMIT 1")


def _migrate(settings: Settings) -> None:
    from farmlokal.migrations.runner import upgrade

    upgrade(settings.database_url.get_secret_value())


def _announce(settings: Settings) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"http://{host}:{settings.port}"
    operators = f"http://{host}:{settings.ops_port or settings.port}"
    click.echo(f"FarmLokal ({settings.profile}) listens on {base}")
    if operators != base:
        click.echo(f"  and for operators, without a token, on {operators}: /metrics, /docs, /ops")
    if settings.profile == "development":
        click.echo("  for one machine: loopback only, a default secret key, unsigned webhooks accepted")
        for path, what in _PAGES.items():
            click.echo(f"  {operators if path in ('/docs', '/ops') else base}{path:<18} {what}")


def _progress() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _advance(progress: "Progress", task: "TaskID") -> Callable[[int], None]:
    return lambda done: progress.update(task, completed=done)


@contextmanager
def _refusals() -> Iterator[None]:
    """What was refused, in its own words, without a stack."""
    try:
        yield
    except SettingsError as error:
        click.echo("The settings are refused:", err=True)
        click.echo(str(error), err=True)
        sys.exit(1)
    except DomainError as error:
        click.echo(error.detail, err=True)
        for fault in error.faults:
            click.echo(f"  {fault.parameter}: {fault.accepted}", err=True)
        sys.exit(1)
