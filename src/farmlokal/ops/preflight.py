"""What is looked at before anything is served or written, and by `farmlokal doctor`."""

import platform
from typing import NamedTuple

from farmlokal.errors import DomainError, Unavailable
from farmlokal.ops.health import check_database
from farmlokal.platform.database.sqlite import SqliteDatabase


class Finding(NamedTuple):
    """One thing that was checked; `what` names the mend when it is not well."""

    ok: bool
    what: str


async def require_schema(database: SqliteDatabase, expected: str) -> None:
    """Raises `Unavailable` unless the open database answers and has this version of the schema."""
    check = await check_database(database, expected)
    if not check.ok:
        raise Unavailable(check.reason or "the database does not answer")


async def examine(database: SqliteDatabase, expected_schema: str) -> list[Finding]:
    """Every check, whatever the others found. Opens and closes the database."""
    findings = [Finding(True, f"Python {platform.python_version()}")]
    try:
        await database.open()
        await require_schema(database, expected_schema)
        [(products,)] = await database.fetch_all("SELECT COUNT(*) FROM products")
        [(engine,)] = await database.fetch_all("SELECT sqlite_version()")
        findings.append(
            Finding(True, f"database {database.path.name}: SQLite {engine}, schema {expected_schema}")
        )
        mend = "" if products else "; `farmlokal seed` or `farmlokal import FILE…` fills it"
        findings.append(Finding(True, f"catalogue: {products:,} products{mend}"))
        async with database.transaction():
            findings.append(Finding(True, "database takes writes"))
    except DomainError as error:
        findings.append(Finding(False, error.detail))
    finally:
        await database.close()
    return findings
