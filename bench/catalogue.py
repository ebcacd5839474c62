"""A MariaDB of a bench's own, with a generated catalogue in it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from bench.processes import farmlokal
from tests.support.servers.mariadb import MariaDb

POOL_MB_PER_MILLION = 2_500
"""InnoDB's buffer pool, which holds the products with all indexes: a bench of the plans, not of the disk."""

DURABLE: Mapping[str, str | int] = {"innodb-flush-method": "fsync", "debug-no-sync": "OFF"}
"""The tests' servers wait for no disk; one whose commits are measured does."""


class Catalogue(NamedTuple):
    """A filled database and its server."""

    server: MariaDb
    database: str
    url: str


@contextmanager
def catalogue(
    products: int, settings: Mapping[str, str], options: Mapping[str, str | int] | None = None
) -> Iterator[Catalogue]:
    """A database with so many products; `settings` is the environment of the commands that fill it."""
    pool_mb = max(500, POOL_MB_PER_MILLION * products // 1_000_000)
    with MariaDb({"innodb-buffer-pool-size": f"{pool_mb}M", **(options or {})}) as server:
        database = server.new_database()
        own = dict(settings) | {"FARMLOKAL_DATABASE_URL": database.url}
        farmlokal(own, "migrate")
        with server.connection(database.name, "root") as connection, connection.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0")  # they want an index
            build = _without_indexes(cursor)
            farmlokal(own, "seed", "--products", str(products))
            cursor.execute(build)
            cursor.execute("ANALYZE TABLE products")
        yield Catalogue(server, database.name, database.url)


def _without_indexes(cursor: Any) -> str:
    """Drop what is no key of the products; the statement that builds it again, in a third of the time that a
    load into the indexes takes."""
    cursor.execute("SHOW CREATE TABLE products")
    [(_, definition)] = cursor.fetchall()
    indexes = [
        line.strip().rstrip(",") for line in definition.splitlines() if line.strip().startswith("KEY ")
    ]
    cursor.execute("ALTER TABLE products " + ", ".join(f"DROP {line.split(' (')[0]}" for line in indexes))
    return "ALTER TABLE products " + ", ".join(f"ADD {line}" for line in indexes)
