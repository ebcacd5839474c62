"""The private servers of the tests are real, alone, quick to come back, and gone when they are left."""

import os
from pathlib import Path

import pymysql
import pytest
import redis

from farmlokal.migrations.runner import upgrade
from tests.faults.processes import OwnedProcess
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import USER, Database
from tests.support.servers.valkey import NO_RETRY, Valkey


def test_every_database_is_new(mariadb_server: MariaDb) -> None:
    """Each test has a database of its own, in which the product's user may do everything."""
    one, other = mariadb_server.new_database(), mariadb_server.new_database()
    with mariadb_server.connection(one.name) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id INT)")
    with mariadb_server.connection(other.name) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        assert cursor.fetchall() == ()


def test_the_product_migrates_a_database(mariadb_server: MariaDb, mariadb_database: Database) -> None:
    """The URL of a database is one that the product takes."""
    upgrade(mariadb_database.url)
    with mariadb_server.connection(mariadb_database.name) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM products")
        assert cursor.fetchall() == ((0,),)


def test_mariadb_keeps_what_was_committed_when_it_is_killed() -> None:
    """A killed MariaDB comes back on its port with its options, its committed rows and no open connection."""
    with MariaDb({"innodb-snapshot-isolation": "ON", "read-only": "OFF"}) as server:
        name = server.new_database().name
        with server.connection(name) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (id INT)")
            cursor.execute("INSERT INTO t VALUES (1)")
            assert server.connected() == 1
            port, pid = server.port, server.process.pid
            server.process.restart()
            with pytest.raises(pymysql.err.OperationalError):
                cursor.execute("SELECT 1")
        assert (server.port, server.process.pid == pid, server.connected()) == (port, False, 0)
        assert server.administer(f"SELECT * FROM {name}.t") == [(1,)]
        assert server.administer("SELECT @@innodb_snapshot_isolation, @@innodb_flush_log_at_trx_commit") == [
            (1, 1)
        ]


def test_connections_are_cut_by_the_server(mariadb_server: MariaDb) -> None:
    """Every connection of the product's user can be killed from the server's side."""
    with mariadb_server.connection() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT CURRENT_USER()")
        assert cursor.fetchall()[0][0].startswith(f"{USER}@")
        assert mariadb_server.disconnect() >= 1
        with pytest.raises(pymysql.err.OperationalError):
            cursor.execute("SELECT 1")


@pytest.mark.parametrize("kind", [MariaDb, Valkey])
def test_nothing_is_left_of_a_server(kind: type[MariaDb] | type[Valkey]) -> None:
    """Once left, a server has no process and no data, even when it was frozen."""
    with kind() as server:
        pid, folder = server.process.pid, server.process.log.parent
        assert (folder / server.process.log.name).exists()
        server.process.freeze()
    assert not server.process.alive
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not folder.exists()


def test_valkey_asks_for_its_password() -> None:
    """A Valkey with a password is named by a URL that carries it, whatever characters it has."""
    with Valkey(password='p w@/"é\\') as server:
        assert server.ask("SET", "a", 1)
        with (
            redis.Redis(port=server.port, retry=NO_RETRY) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.get("a")


def test_valkey_says_when_it_is_full() -> None:
    """With a memory limit and `noeviction` writes are refused with the error that real servers give."""
    with Valkey({"maxmemory": "3mb", "maxmemory-policy": "noeviction"}) as server:
        server.ask("SET", "small", "stays readable")
        # A script is let in while there is room, and then writes past the limit.
        server.ask("EVAL", "for n = 1, 100 do redis.call('SET', n, ARGV[1]) end", 0, b"x" * 100_000)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            server.ask("SET", "one", "more")
        assert server.ask("GET", "small") == b"stays readable"


def test_a_test_finds_valkey_empty(valkey: Valkey) -> None:
    """Nothing of other tests is in the database that a test is handed."""
    assert valkey.ask("DBSIZE") == 0
    valkey.ask("SET", "left", "behind")


def test_a_process_that_leaves_says_why(tmp_path: Path) -> None:
    """A process that does not become ready fails the test with what it printed."""
    process = OwnedProcess(["sh", "-c", "echo out of luck; exit 3"], tmp_path / "log", lambda: False)
    with pytest.raises(AssertionError, match=r"left with 3\n.*out of luck"):
        process.start()
