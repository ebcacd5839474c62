"""MySQL and MariaDB as they are found: versions, settings, durability, migrations, refusals in words."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, event

from farmlokal import migrations
from farmlokal.errors import DomainError, Invalid, Unavailable
from farmlokal.migrations import newest, online
from farmlokal.migrations.runner import upgrade
from farmlokal.ops.preflight import examine, require_durable, require_schema
from farmlokal.platform.database import database_at
from farmlokal.platform.database.mysql_address import Address
from farmlokal.platform.database.mysql_link import READ, accepted_engine
from farmlokal.platform.database.mysql_pool import RECYCLE_S, Pool
from farmlokal.platform.database.port import Database
from tests.support.catalogue import run
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import USER
from tests.support.servers.sql import Database as SqlDatabase

SETTINGS = {
    "time_zone": "+00:00",
    "sql_mode": "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
    "tx_isolation": "READ-COMMITTED",
    "character_set_client": "utf8mb4",
    "character_set_results": "utf8mb4",
    "collation_connection": "utf8mb4_bin",
    "autocommit": 1,
    "in_predicate_conversion_threshold": 0,
}


@asynccontextmanager
async def opened(url: str, pool: int = 2) -> AsyncIterator[Database]:
    """The adapter, open."""
    database = database_at(url, pool)
    try:
        await database.open()
        yield database
    finally:
        await database.close()


async def variables(ask: Any, *names: str) -> list[Any]:
    """Values of session variables, as asked by a read or inside a transaction."""
    [row] = await ask(f"SELECT {', '.join(f'@@{name}' for name in names)}")
    return list(row)


def test_every_connection_has_our_settings(mariadb_server: MariaDb) -> None:
    """Whatever the server's own settings, a connection has ours: short limits for reads, long for loads."""
    url = mariadb_server.new_database().url
    limits = ("max_statement_time", "innodb_lock_wait_timeout")

    async def go() -> None:
        mariadb_server.administer("SET GLOBAL sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES', GLOBAL autocommit = 0")
        try:
            async with opened(url) as database:
                found = await variables(database.fetch_all, *SETTINGS)
                assert dict(zip(SETTINGS, found, strict=True)) == SETTINGS
                assert await variables(database.fetch_all, *limits) == [0.9, 1]
                seen = await database.write(lambda tx: variables(tx.fetch_all, *limits))
                assert seen == [1.5, 1]
                seen = await database.write(lambda tx: variables(tx.fetch_all, *limits), bulk=True)
                assert seen == [60, 10]
                assert await variables(database.fetch_all, *limits) == [0.9, 1]
        finally:
            mariadb_server.administer("SET GLOBAL sql_mode = DEFAULT, GLOBAL autocommit = 1")

    run(go())


@pytest.mark.parametrize("step", [1, 3])
def test_ids_follow_the_step_of_the_server(
    mariadb_server: MariaDb, migrated_mariadb: SqlDatabase, step: int
) -> None:
    """The ids of inserted rows are right where a cluster gives every server each third number."""
    url = migrated_mariadb.url

    async def go() -> None:
        mariadb_server.administer(
            f"SET GLOBAL auto_increment_increment = {step}, GLOBAL auto_increment_offset = {step}"
        )
        try:
            async with opened(url) as database:
                sql = "INSERT INTO categories (name, name_key) VALUES (%s, %s)"
                rows = [(str(number), str(number)) for number in range(100)]
                ids = await database.write(lambda tx: tx.insert_many(sql, rows))
                stored = await database.fetch_all("SELECT id, name FROM categories ORDER BY id")
                assert stored == [(identity, name) for identity, (name, _) in zip(ids, rows, strict=True)]
                assert ids[1] - ids[0] == step
        finally:
            mariadb_server.administer(
                "SET GLOBAL auto_increment_increment = 1, GLOBAL auto_increment_offset = 1"
            )

    run(go())


@pytest.mark.parametrize(
    ("version", "engine"),
    [
        ("8.0.11", "MySQL 8.0.11"),
        ("8.4.6-log", "MySQL 8.4.6"),
        ("9.7.0", "MySQL 9.7.0"),
        ("10.6.0-MariaDB", "MariaDB 10.6.0"),
        ("5.5.5-10.11.19-MariaDB-0+deb12u1", "MariaDB 10.11.19"),
        ("11.8.2-MariaDB-log", "MariaDB 11.8.2"),
    ],
)
def test_engines_that_are_accepted(version: str, engine: str) -> None:
    """MySQL from 8 and MariaDB from 10.6 on are accepted, under whatever name the server gives itself."""
    assert str(accepted_engine(version)) == engine


@pytest.mark.parametrize(
    "version",
    ["5.7.44", "5.5.5-10.5.29-MariaDB", "10.5.29-MariaDB", "5.5.62-MariaDB", "7.0.0-TiDB", "vitess"],
)
def test_engines_that_are_too_old(version: str) -> None:
    """An older engine is refused, and what is accepted is named."""
    with pytest.raises(Invalid, match=r"accepted: MySQL 8 or 9, or MariaDB 10\.6"):
        accepted_engine(version)


def test_a_server_that_is_too_old_is_refused_by_all() -> None:
    """Neither the service nor a migration works on a server that is too old; both name what is accepted."""
    with MariaDb({"version": "10.5.29-MariaDB"}) as server:
        name, url = server.new_database()

        async def go() -> None:
            async with opened(url):
                pass

        named = r"MariaDB 10\.5\.29; accepted: .*MariaDB 10\.6"
        with pytest.raises(Invalid, match=named):
            run(go())
        with pytest.raises(Invalid, match=named):
            upgrade(url)
        assert server.administer(f"SHOW TABLES IN {name}") == []


def test_settings_that_could_lose_a_commit_are_named() -> None:
    """A server that could lose a commit is refused in production, every reason named; and doctor says so."""
    with MariaDb({"log-bin": "", "sync-binlog": 0}) as server, server.migrated() as (_, url):

        async def go(flush: int, sync: int) -> list[str]:
            server.administer(
                f"SET GLOBAL innodb_flush_log_at_trx_commit = {flush}, GLOBAL sync_binlog = {sync}"
            )
            async with opened(url) as database:
                return await database.check_durability()

        async def refuse() -> None:
            async with opened(url) as database:
                await require_durable(database)

        assert run(go(1, 1)) == []
        assert [reason.partition(" is ")[0] for reason in run(go(1, 0))] == ["sync_binlog"]
        assert len(run(go(2, 0))) == 2
        with pytest.raises(Unavailable, match=r"innodb_flush_log_at_trx_commit is 2.*sync_binlog is 0"):
            run(refuse())
        findings = run(examine(database_at(url, 2), newest()))
        wrong = [finding.what for finding in findings if not finding.ok]
        assert len(wrong) == 2
        assert all(what.startswith("a commit could be lost") for what in wrong)


def test_sync_binlog_does_not_matter_without_a_binary_log(mariadb_server: MariaDb) -> None:
    """Where there is no binary log nothing depends on how it is written."""
    url = mariadb_server.new_database().url

    async def go() -> list[str]:
        async with opened(url) as database:
            return await database.check_durability()

    mariadb_server.administer("SET GLOBAL sync_binlog = 0")
    try:
        assert run(go()) == []
    finally:
        mariadb_server.administer("SET GLOBAL sync_binlog = 1")


def refusal(url: str) -> str:
    """How the service refuses a database."""

    async def go() -> None:
        async with opened(url) as database:
            await require_schema(database, newest())

    with pytest.raises(DomainError) as caught:
        run(go())
    assert caught.value.__cause__ is None
    return caught.value.detail


def test_refusals_say_what_to_mend_and_no_secret(mariadb_server: MariaDb) -> None:
    """A wrong password, a missing database or schema, a closed port are told apart; none tells a secret."""
    good = mariadb_server.new_database().url
    said = {
        "farmlokal migrate": refusal(good),
        "refuses our user": refusal(good.replace(f"{USER}:p%40ss", f"{USER}:hunter2")),
        "create it": refusal(good.rpartition("/")[0] + "/farmlokal_missing"),
        "cannot be reached": refusal(good.replace(f":{mariadb_server.port}/", ":1/")),
    }
    for expected, found in said.items():
        assert expected in found
        assert not [secret for secret in ("p@ss", "p%40ss", "hunter2", "SELECT") if secret in found]


def test_an_address_hides_its_password() -> None:
    """An address prints without user and password; each part may hold any character, percent-encoded."""
    address = Address.parse("mariadb://us%40er:p%40ss%3Aw%2F%C3%B6%25@[::1]:3307/shop?unix_socket=%2Fs")
    assert (address.user, address.password, address.host) == ("us@er", "p@ss:w/ö%", "::1")
    assert (address.port, address.database, address.unix_socket) == (3307, "shop", "/s")
    assert not [secret for secret in ("p@ss", "us@er") if secret in f"{address} {address!r}"]
    with pytest.raises(Invalid, match="init_command"):
        Address.parse("mysql://u:p@h/shop?init_command=DROP")


def test_a_unix_socket(mariadb_server: MariaDb) -> None:
    """A server on the same machine is reached through its socket."""
    name = mariadb_server.new_database().name
    socket = mariadb_server.process.log.parent / "socket"

    async def go() -> None:
        mariadb_server.administer(f"GRANT ALL ON {name}.* TO other@localhost IDENTIFIED BY 'x'")
        async with opened(f"mysql://other:x@localhost/{name}?unix_socket={socket}") as database:
            assert await database.fetch_all("SELECT CURRENT_USER()") == [("other@localhost",)]

    run(go())


def test_without_the_driver_the_extra_is_named() -> None:
    """Where the driver is not installed a MySQL URL is refused with the extra that brings it."""
    code = (
        "import sys; sys.modules['asyncmy'] = None\n"
        "from farmlokal.errors import Unavailable\n"
        "from farmlokal.migrations.runner import upgrade\n"
        "from farmlokal.platform.database import database_at\n"
        "for use in (lambda url: database_at(url, 1), upgrade):\n"
        "    try: use('mysql://u:p@127.0.0.1:1/shop')\n"
        "    except Unavailable as error: print(error.detail)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("farmlokal[mysql]") == 2


def test_two_migrators_take_turns(mariadb_server: MariaDb) -> None:
    """Two migrations started at once both succeed: the second waits, and finds nothing left to do."""
    url = mariadb_server.new_database().url

    async def go() -> str | None:
        await asyncio.gather(*(asyncio.to_thread(upgrade, url) for _ in range(2)))
        async with opened(url) as database:
            return await database.schema_version()

    assert run(go()) == newest()


def test_a_migration_of_a_server_that_is_away_is_refused_in_words(mariadb_server: MariaDb) -> None:
    """A migration that cannot reach or enter the server says so in one sentence."""
    url = mariadb_server.new_database().url
    for wrong in (
        url.replace(f":{mariadb_server.port}/", ":1/"),
        url.replace(f"{USER}:p%40ss", f"{USER}:hunter2"),
    ):
        with pytest.raises(Unavailable) as caught:
            upgrade(wrong)
        assert "hunter2" not in caught.value.detail


def test_an_index_is_built_while_others_write(mariadb_server: MariaDb, migrated_mariadb: SqlDatabase) -> None:
    """An index comes and goes without locking writers out, each once: a migration may have been cut off."""
    name = migrated_mariadb.name
    engine = create_engine(f"mysql+pymysql://root@127.0.0.1:{mariadb_server.port}/{name}?ssl_disabled=1")
    shown = f"SHOW INDEX FROM {name}.products WHERE Key_name = 'ix_products_grade'"
    said: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    with engine.connect() as connection, Operations.context(MigrationContext.configure(connection)):
        for _ in range(2):
            online.create_index("ix_products_grade", "products", ["grade", "id"])
        assert mariadb_server.administer(shown)
        for _ in range(2):
            online.drop_index("ix_products_grade", "products")
    changes = [statement for statement in said if "ix_products_grade" in statement]
    assert len(changes) == 2
    assert all("ALGORITHM=INPLACE" in change and "LOCK=NONE" in change for change in changes)
    assert not mariadb_server.administer(shown)


def test_a_migration_that_was_cut_off_goes_on(mariadb_server: MariaDb) -> None:
    """A migration that ended between two of its changes is finished by the next run."""
    name, url = mariadb_server.new_database()
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    engine = create_engine(f"mysql+pymysql://root@127.0.0.1:{mariadb_server.port}/{name}?ssl_disabled=1")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    engine.dispose()
    # The first of the fourth migration's three changes was made, and no more.
    mariadb_server.administer(f"CREATE INDEX ix_products_category ON {name}.products (category_id)")
    upgrade(url)
    names = {row[2] for row in mariadb_server.administer(f"SHOW INDEX FROM {name}.products")}
    assert "ix_products_category" in names
    assert "ix_products_search_sorts" not in names


def test_a_connection_that_grew_old_is_replaced(mariadb_server: MariaDb) -> None:
    """A connection past its age is not handed out again."""
    url = mariadb_server.new_database().url

    async def go() -> None:
        pool = Pool(Address.parse(url), 1)
        seen = []
        for _ in range(3):
            async with pool.lease(READ) as link:
                [(identity,)] = (await link.run("SELECT CONNECTION_ID()")).rows
                seen.append(identity)
                if len(seen) == 2:
                    link.opened_s -= RECYCLE_S
        await pool.close(1)
        assert seen[0] == seen[1] != seen[2]

    run(go())


def test_a_connection_whose_answer_was_not_read_is_never_handed_out_again(
    mariadb_server: MariaDb,
) -> None:
    """A connection on which a query was cancelled is closed, and the next caller gets another one."""
    url = mariadb_server.new_database().url

    async def go() -> None:
        pool = Pool(Address.parse(url), 1)
        links = []
        leased = asyncio.Event()

        async def ask(sql: str) -> None:
            async with pool.lease(READ) as link:
                links.append(link)
                leased.set()
                await link.run(sql)

        task = asyncio.create_task(ask("SELECT SLEEP(0.5)"))
        await leased.wait()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await ask("SELECT 1")
        await ask("SELECT 1")
        await pool.close(1)
        assert links[0] is not links[1]
        assert links[1] is links[2]

    run(go())
