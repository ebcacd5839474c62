"""Whether this process lives and whether it can serve: two questions with two answers.

A process that lives and cannot serve (its database is away) must be left alone, not restarted.
"""

from msgspec import Struct

from farmlokal.errors import Unavailable
from farmlokal.platform.database.port import Database
from farmlokal.platform.redis import RedisState


class Check(Struct, frozen=True):
    """One dependency: whether it answers, and if not, why and what mends it."""

    ok: bool
    reason: str | None = None


class Readiness(Struct, frozen=True):
    """`ready` when every dependency answers, `degraded` when one is away that can be done without."""

    status: str
    checks: dict[str, Check]


async def check_database(database: Database, expected_schema: str) -> Check:
    """Ask the database for the version of its schema: the one that is expected, or a later one, as there is
    while a newer release takes the place of this one."""
    try:
        found = await database.schema_version()
    except Unavailable as error:
        return Check(False, error.detail)
    if not _includes(found, expected_schema):
        at = f"at {found}" if found else "not there"
        return Check(False, f"the schema is {at}, expected {expected_schema}: run `farmlokal migrate`")
    return Check(True)


def _includes(found: str | None, expected: str) -> bool:
    """Chapters are numbered, and none takes away what the release before it needs."""
    return found is not None and found.isdecimal() and int(found) >= int(expected)


def check_redis(state: RedisState) -> Check:
    """What the watch over Redis knows: nothing is asked here, so a frozen server delays no answer."""
    return Check(True) if state.up else Check(False, f"{state.reason}: going on without it")
